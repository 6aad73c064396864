//! How keys and values are kept: rounded as they should be, and in as many bytes as they say.

use kernels::KvType;

use crate::numbers::{Rng, SPECIALS};

fn kept(kind: KvType, x: &[f32]) -> Vec<f32> {
    let mut bytes = vec![0xff; kind.row_bytes(x.len())];
    kind.write(x, &mut bytes);
    let mut out = vec![f32::NAN; x.len()];
    kind.read(&bytes, &mut out);
    out
}

#[test]
fn bytes_of_a_row() {
    let bytes = |dim| KvType::ALL.map(|kind| kind.row_bytes(dim));
    assert_eq!(bytes(256), [1024, 512, 272], "256 elements");
    assert_eq!(bytes(33), [132, 66, 37], "a group begins");
    assert_eq!(KvType::ALL.map(|kind| kind.to_string()), ["f32", "f16", "q8"], "names");
}

/// Every half, what lies between two of them, and what is next to that.
#[test]
fn halves_are_rounded_to_nearest_even() {
    let mut bytes = [0; 2];
    for half in 0..=u16::MAX {
        let x = half::f16::from_bits(half).to_f32();
        let next = half::f16::from_bits(half.wrapping_add(1)).to_f32();
        let between = x + (next - x) / 2.0;
        for x in [x, between]
            .iter()
            .flat_map(|x| [-1, 0, 1].map(|by| x.to_bits().wrapping_add_signed(by)))
        {
            let x = f32::from_bits(x);
            KvType::F16.write(&[x], &mut bytes);
            let (found, expected) = (half::f16::from_le_bytes(bytes), half::f16::from_f32(x));
            let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
            assert!(same, "{x:e} is kept as {found:?}, expected {expected:?}");
        }
    }
    for x in SPECIALS {
        let (found, expected) = (kept(KvType::F16, &[x])[0], half::f16::from_f32(x).to_f32());
        assert!(found == expected || found.is_nan() && x.is_nan(), "{x:e}: {found:e}");
    }
}

#[test]
fn f32_stays_as_it_is() {
    let found = kept(KvType::F32, &SPECIALS);
    for (found, x) in found.iter().zip(SPECIALS) {
        assert!(found.to_bits() == x.to_bits(), "{x:e}: {found:e}");
    }
}

/// Half a step, where a step is the group's greatest / 127 but for the rounding of its scale.
#[test]
fn bytes_are_off_by_half_a_step() {
    let mut rng = Rng::new(2);
    for dim in [1, 31, 32, 33, 100, 256] {
        for size in [1e-34, 1e-6, 1.0, 1e6, 1e38] {
            let x: Vec<f32> = rng.floats(dim).iter().map(|x| x * size).collect();
            for (x, found) in x.chunks(32).zip(kept(KvType::Q8, &x).chunks(32)) {
                let step = x.iter().fold(0.0, |most: f32, x| most.max(x.abs())) / 127.0;
                for (x, found) in x.iter().zip(found) {
                    let off = (x - found).abs();
                    assert!(off <= 0.503 * step, "{x:e} is kept as {found:e}, a step is {step:e}");
                }
            }
        }
    }
}

#[test]
fn a_group_of_bytes_is_by_itself() {
    let mut x = vec![1.0; 96];
    x[3] = 1000.0;
    x[40] = f32::INFINITY;
    x[41] = f32::NAN;
    x[64..].fill(0.0);
    let found = kept(KvType::Q8, &x);
    assert!(
        found[..32].iter().enumerate().all(|(i, x)| *x == if i == 3 { found[3] } else { 0.0 }),
        "a large one makes the others 0: {found:?}"
    );
    assert!((found[3] - 1000.0).abs() < 4.0, "{}", found[3]);
    assert!(
        found[32..64].iter().all(|x| x.is_nan()),
        "no finite number stands for these: {found:?}"
    );
    assert!(found[64..].iter().all(|x| x.to_bits() == 0), "zeros stay: {found:?}");
}
