//! Headers of record files that are cut or that lie in one field: each is refused by name.

use std::path::Path;

use format::{
    DType, FormatError, RECORD_PREFIX, RecordHeader, RecordMatrix, TensorInfo, parse_record_header,
};

use crate::raw::check_message;

const NAME: &str = "dir/experts-00003.records";
const MODULE: &str = "language_model.model.layers.3.mlp.switch_mlp";

/// Two records of planes whose lengths leave gaps: 48 + 16 | 40 + 24 | 60.
pub(crate) fn header() -> RecordHeader {
    let plane = |name: &str, dtype: DType, shape: &[usize]| TensorInfo {
        name: format!("{MODULE}.{name}"),
        dtype,
        shape: shape.to_vec(),
        file: 0,
        offset: 0,
        bytes: (shape.iter().product::<usize>() * dtype.bytes()) as u64,
    };
    let matrix = |planes: Vec<TensorInfo>| RecordMatrix { storage: "some".to_owned(), planes };
    let matrices = [
        matrix(vec![
            plane("gate_proj.weight", DType::U32, &[3, 4]),
            plane("gate_proj.scales", DType::BF16, &[3, 1]),
            plane("gate_proj.biases", DType::BF16, &[3, 1]),
        ]),
        matrix(vec![plane("up_proj.weight", DType::U32, &[2, 5])]),
        matrix(vec![plane("down_proj.weight", DType::F32, &[5, 3])]),
    ];
    let mut header = RecordHeader::new(3, MODULE.to_owned(), 2, matrices);
    header.checksums = vec![0x0123_4567_89ab_cdef, 7];
    header
}

/// The JSON of the good header.
fn json() -> String {
    let bytes = header().to_bytes();
    String::from_utf8(bytes[16..].to_vec()).unwrap().trim_end().to_owned()
}

/// What a file with this JSON begins with.
fn begin(json: &str) -> Vec<u8> {
    let length = (16 + json.len()).next_multiple_of(4096) - 16;
    let mut bytes = RECORD_PREFIX.to_vec();
    bytes.extend((length as u64).to_le_bytes());
    bytes.extend(json.as_bytes());
    bytes.resize(16 + length, b' ');
    bytes
}

fn parse(begin: &[u8], file_bytes: u64) -> Result<RecordHeader, FormatError> {
    parse_record_header(Path::new(NAME), begin, file_bytes)
}

#[test]
fn a_header_is_read_as_it_was_written() {
    let header = header();
    let bytes = header.to_bytes();
    assert_eq!(bytes.len() as u64, header.data_offset, "the header ends where the data begins");
    assert!(header.data_offset.is_multiple_of(4096), "aligned");
    let offsets: Vec<u64> = header.planes().map(|plane| plane.offset).collect();
    assert_eq!(offsets, [0, 64, 128, 192, 256], "planes at multiples of 64, in their order");
    assert_eq!((header.record_bytes, header.stride_bytes), (256 + 60, 4096), "one record");
    assert_eq!(header.file_bytes(), 4096 + 2 * 4096, "all of it");
    assert_eq!(parse(&bytes, header.file_bytes()).unwrap(), header, "read back");
    let more = [&bytes[..], &[7; 100]].concat();
    assert_eq!(parse(&more, header.file_bytes()).unwrap(), header, "what follows is not looked at");
    let unsummed = RecordHeader { checksums: vec![0; 2], ..header.clone() };
    assert_eq!(unsummed.to_bytes().len(), bytes.len(), "as long before the sums are known");
}

#[test]
fn a_header_cut_anywhere_is_refused() {
    let (bytes, whole) = (header().to_bytes(), header().file_bytes());
    for length in 0..bytes.len() {
        let error = parse(&bytes[..length], whole).expect_err("accepted");
        check_message(&length.to_string(), &error, &[NAME]);
        let error = parse(&bytes[..length], length as u64).expect_err("accepted");
        check_message(&length.to_string(), &error, &[NAME]);
    }
    for length in (0..whole).chain(whole + 1..whole + 5000) {
        let error = parse(&bytes, length).expect_err("accepted");
        check_message(&length.to_string(), &error, &[NAME]);
    }
}

#[test]
fn lies_before_the_json_are_refused() {
    let whole = header().file_bytes();
    for (at, part) in [(0, "first bytes"), (3, "first bytes"), (4, "version 1"), (7, "version 1")] {
        let mut lie = header().to_bytes();
        lie[at] ^= 2;
        check_message(part, &parse(&lie, whole).expect_err("accepted"), &[NAME, part]);
    }
    let length = header().data_offset - 16;
    for (lie, part) in [
        (0, "claims 0 bytes"),
        (1, "multiple of 4096"),
        (length + 1, "multiple of 4096"),
        (length + 4096, "claims"),
        (whole - 16, "claims"),
        (whole - 16 + 4096, "claims"),
        (1 << 24, "multiple of 4096"),
        ((1 << 24) + 1, "1 to 16777216"),
        (u64::MAX, "1 to 16777216"),
        (u64::MAX - 15, "1 to 16777216"),
    ] {
        let mut bytes = header().to_bytes();
        bytes[8..16].copy_from_slice(&lie.to_le_bytes());
        let file_bytes = if lie == 1 << 24 { 1 << 40 } else { whole };
        let error = parse(&bytes, file_bytes).expect_err("accepted");
        check_message(&lie.to_string(), &error, &[NAME, part]);
    }
}

/// What is replaced, by what, and what the error must say.
type Lie = (&'static str, &'static str, &'static [&'static str]);

#[rustfmt::skip]
const LIES: &[Lie] = &[
    (r#""layer":3"#, r#""layer":2"#, &["module", "layers.2.mlp"]),
    (r#""layer":3"#, r#""layer":65536"#, &["layer", "0 to 65535"]),
    (r#""layer":3"#, r#""layer":-3"#, &["`-3`"]),
    (r#""layer":3"#, r#""layer":3,"layer":3"#, &["duplicate"]),
    (r#""layer":3,"#, "", &["missing", "layer"]),
    (r#""layer":3"#, r#""later":1,"layer":3"#, &["unknown field", "later"]),
    ("layers.3.mlp.switch_mlp\"", "layers.13.mlp.switch_mlp\"", &["module"]),
    ("layers.3.mlp.switch_mlp\"", "layers.3.mlp.experts\"", &["module", "switch_mlp"]),
    ("model.layers", "modelayers", &["module"]),
    ("model.layers", "model.\\nlayers", &["module"]),
    (r#""records":2"#, r#""records":0"#, &["records", "1 to 65536"]),
    (r#""records":2"#, r#""records":1"#, &["length of the file", "8192"]),
    (r#""records":2"#, r#""records":65537"#, &["records", "1 to 65536"]),
    (r#""records":2"#, r#""records":18446744073709551615"#, &["records", "1 to 65536"]),
    (r#""records":2"#, r#""records":18446744073709551616"#, &["header"]),
    (r#""record_bytes":316"#, r#""record_bytes":0"#, &["record_bytes", "1 to 4294967296"]),
    (r#""record_bytes":316"#, r#""record_bytes":315"#, &["record_bytes", "316"]),
    (r#""record_bytes":316"#, r#""record_bytes":4096"#, &["record_bytes", "316"]),
    (r#""record_bytes":316"#, r#""record_bytes":4097"#, &["stride_bytes", "8192"]),
    (r#""record_bytes":316"#, r#""record_bytes":4294967297"#, &["record_bytes", "1 to 4294967296"]),
    (r#""stride_bytes":4096"#, r#""stride_bytes":0"#, &["stride_bytes", "4096"]),
    (r#""stride_bytes":4096"#, r#""stride_bytes":8192"#, &["stride_bytes", "4096"]),
    (r#""stride_bytes":4096"#, r#""stride_bytes":18446744073709551615"#, &["stride_bytes"]),
    (r#""gate_proj""#, r#""up_proj""#, &["matrices", "gate_proj"]),
    (r#"{"name":"down_proj""#, r#"{"name":"down\nproj""#, &["matrices", "down_proj"]),
    (r#""storage":"some""#, r#""storage":"""#, &["gate_proj.storage", "1 to 256"]),
    (r#""storage":"some""#, r#""storage":7"#, &["header"]),
    (r#""name":"weight""#, r#""name":"scales""#, &["gate_proj.planes", "weight"]),
    (r#""name":"scales""#, r#""name":"weight""#, &["declared twice"]),
    (r#""name":"scales""#, r#""name":"zeros""#, &["name", "zeros", "weight_scale_inv"]),
    (r#""dtype":"U32""#, r#""dtype":"U33""#, &["gate_proj.weight", "U33", "unknown"]),
    (r#""dtype":"U32""#, r#""dtype":"U16""#, &["gate_proj.weight", "bytes", "24"]),
    ("[3,4]", "[3,5]", &["gate_proj.weight", "bytes", "60"]),
    ("[3,4]", "[3,0]", &["gate_proj.weight", "bytes"]),
    ("[3,4]", "[4294967296,4294967296]", &["gate_proj.weight", "too large"]),
    ("[3,4]", "[1,1,1,1,1,1,1,3,4]", &["gate_proj.weight", "9 dimensions"]),
    (r#""offset":64"#, r#""offset":48"#, &["gate_proj.scales", "offset", "64"]),
    (r#""offset":64"#, r#""offset":128"#, &["gate_proj.scales", "offset", "64"]),
    (r#""offset":0"#, r#""offset":18446744073709551615"#, &["gate_proj.weight", "offset", "0"]),
    (r#""bytes":48"#, r#""bytes":47"#, &["gate_proj.weight", "bytes", "48"]),
    (r#""bytes":48"#, r#""bytes":18446744073709551615"#, &["gate_proj.weight", "bytes", "48"]),
    ("xxh3-64", "crc32", &["checksum", "xxh3-64", "crc32"]),
    (r#","0000000000000007""#, "", &["checksums", "1 of them", "2"]),
    ("0000000000000007", "000000000000007", &["checksums[1]", "16 hexadecimal"]),
    ("0000000000000007", "000000000000000G", &["checksums[1]", "16 hexadecimal"]),
    ("0123456789abcdef", "0123456789ABCDEF", &["checksums[0]", "lower case"]),
    ("0123456789abcdef", "0123456789abcdé", &["checksums[0]", "16 hexadecimal"]),
];

#[test]
fn every_lie_is_refused_by_name() {
    let (good, whole) = (json(), header().file_bytes());
    assert_eq!(parse(&begin(&good), whole).unwrap(), header(), "the good one");
    for (from, to, parts) in LIES {
        assert!(good.contains(from), "{from} is not in {good}");
        let case = format!("{from} -> {to}");
        let lie = begin(&good.replacen(from, to, 1));
        let error = parse(&lie, whole).err().unwrap_or_else(|| panic!("{case}: accepted"));
        check_message(&case, &error, parts);
        check_message(&case, &error, &[NAME]);
    }
}

#[test]
fn long_names_stay_short_in_errors() {
    let long = "x".repeat(100_000);
    for (from, to) in [
        ("language_model", long.as_str()),
        ("\"some\"", &format!("\"{long}\"")),
        ("\"scales\"", &format!("\"{long}\"")),
        ("\"U32\"", &format!("\"{long}\"")),
        ("xxh3-64", &long),
        ("0123456789abcdef", &long),
        ("\"gate_proj\"", &format!("\"{long}\"")),
    ] {
        let lie = begin(&json().replacen(from, to, 1));
        // The longer header moves the end of the file.
        let error = parse(&lie, lie.len() as u64 + 2 * 4096).expect_err("accepted");
        check_message(from, &error, &[NAME]);
    }
}
