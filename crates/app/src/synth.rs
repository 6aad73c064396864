//! The command `synth`: a checkpoint of random weights in the shape of a real model.

use std::time::Instant;

use crate::cli::{Shape, SynthArgs};
use crate::fault::Fault;
use crate::interrupt;
use crate::open::synth::{Like, Order, SynthError, Written, write};
use crate::progress::{Progress, Unit};
use crate::say;
use crate::size::shown;

/// Runs the command.
pub(crate) fn synth(args: &SynthArgs) -> Result<(), Fault> {
    let order = order(args);
    let cancel = interrupt::watch()?;
    let start = Instant::now();
    let progress = Progress::new("writing", Unit::Bytes);
    let tell =
        |done: u64, total: u64| progress.tell(done, total, done as f64 / total.max(1) as f64);
    let written = write(&args.out, &order, &tell, cancel).map_err(fault)?;
    progress.clear();
    if !written.direct {
        say::note(
            "this file system takes no direct writes: some of the weights are in the page cache now",
        );
    }
    say::note(told(args, &order, &written, start.elapsed().as_secs_f64()));
    Ok(())
}

fn order(args: &SynthArgs) -> Order {
    let mut order = Order::like(match args.like {
        Shape::Large => Like::Qwen397B,
        Shape::Middle => Like::Qwen122B,
        Shape::Small => Like::Qwen35B,
    });
    order.spec.layers = args.layers.unwrap_or(order.spec.layers);
    order.spec.seed = args.seed;
    order.bits = args.bits.count();
    order.distinct_layers = args.distinct_layers;
    order
}

fn fault(error: SynthError) -> Fault {
    match error {
        SynthError::Cancelled => Fault::Interrupted,
        SynthError::Order { .. } | SynthError::Spec(_) | SynthError::Model(_) => {
            Fault::command_line(error)
        }
        SynthError::Full { path, needed_bytes, free_bytes } => Fault::refused(format!(
            "{}: {} are needed, {} are free; accepted: another disk for --out, or fewer \
             --distinct-layers",
            path.display(),
            shown(needed_bytes),
            shown(free_bytes),
        )),
        other => Fault::failed(other),
    }
}

/// The last line: what lies there now, and how fast the disk took it.
fn told(args: &SynthArgs, order: &Order, written: &Written, seconds: f64) -> String {
    let (layers, stored) = (order.spec.layers, written.distinct_layers);
    let stored = if stored < layers { format!(" ({stored} stored)") } else { String::new() };
    let files = if written.files == 1 { "file" } else { "files" };
    let speed = match written.written_bytes {
        0 => "all of it was there".to_owned(),
        bytes => format!(
            "{} written in {seconds:.1} s, {:.2} GB/s",
            shown(bytes),
            bytes as f64 / 1e9 / seconds.max(1e-9),
        ),
    };
    format!(
        "{}: {layers} layers{stored} like {}, {} bits, {} in {} {files} · {speed}",
        args.out.display(),
        order.name,
        order.bits,
        shown(written.total_bytes),
        written.files,
    )
}
