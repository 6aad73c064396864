//! What a repack refuses before it writes anything.

use std::fs;

use format::{JOURNAL, MANIFEST};
use model::repack::{RepackError, refuse_full};

use crate::setup::{checkpoint, cut, files, folder, says, whole};

#[test]
fn the_same_directory_is_refused_by_any_name() {
    let source = checkpoint(1);
    let before = files(source.path());
    let error = whole(source.path(), source.path()).expect_err("the same");
    says(&error, &["is the checkpoint itself", "another directory"]);
    let roundabout = source.path().join("../").join(source.path().file_name().expect("a name"));
    let error = whole(source.path(), &roundabout).expect_err("the same");
    says(&error, &["is the checkpoint itself"]);
    assert!(files(source.path()) == before, "nothing was touched");
}

#[test]
fn a_directory_that_holds_something_else_is_refused_and_left_alone() {
    let (source, out) = (checkpoint(1), folder());
    fs::write(out.path().join("thesis.doc"), "years of work").expect("it can be written");
    let error = whole(source.path(), out.path()).expect_err("not empty");
    says(&error, &["thesis.doc", "new or empty directory"]);
    let left: Vec<String> = files(out.path()).into_keys().collect();
    assert_eq!(left, ["thesis.doc"], "nothing was added");
}

#[test]
fn a_finished_checkpoint_is_done_or_another_one() {
    let (source, out) = (checkpoint(1), folder());
    whole(source.path(), out.path()).expect("it is repacked");
    let before = files(out.path());
    let again = whole(source.path(), out.path()).expect("already done");
    assert!(again.already, "{again:?}");
    // Copied, so that it was written at another time: it is read and found to be the same.
    let copy = folder();
    for (name, bytes) in files(source.path()) {
        fs::write(copy.path().join(name), bytes).expect("it can be written");
    }
    assert!(whole(copy.path(), out.path()).expect("already done").already, "the same bytes");
    // The same names and lengths, other noise.
    let error = whole(checkpoint(2).path(), out.path()).expect_err("another");
    says(&error, &["holds another checkpoint", "model.safetensors"]);
    fs::remove_file(copy.path().join("LICENSE")).expect("it can be removed");
    let error = whole(copy.path(), out.path()).expect_err("another");
    says(&error, &["holds another checkpoint", "files"]);
    assert!(files(out.path()) == before, "nothing was touched");
    fs::remove_file(out.path().join("experts-00002.records")).expect("it can be removed");
    let error = whole(source.path(), out.path()).expect_err("damaged");
    says(&error, &["experts-00002.records"]);
}

#[test]
fn what_is_repacked_is_not_repacked_again() {
    let (source, out) = (checkpoint(1), folder());
    whole(source.path(), out.path()).expect("it is repacked");
    let error = whole(out.path(), folder().path()).expect_err("repacked");
    says(&error, &["is repacked already", "as it was published"]);
    let error = cut(source.path(), folder().path(), 3).expect_err("cut off");
    assert!(matches!(error, RepackError::Cancelled), "{error}");
}

#[test]
fn what_cannot_be_run_is_not_repacked() {
    let (source, out) = (checkpoint(1), folder());
    fs::write(source.path().join("config.json"), "{}").expect("it can be written");
    says(&whole(source.path(), out.path()).expect_err("no model"), &["config.json"]);
    let nothing = folder();
    assert!(whole(&nothing.path().join("none"), out.path()).is_err(), "no such directory");
    assert!(files(out.path()).is_empty(), "nothing was written");
}

#[test]
fn two_at_once_are_one_too_many() {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;
    let (source, out) = (checkpoint(1), folder());
    let second = Mutex::new(None);
    let tell = |_, _| {
        let mut second = second.lock().expect("nobody panicked");
        second.get_or_insert_with(|| whole(source.path(), out.path()).err());
    };
    let first = model::repack::repack(source.path(), out.path(), &tell, &AtomicBool::new(false));
    assert!(first.is_ok(), "{first:?}");
    let second = second.into_inner().expect("nobody panicked").flatten().expect("refused");
    says(&second, &["another repack writes"]);
}

#[test]
fn no_room_is_refused_with_both_numbers() {
    let path = std::path::Path::new("out");
    assert!(refuse_full(path, 100, 100).is_ok(), "just enough");
    says(&refuse_full(path, 101, 100).expect_err("too little"), &["out", "101", "100", "free"]);
    assert!([MANIFEST, JOURNAL].iter().all(|name| name.starts_with("flash-moe")), "known names");
}
