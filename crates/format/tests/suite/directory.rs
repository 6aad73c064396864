//! Which files of a directory make up the model, and what a directory that is none says.

use std::fs;
use std::path::Path;

use format::{Catalog, DType, FormatError};

use crate::raw::{check_message, file};

/// A file of U8 tensors with these names and lengths.
pub(crate) fn write(dir: &Path, name: &str, tensors: &[(&str, usize)]) {
    let mut end = 0;
    let mut header = serde_json::Map::new();
    for (tensor, bytes) in tensors {
        let offsets = [end, end + bytes];
        header.insert(
            (*tensor).to_owned(),
            serde_json::json!({"dtype": "U8", "shape": [bytes], "data_offsets": offsets}),
        );
        end += bytes;
    }
    let json = serde_json::Value::from(header).to_string();
    fs::write(dir.join(name), file(&json, end)).unwrap();
}

pub(crate) fn names(catalog: &Catalog) -> Vec<&str> {
    catalog.iter().map(|tensor| tensor.name.as_str()).collect()
}

fn file_names(catalog: &Catalog) -> Vec<&str> {
    catalog.files.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap()).collect()
}

#[test]
fn the_index_comes_before_the_single_file_before_all() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "z.safetensors", &[("z", 3)]);
    write(dir.path(), "a.safetensors", &[("y", 2), ("a", 1)]);
    fs::write(dir.path().join("config.json"), "{}").unwrap();
    fs::write(dir.path().join("._a.safetensors"), "a companion, no model").unwrap();
    let all = Catalog::open(dir.path()).unwrap();
    assert_eq!(names(&all), ["a", "y", "z"]);
    assert_eq!(file_names(&all), ["a.safetensors", "z.safetensors"]);
    assert_eq!(all.total_bytes(), 6);
    assert!(all.unlisted.is_empty(), "without an index nothing is left out");

    write(dir.path(), "model.safetensors", &[("single", 4)]);
    let single = Catalog::open(dir.path()).unwrap();
    assert_eq!((names(&single), file_names(&single)), (vec!["single"], vec!["model.safetensors"]));

    let index = r#"{"metadata":{"total_size":1},"weight_map":{"z":"z.safetensors"}}"#;
    fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
    let indexed = Catalog::open(dir.path()).unwrap();
    assert_eq!((names(&indexed), file_names(&indexed)), (vec!["z"], vec!["z.safetensors"]));
}

#[test]
fn tensors_are_found_by_name_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.safetensors", &[("one", 5), ("two", 7)]);
    write(dir.path(), "b.safetensors", &[("three", 9)]);
    let catalog = Catalog::open(dir.path()).unwrap();
    let two = catalog.require("two").unwrap();
    assert_eq!((two.dtype, two.shape.as_slice(), two.bytes), (DType::U8, &[7][..], 7));
    assert_eq!(
        two.offset + two.bytes,
        catalog.files[two.file].bytes,
        "two is the last in its file"
    );
    assert_eq!(catalog.path_of(two), dir.path().join("a.safetensors"));
    assert_eq!(catalog.get("three").unwrap().file, 1);
    assert_eq!(catalog.get("four"), None);
    let error = catalog.require("four").expect_err("found");
    let place = dir.path().display().to_string();
    check_message("four", &error, &[&place, "\"four\" is missing", "3 tensors in 2 file"]);
}

#[test]
fn a_tensor_in_two_files_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.safetensors", &[("same", 5)]);
    write(dir.path(), "b.safetensors", &[("other", 1), ("same", 5)]);
    let error = Catalog::open(dir.path()).expect_err("accepted");
    assert!(matches!(error, FormatError::InTwoShards { .. }), "{error}");
    check_message("two", &error, &["\"same\"", "a.safetensors", "b.safetensors"]);
}

#[test]
fn a_file_is_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "model.safetensors", &[("a", 1)]);
    fs::write(dir.path().join("notes.txt"), "hello").unwrap();
    let error = Catalog::open(&dir.path().join("model.safetensors")).expect_err("accepted");
    check_message("file", &error, &["model.safetensors", "name the directory"]);
    let error = Catalog::open(&dir.path().join("notes.txt")).expect_err("accepted");
    check_message("text", &error, &["notes.txt", "found a file", "expected a directory"]);
}

#[test]
fn directories_without_a_model_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().display().to_string();
    let error = Catalog::open(dir.path()).expect_err("accepted");
    check_message("empty", &error, &[&place, "no *.safetensors", "expected a directory with"]);
    let error = Catalog::open(&dir.path().join("none")).expect_err("accepted");
    check_message("none", &error, &["none", "cannot read the directory"]);

    fs::create_dir(dir.path().join("model.safetensors")).unwrap();
    let error = Catalog::open(dir.path()).expect_err("accepted");
    check_message("nested", &error, &["model.safetensors", "it is a directory"]);
    fs::create_dir(dir.path().join("model.safetensors.index.json")).unwrap();
    let error = Catalog::open(dir.path()).expect_err("accepted");
    check_message("nested index", &error, &["index.json", "it is a directory"]);
}

#[cfg(unix)]
#[test]
fn what_may_not_be_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "model.safetensors", &[("a", 1)]);
    let forbid = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let shard = dir.path().join("model.safetensors");
    forbid(&shard, 0o000);
    if fs::read(&shard).is_ok() {
        println!("SKIP unreadable files: this user may read everything");
        return;
    }
    let error = Catalog::open(dir.path()).expect_err("accepted");
    check_message("shard", &error, &["model.safetensors", "cannot open"]);
    forbid(dir.path(), 0o000);
    let error = Catalog::open(dir.path()).expect_err("accepted");
    check_message("directory", &error, &["cannot read the directory"]);
    forbid(dir.path(), 0o700);
}

/// Every checkpoint in the tree is described exactly as the safetensors crate describes it.
#[test]
fn the_fixtures_are_read_as_the_twin_reads_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let mut read = 0;
    for entry in fs::read_dir(&root).into_iter().flatten() {
        let dir = entry.unwrap().path();
        if !dir.join("config.json").exists() || !dir.join("model.safetensors.index.json").exists() {
            continue;
        }
        let catalog = Catalog::open(&dir).unwrap();
        read += 1;
        let mut count = 0;
        for file in &catalog.files {
            let bytes = fs::read(&file.path).unwrap();
            let twin = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            for (name, view) in twin.iter() {
                let ours = catalog.require(name).unwrap();
                let begin = ours.offset as usize;
                assert_eq!(ours.shape, view.shape(), "{name}");
                assert_eq!(&bytes[begin..begin + ours.bytes as usize], view.data(), "{name}");
                count += 1;
            }
        }
        assert_eq!(count, catalog.len(), "{}", dir.display());
    }
    if read == 0 {
        println!("SKIP fixtures: none in {}", root.display());
    }
}
