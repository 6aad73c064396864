//! Synthetic checkpoints as files: what is written, what is kept, what is refused.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use model::Opened;
use model::synth::{self, Like, Order, SynthError, Written};
use model::tiny::Spec;

const QUIET: fn(u64, u64) = |_, _| ();

/// Eight small layers in several files.
fn order() -> Order {
    let spec = Spec { layers: 8, mtp: false, vision: false, ..Spec::wide() };
    let name = "small".to_owned();
    Order { name, spec, bits: 4, distinct_layers: Some(4), shard_bytes: 100_000 }
}

fn write(dir: &Path, order: &Order) -> Result<Written, SynthError> {
    synth::write(dir, order, &QUIET, &AtomicBool::new(false))
}

fn fresh(order: &Order) -> (tempfile::TempDir, Written) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let written = write(dir.path(), order).expect("it is written");
    (dir, written)
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(dir).expect("the directory is there");
    let entries = entries.map(|entry| entry.expect("an entry").path());
    let name = |path: &PathBuf| PathBuf::from(path.file_name().expect("a name"));
    entries.map(|path| (name(&path), fs::read(&path).expect("a file"))).collect()
}

#[test]
fn same_order_same_bytes() {
    let (first, written) = fresh(&order());
    let (second, _) = fresh(&order());
    assert!(files(first.path()) == files(second.path()), "every byte of every file");
    assert!(written.files > 4, "{written:?}: several files");
    assert_eq!(written.written_bytes, written.total_bytes, "all of it is new");
    assert_eq!(written.distinct_layers, 4, "layers that were asked for");
    let mut other = order();
    other.spec.seed += 1;
    let (third, _) = fresh(&other);
    let differ =
        |name: &str| files(first.path())[Path::new(name)] != files(third.path())[Path::new(name)];
    let shard = format!("model-00001-of-{:05}.safetensors", written.files);
    assert!(differ(&shard), "another seed gives other weights");
}

#[test]
fn files_are_as_long_as_told_and_none_is_half_written() {
    for (shard_bytes, bits) in [(100_000, 4), (1, 2), (u64::MAX, 8)] {
        let order = Order { shard_bytes, bits, ..order() };
        let (dir, written) = fresh(&order);
        let found = files(dir.path());
        let shards =
            found.iter().filter(|(name, _)| name.extension().is_some_and(|e| e == "safetensors"));
        let lengths: Vec<u64> = shards.map(|(_, bytes)| bytes.len() as u64).collect();
        assert_eq!(lengths.len(), written.files, "{bits} bits: files");
        assert_eq!(lengths.iter().sum::<u64>(), written.total_bytes, "{bits} bits: bytes");
        let partial = found.keys().filter(|name| name.extension().is_some_and(|e| e == "partial"));
        assert_eq!(partial.count(), 0, "{bits} bits: nothing half written");
        let opened = Opened::open(dir.path(), None).expect("it opens");
        assert!(opened.inspection().ignored.is_empty(), "{bits} bits: every tensor is used");
        assert_eq!(opened.distinct_layers(), 4, "{bits} bits: distinct layers");
        assert_eq!(opened.inspection().to_json()["distinct_layers"], 4, "{bits} bits: JSON");
    }
}

#[test]
fn sizes_count_every_layer_and_not_only_the_stored_ones() {
    let (whole, _) = fresh(&Order { distinct_layers: None, ..order() });
    let (shared, _) = fresh(&order());
    let of = |dir: &Path| Opened::open(dir, None).expect("it opens").inspection();
    let (whole, shared) = (of(whole.path()), of(shared.path()));
    assert_eq!(shared.trunk_bytes, whole.trunk_bytes, "trunk");
    assert_eq!(shared.expert_bytes, whole.expert_bytes, "experts");
    assert_eq!(shared.touched_bytes_per_token, whole.touched_bytes_per_token, "touched");
    assert_eq!(whole.to_json()["distinct_layers"], 8, "all layers are stored");
}

/// Cancels after so many bytes.
fn interrupted(dir: &Path, order: &Order, after_bytes: u64) -> Result<Written, SynthError> {
    let cancel = AtomicBool::new(false);
    let stop = |done: u64, _: u64| {
        if done >= after_bytes {
            cancel.store(true, Ordering::Relaxed);
        }
    };
    synth::write(dir, order, &stop, &cancel)
}

#[test]
fn what_was_interrupted_goes_on_and_ends_alike() {
    let (wanted, written) = fresh(&order());
    let wanted = files(wanted.path());
    for part in 0..4 {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let stopped = interrupted(dir.path(), &order(), written.total_bytes * part / 4);
        assert!(matches!(stopped, Err(SynthError::Cancelled)), "{part}: {stopped:?}");
        let kept = files(dir.path());
        let missing = wanted.keys().filter(|name| !kept.contains_key(*name)).count();
        assert!(missing > 0, "{part}: it was interrupted");
        assert!(Opened::open(dir.path(), None).is_err(), "{part}: what is not whole does not open");
        // What a killed process leaves: a file that was not finished.
        let (last, _) = wanted.iter().rfind(|(name, _)| !kept.contains_key(*name)).expect("one");
        let partial = dir.path().join(format!("{}.partial", last.display()));
        fs::write(&partial, b"half").expect("a file");
        let again = write(dir.path(), &order()).expect("it goes on");
        assert!(files(dir.path()) == wanted, "{part}: the same files with the same bytes");
        let kept: usize = kept
            .iter()
            .filter(|(name, _)| name.extension().is_some_and(|e| e == "safetensors"))
            .map(|(_, bytes)| bytes.len())
            .sum();
        assert_eq!(again.written_bytes + kept as u64, written.total_bytes, "{part}: rest only");
        let once_more = write(dir.path(), &order()).expect("nothing to do");
        assert_eq!(once_more.written_bytes, 0, "{part}: all of it is there");
        assert!(files(dir.path()) == wanted, "{part}: and stays");
    }
}

#[test]
fn a_file_of_another_length_is_written_anew() {
    let (dir, written) = fresh(&order());
    let wanted = files(dir.path());
    let name = format!("model-00002-of-{:05}.safetensors", written.files);
    let whole = &wanted[Path::new(&name)];
    fs::write(dir.path().join(&name), &whole[..whole.len() - 1]).expect("a file");
    let again = write(dir.path(), &order()).expect("it is mended");
    assert_eq!(again.written_bytes, whole.len() as u64, "one file");
    assert!(files(dir.path()) == wanted, "as before");
}

#[test]
fn progress_ends_with_everything() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let last = Cell::new((0, 1));
    let tell = |done: u64, total: u64| {
        assert!(done >= last.get().0 && done <= total, "{done} of {total} after {last:?}");
        last.set((done, total));
    };
    let written = synth::write(dir.path(), &order(), &tell, &AtomicBool::new(false));
    let total = written.expect("it is written").total_bytes;
    assert_eq!(last.get(), (total, total), "the last that was told");
}

#[test]
fn another_order_in_the_same_directory_is_refused() {
    let (dir, _) = fresh(&order());
    let before = files(dir.path());
    let mut seed = order();
    seed.spec.seed = 2;
    let mut layers = order();
    layers.spec.layers = 12;
    for (what, other) in [
        ("seed", seed),
        ("layers", layers),
        ("bits", Order { bits: 8, ..order() }),
        ("distinct layers", Order { distinct_layers: Some(3), ..order() }),
        ("all layers", Order { distinct_layers: None, ..order() }),
        ("shard_bytes", Order { shard_bytes: 1 << 20, ..order() }),
        ("name", Order { name: "other".to_owned(), ..order() }),
    ] {
        let line = write(dir.path(), &other).expect_err("another order").to_string();
        assert!(line.contains("config.json"), "{what}: {line}");
        assert!(line.contains("accepted: an empty directory"), "{what}: {line}");
        assert!(files(dir.path()) == before, "{what}: nothing was touched");
    }
}

#[test]
fn a_directory_with_anything_else_in_it_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("thesis.txt"), b"mine").expect("a file");
    let line = write(dir.path(), &order()).expect_err("not ours").to_string();
    assert!(line.contains("thesis.txt"), "{line}");
    assert_eq!(files(dir.path()).len(), 1, "nothing was written");
}

#[test]
fn orders_that_no_model_can_have_are_refused() {
    let spec = |change: fn(&mut Spec)| {
        let mut order = order();
        change(&mut order.spec);
        order
    };
    for (order, part) in [
        (Order { bits: 3, ..order() }, "bits: found 3"),
        (
            Order { distinct_layers: Some(1), ..order() },
            "distinct layers: found 1, accepted: 2 to 8",
        ),
        (Order { distinct_layers: Some(9), ..order() }, "distinct layers: found 9"),
        (spec(|spec| spec.hidden_size = 96), "hidden_size: found 96, accepted: multiples of 64"),
        (spec(|spec| spec.moe_intermediate_size = 32), "moe_intermediate_size: found 32"),
        (spec(|spec| spec.shared_intermediate_size = 48), "shared_intermediate_size: found 48"),
        (spec(|spec| spec.experts_per_token = 17), "experts_per_token: found 17"),
        (spec(|spec| spec.layers = 1025), "num_hidden_layers: found 1025, accepted: whole numbers"),
    ] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let line = write(dir.path(), &order).expect_err(part).to_string();
        assert!(line.contains(part) && !line.contains('\n'), "{part}: {line}");
        assert_eq!(files(dir.path()).len(), 0, "{part}: nothing was written");
    }
}

#[test]
fn a_disk_without_room_is_refused_with_both_numbers() {
    let dir = Path::new("dir");
    assert!(synth::refuse_full(dir, 1000, 1000).is_ok(), "it just fits");
    let error = synth::refuse_full(dir, 1001, 1000).expect_err("one too many");
    assert_eq!(error.to_string(), "dir: 1001 bytes are needed, 1000 bytes are free", "{error}");
    // Nine hundred terabytes: no disk of a test machine has them.
    let mut huge = Order::like(Like::Qwen397B);
    (huge.spec.layers, huge.spec.experts, huge.bits) = (1024, 65536, 8);
    let dir = tempfile::tempdir().expect("a temporary directory");
    if cfg!(unix) {
        let error = write(dir.path(), &huge).expect_err("no room");
        assert!(
            matches!(error, SynthError::Full { needed_bytes, .. } if needed_bytes > 800 << 40),
            "{error}"
        );
        assert_eq!(files(dir.path()).len(), 0, "nothing was written");
    } else {
        println!("SKIP: this system does not tell how much room a disk has");
    }
}

#[test]
fn published_shapes_have_the_published_sizes() {
    // Bytes of an expert and parameters of the text model in billions, as their publishers say.
    for (like, record_bytes, billions) in [
        (Like::Qwen397B, 7_077_888, 396.35),
        (Like::Qwen122B, 5_308_416, 122.11),
        (Like::Qwen35B, 1_769_472, 34.66),
    ] {
        let spec = like.spec();
        let weights = 3 * spec.hidden_size * spec.moe_intermediate_size;
        assert_eq!(weights * 9 / 16, record_bytes, "{like:?}: a record of 4.5 bits");
        let (hidden, layers) = (spec.hidden_size, spec.layers);
        let full = layers / spec.interval;
        let queries = spec.heads * spec.head_dim;
        let attention = hidden * (3 * queries + 2 * spec.kv_heads * spec.head_dim);
        let keys = spec.linear_key_heads * spec.linear_key_dim;
        let values = spec.linear_value_heads * spec.linear_value_dim;
        let linear = hidden * (2 * keys + 3 * values + 2 * spec.linear_value_heads)
            + (2 * keys + values) * spec.conv_kernel;
        let experts = spec.experts * weights
            + spec.experts * hidden
            + 3 * hidden * spec.shared_intermediate_size;
        let total = 2 * spec.vocab_size * hidden
            + full * attention
            + (layers - full) * linear
            + layers * experts;
        let found = total as f64 / 1e9;
        assert!(
            (found - billions).abs() < 0.01,
            "{like:?}: {found} billions, {billions} published"
        );
    }
}
