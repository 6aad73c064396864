//! Many threads: every item once, panics that reach the caller, calls from inside, many callers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kernels::{Cpu, Float, Kernels, Matrix, Planes, Precision, Quant};

fn cpu(threads: usize) -> Cpu {
    Cpu::new(Kernels::best(), threads, Precision::Exact).expect("a few threads can be had")
}

#[test]
fn every_item_is_worked_on_once() {
    for threads in [1, 2, 3, 8] {
        let cpu = cpu(threads);
        assert_eq!(cpu.threads(), threads, "as asked for");
        for len in [0, 1, 2, 7, 1000] {
            let mut items: Vec<usize> = vec![0; len];
            for round in 1..=50 {
                cpu.each(&mut items, |index, item| *item += index + 1);
                let right = items.iter().enumerate().all(|(i, item)| *item == round * (i + 1));
                assert!(right, "{threads} threads, {len} items, round {round}: {items:?}");
            }
        }
    }
}

#[test]
fn work_is_shared() {
    let cpu = cpu(3);
    // Each waits for the others, so that three threads must take part.
    let arrived = AtomicUsize::new(0);
    cpu.each(&mut [(); 3], |_, ()| {
        arrived.fetch_add(1, Ordering::SeqCst);
        while arrived.load(Ordering::SeqCst) < 3 {
            std::thread::yield_now();
        }
    });
    assert_eq!(arrived.into_inner(), 3, "all three");
}

#[test]
fn little_work_stays_with_the_calling_thread() {
    let cpu = cpu(3);
    let own = std::thread::current().id();
    for round in 1..=50 {
        let mut single = [None];
        cpu.each(&mut single, |_, by| *by = Some(std::thread::current().id()));
        assert_eq!(single, [Some(own)], "round {round}: a single item");
        let mut few = [None; 40];
        cpu.each_of(10, &mut few, |_, by| *by = Some(std::thread::current().id()));
        assert_eq!(few, [Some(own); 40], "round {round}: 400 multiplications");
    }
    let arrived = AtomicUsize::new(0);
    cpu.each_of(1 << 20, &mut [(); 3], |_, ()| {
        arrived.fetch_add(1, Ordering::SeqCst);
        while arrived.load(Ordering::SeqCst) < 3 {
            std::thread::yield_now();
        }
    });
    assert_eq!(arrived.into_inner(), 3, "much is shared");
    let mut counted = [0; 1000];
    cpu.each_of(1, &mut counted, |index, item| *item += index);
    cpu.each_of(1 << 10, &mut counted, |index, item| *item += index);
    let right = counted.iter().enumerate().all(|(index, item)| *item == 2 * index);
    assert!(right, "every item once: {counted:?}");
}

#[test]
fn threads_that_slept_come_back() {
    let cpu = cpu(2);
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(3));
        let arrived = AtomicUsize::new(0);
        cpu.each(&mut [(); 2], |_, ()| {
            arrived.fetch_add(1, Ordering::SeqCst);
            while arrived.load(Ordering::SeqCst) < 2 {
                std::thread::yield_now();
            }
        });
    }
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
    for threads in [1, 2, 4] {
        let cpu = cpu(threads);
        for bad in [0, 5, 63] {
            let mut items = [0; 64];
            let broken = catch_unwind(AssertUnwindSafe(|| {
                cpu.each(&mut items, |index, item| {
                    assert!(index != bad, "item {bad} is bad");
                    *item = 1;
                });
            }));
            let payload = broken.expect_err("the panic is passed on");
            let words = payload.downcast_ref::<String>().expect("it carries its words");
            assert_eq!(words, &format!("item {bad} is bad"), "{threads} threads");
            cpu.each(&mut items, |_, item| *item = 2);
            assert_eq!(items, [2; 64], "{threads} threads: usable again");
        }
    }
}

#[test]
fn calls_from_inside_are_done_by_their_own_thread() {
    let weights: Vec<u8> = (0..256 * 256).flat_map(|i| ((i % 7) as f32).to_le_bytes()).collect();
    let planes = Planes { weights: &weights, ..Planes::default() };
    let matrix = Matrix::new(Quant::Plain(Float::F32), 256, 256, planes).expect("it fits");
    let x = vec![0.5; 2 * 256];
    for threads in [1, 2, 4] {
        let (cpu, other) = (cpu(threads), cpu(2));
        let mut expected = vec![0.0; 2 * 256];
        cpu.matmul(&matrix, &x, &mut expected);
        let mut outs = vec![vec![0.0; 2 * 256]; 16];
        cpu.each(&mut outs, |index, out| {
            let inner = if index % 2 == 0 { &cpu } else { &other };
            inner.each(&mut [0; 3], |_, n| *n += 1);
            inner.matmul(&matrix, &x, out);
        });
        assert!(outs.iter().all(|out| *out == expected), "{threads} threads: the same bits");
    }
}

#[test]
fn callers_from_several_threads_take_turns() {
    let cpu = cpu(3);
    std::thread::scope(|scope| {
        for caller in 0..4 {
            let cpu = &cpu;
            scope.spawn(move || {
                for round in 0..200 {
                    let mut items = [0; 9];
                    cpu.each(&mut items, |index, item| *item = index + caller + round);
                    let right = (0..9).all(|i| items[i] == i + caller + round);
                    assert!(right, "caller {caller}, round {round}: {items:?}");
                }
            });
        }
    });
}

#[test]
fn pools_come_and_go() {
    for _ in 0..100 {
        let cpu = cpu(4);
        cpu.each(&mut [0; 4], |_, item| *item += 1);
    }
    drop(cpu(6));
}
