//! A repack that was cut off anywhere goes on, and what comes out are the same bytes.

use std::fs;

use format::{JOURNAL, MANIFEST};
use model::repack::RepackError;

use crate::setup::{check, checkpoint, cut, cut_behind, files, folder, says, whole};

#[test]
fn cut_off_anywhere_it_goes_on_to_the_same_bytes() {
    let (source, wanted) = (checkpoint(1), folder());
    let done = whole(source.path(), wanted.path()).expect("it is repacked");
    assert_eq!((done.layers, done.layers_kept), (4, 0), "all of it");
    assert!(!done.already && !done.started_over, "{done:?}");
    let wanted = files(wanted.path());
    assert!(wanted.contains_key("LICENSE") && wanted.contains_key("tokenizer.json"), "all along");
    assert!(!wanted.contains_key(JOURNAL) && !wanted.keys().any(|name| name.starts_with('.')));
    let bytes: usize = wanted.values().map(Vec::len).sum();
    assert_eq!(bytes as u64, done.bytes + wanted[MANIFEST].len() as u64, "as it says");
    let mut cuts = 0;
    // Each step waits for the disk: every other one has to do.
    for steps in (0..).step_by(2) {
        let out = folder();
        match cut(source.path(), out.path(), steps) {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, RepackError::Cancelled), "{steps}: {error}"),
        }
        cuts += 1;
        assert!(!out.path().join(MANIFEST).exists(), "{steps}: it is no model yet");
        let error = format::Catalog::open(out.path()).expect_err("no model");
        assert!(error.to_string().contains("not finished"), "{steps}: {error}");
        let finished = files(out.path()).keys().filter(|name| name.ends_with(".records")).count();
        let done = whole(source.path(), out.path()).expect("it goes on");
        assert_eq!(done.layers_kept, finished, "{steps}: what is there is kept");
        assert!(!done.started_over, "{steps}: {done:?}");
        assert!(files(out.path()) == wanted, "{steps}: the same bytes");
    }
    assert!(cuts > 10, "it was cut off at {cuts} steps");
}

#[test]
fn finished_files_are_not_written_again() {
    let (source, out) = (checkpoint(1), folder());
    let first = out.path().join("experts-00000.records");
    cut_behind(source.path(), out.path(), "experts-00000.records");
    let modified = || fs::metadata(&first).and_then(|about| about.modified()).expect("a time");
    let before = modified();
    whole(source.path(), out.path()).expect("it goes on");
    assert_eq!(modified(), before, "it was left alone");
    let again = whole(source.path(), out.path()).expect("nothing to do");
    assert!(again.already && modified() == before, "{again:?}");
}

#[test]
fn a_finished_file_of_another_length_is_written_again() {
    let (source, out, wanted) = (checkpoint(1), folder(), folder());
    whole(source.path(), wanted.path()).expect("it is repacked");
    let wanted = files(wanted.path());
    for name in ["experts-00000.records", "trunk.safetensors"] {
        let path = out.path().join(name);
        cut_behind(source.path(), out.path(), name);
        let file = fs::OpenOptions::new().write(true).open(&path).expect("it can be opened");
        file.set_len(5000).expect("it can be cut");
        whole(source.path(), out.path()).expect("it goes on");
        assert!(files(out.path()) == wanted, "{name}: the same bytes");
        fs::remove_dir_all(out.path()).expect("it can be removed");
    }
}

#[test]
fn another_source_begins_anew_and_says_so() {
    let (first, second, out) = (checkpoint(1), checkpoint(2), folder());
    fs::write(first.path().join("only-here.txt"), "x").expect("it can be written");
    cut_behind(first.path(), out.path(), "experts-00001.records");
    let done = whole(second.path(), out.path()).expect("it begins anew");
    assert!(done.started_over && done.layers_kept == 0, "{done:?}");
    let wanted = folder();
    whole(second.path(), wanted.path()).expect("it is repacked");
    assert!(files(out.path()) == files(wanted.path()), "nothing of the first is left");
    check(out.path(), Some(second.path())).expect("good");
}

#[test]
fn a_source_that_changes_between_two_runs_begins_anew() {
    let (source, out) = (checkpoint(1), folder());
    assert!(cut(source.path(), out.path(), 12).is_err(), "not to the end");
    let config = source.path().join("config.json");
    let text = fs::read_to_string(&config).expect("it can be read");
    fs::write(&config, text + "\n").expect("it can be written");
    assert!(whole(source.path(), out.path()).expect("it goes on").started_over, "said");
    check(out.path(), Some(source.path())).expect("good");
}

#[test]
fn a_source_that_changes_meanwhile_is_no_model() {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    let (source, out) = (checkpoint(1), folder());
    let config = source.path().join("config.json");
    let told = AtomicUsize::new(0);
    let tell = |_, _| {
        if told.fetch_add(1, Ordering::Relaxed) == 10 {
            let text = fs::read_to_string(&config).expect("it can be read");
            fs::write(&config, text + "\n").expect("it can be written");
        }
    };
    let cancel = AtomicBool::new(false);
    let error = model::repack::repack(source.path(), out.path(), &tell, &cancel);
    says(&error.expect_err("it changed"), &["config.json", "changed while it was read"]);
    assert!(!out.path().join(MANIFEST).exists(), "no model");
    assert!(whole(source.path(), out.path()).expect("now it stays").started_over, "begun anew");
}
