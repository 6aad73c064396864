//! The safetensors crate as the twin: it writes what we read, and what it refuses we refuse.

use std::collections::HashMap;
use std::fs;

use format::{Catalog, DType, FormatError};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

use crate::raw::{Rng, file, parse};

const TWINS: [(DType, Dtype); 16] = [
    (DType::F64, Dtype::F64),
    (DType::F32, Dtype::F32),
    (DType::F16, Dtype::F16),
    (DType::BF16, Dtype::BF16),
    (DType::F8E4M3, Dtype::F8_E4M3),
    (DType::F8E5M2, Dtype::F8_E5M2),
    (DType::F8E8M0, Dtype::F8_E8M0),
    (DType::I64, Dtype::I64),
    (DType::U64, Dtype::U64),
    (DType::I32, Dtype::I32),
    (DType::U32, Dtype::U32),
    (DType::I16, Dtype::I16),
    (DType::U16, Dtype::U16),
    (DType::I8, Dtype::I8),
    (DType::U8, Dtype::U8),
    (DType::Bool, Dtype::BOOL),
];

fn name_of(dtype: Dtype) -> &'static str {
    let twin = TWINS.iter().find(|(_, theirs)| *theirs == dtype);
    twin.expect("only twins are written").0.name()
}

#[test]
fn dtypes_have_the_same_names_and_sizes() {
    for (ours, theirs) in TWINS {
        assert_eq!(ours.bits(), theirs.bitsize(), "{ours}");
        assert_eq!(serde_json::to_value(theirs).unwrap(), ours.name(), "{ours}");
    }
}

/// A file of up to nine random tensors, by the twin's writer.
fn written(rng: &mut Rng) -> Vec<u8> {
    let mut tensors = Vec::new();
    for i in 0..rng.below(10) {
        let (_, dtype) = TWINS[rng.below(TWINS.len())];
        let shape: Vec<usize> = (0..rng.below(5)).map(|_| rng.below(5)).collect();
        let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let data: Vec<u8> = (0..bytes).map(|_| rng.next() as u8).collect();
        tensors.push((format!("t{i}.{}é", rng.below(99)), dtype, shape, data));
    }
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    let metadata = HashMap::from([("made by".to_owned(), "the twin".to_owned())]);
    serialize(views, (rng.below(2) == 0).then_some(metadata)).unwrap()
}

#[test]
fn what_the_twin_writes_is_read_alike() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let mut rng = Rng(1);
    for _ in 0..300 {
        let bytes = written(&mut rng);
        fs::write(&path, &bytes).unwrap();
        let catalog = Catalog::open(dir.path()).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let twin = SafeTensors::deserialize(&bytes).unwrap();

        assert_eq!(catalog.len(), twin.len());
        assert_eq!(catalog.is_empty(), twin.is_empty());
        let data: usize = twin.iter().map(|(_, view)| view.data().len()).sum();
        assert_eq!(catalog.total_bytes(), data as u64);
        assert_eq!(catalog.files[0].bytes, bytes.len() as u64);
        let metadata: HashMap<_, _> = catalog.files[0].metadata.clone().into_iter().collect();
        assert_eq!(metadata, header.metadata().clone().unwrap_or_default());
        for (name, view) in twin.iter() {
            let ours = catalog.require(name).unwrap();
            assert_eq!((ours.name.as_str(), ours.file), (name, 0));
            assert_eq!(ours.dtype.name(), name_of(view.dtype()), "{name}");
            assert_eq!(ours.shape, view.shape(), "{name}");
            let (begin, length) = (ours.offset as usize, ours.bytes as usize);
            assert_eq!(&bytes[begin..begin + length], view.data(), "{name}");
        }
    }
}

/// Where we are stricter than the twin, by intent.
fn stricter(error: &FormatError) -> bool {
    match error {
        // The twin lets the last one win.
        FormatError::DuplicateTensor { .. } => true,
        FormatError::Json { what, .. } if what.contains("given twice") => true,
        // It knows dtypes of parts of a byte, and complex numbers.
        FormatError::UnknownDType { found, .. } => {
            ["F4", "F6_E2M3", "F6_E3M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"]
                .contains(&found.as_str())
        }
        FormatError::TooManyDims { .. } => true,
        FormatError::ShapeOverflow { shape, .. } => shape.contains(&0),
        _ => false,
    }
}

/// Pieces of headers: what a mutation puts in.
const PIECES: [&str; 24] = [
    "0",
    "1",
    "16",
    "24",
    "-1",
    "1.0",
    "1e3",
    "18446744073709551615",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "null",
    "true",
    "\"alpha\"",
    "\"F32\"",
    "\"BOOL\"",
    "\"shape\"",
    "__metadata__",
    "\\u0061",
    " ",
];

fn mutated(json: &str, rng: &mut Rng) -> Option<String> {
    let mut bytes = json.as_bytes().to_vec();
    for _ in 0..1 + rng.below(3) {
        let at = rng.below(bytes.len());
        let piece = PIECES[rng.below(PIECES.len())].bytes();
        match rng.below(4) {
            0 => {
                bytes.splice(at..at, piece);
            }
            1 => {
                bytes.splice(at..at + 1, piece);
            }
            2 => {
                bytes.remove(at);
            }
            _ => {
                let (from, length) = (rng.below(bytes.len()), rng.below(60));
                let copy = bytes[from..bytes.len().min(from + length)].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[test]
fn mutated_headers_get_the_twins_verdict() {
    let good = r#"{"__metadata__":{"a":"b"},"alpha":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"beta":{"dtype":"BF16","shape":[4],"data_offsets":[16,24]}}"#;
    let mut rng = Rng(2);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..200_000 {
        let Some(json) = mutated(good, &mut rng) else { continue };
        let bytes = file(&json, 24);
        match (parse(&bytes), SafeTensors::deserialize(&bytes)) {
            (Ok(ours), Ok(theirs)) => {
                accepted += 1;
                assert_eq!(ours.len(), theirs.len(), "{json}");
                for tensor in ours {
                    let view = theirs.tensor(&tensor.name).unwrap();
                    let begin = tensor.offset as usize;
                    let data = &bytes[begin..begin + tensor.bytes as usize];
                    assert_eq!(data.as_ptr(), view.data().as_ptr(), "{json}");
                    assert_eq!(data, view.data(), "{json}");
                    assert_eq!(tensor.shape, view.shape(), "{json}");
                }
            }
            (Err(_), Err(_)) => refused += 1,
            (Err(error), Ok(_)) => assert!(stricter(&error), "only we refuse {json}: {error}"),
            (Ok(_), Err(error)) => panic!("only the twin refuses {json}: {error}"),
        }
    }
    assert!(accepted > 1000 && refused > 1000, "{accepted} accepted, {refused} refused");
}
