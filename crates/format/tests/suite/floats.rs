//! Floats read from bytes against the half crate, over every half there is.

use format::{DType, FormatError, decode_floats};
use half::{bf16, f16};

fn bytes_of(all: impl Iterator<Item = u16>) -> Vec<u8> {
    all.flat_map(u16::to_le_bytes).collect()
}

/// Same bits, but for a NaN, which has to be a NaN of the same sign.
fn assert_same(found: f32, expected: f32, raw: u16) {
    if expected.is_nan() {
        assert!(found.is_nan(), "{raw:#06x}: {found} is no NaN");
        assert_eq!(found.is_sign_negative(), expected.is_sign_negative(), "{raw:#06x}");
    } else {
        assert_eq!(found.to_bits(), expected.to_bits(), "{raw:#06x}: {found} vs {expected}");
    }
}

#[test]
fn every_f16_and_bf16_is_exact() {
    let bytes = bytes_of(0..=u16::MAX);
    let halves = decode_floats(DType::F16, &bytes).unwrap();
    let brains = decode_floats(DType::BF16, &bytes).unwrap();
    assert_eq!((halves.len(), brains.len()), (65536, 65536));
    for raw in 0..=u16::MAX {
        assert_same(halves[usize::from(raw)], f16::from_bits(raw).to_f32(), raw);
        assert_same(brains[usize::from(raw)], bf16::from_bits(raw).to_f32(), raw);
    }
}

#[test]
fn a_few_by_hand() {
    let halves = decode_floats(DType::F16, &bytes_of([0x0001, 0x03ff, 0x7bff, 0xfc00].into_iter()));
    assert_eq!(
        halves.unwrap(),
        [2f32.powi(-24), 1023.0 * 2f32.powi(-24), 65504.0, f32::NEG_INFINITY]
    );
    let brains = decode_floats(DType::BF16, &bytes_of([0x3f80, 0xc000, 0x0001].into_iter()));
    assert_eq!(brains.unwrap(), [1.0, -2.0, f32::from_bits(0x0001_0000)]);
}

#[test]
fn f32_keeps_every_bit_and_f64_rounds() {
    let all = [0.0f32, -0.0, 1.5, f32::MIN_POSITIVE / 8.0, f32::MAX, f32::INFINITY, f32::NAN];
    let bytes: Vec<u8> = all.iter().flat_map(|x| x.to_le_bytes()).collect();
    let found = decode_floats(DType::F32, &bytes).unwrap();
    assert!(found.iter().zip(all).all(|(a, b)| a.to_bits() == b.to_bits()), "{found:?}");

    let wide = [0.1f64, 1e300, -1e-300, f64::NEG_INFINITY, 16_777_217.0];
    let bytes: Vec<u8> = wide.iter().flat_map(|x| x.to_le_bytes()).collect();
    let found = decode_floats(DType::F64, &bytes).unwrap();
    assert_eq!(found, [0.1f32, f32::INFINITY, 0.0, f32::NEG_INFINITY, 16_777_216.0]);
    assert!(decode_floats(DType::F64, &f64::NAN.to_le_bytes()).unwrap()[0].is_nan());
}

#[test]
fn other_dtypes_and_parts_of_elements_are_refused() {
    for dtype in DType::ALL {
        let float = matches!(dtype, DType::F64 | DType::F32 | DType::F16 | DType::BF16);
        for length in 0..=32 {
            let bytes = vec![0; length];
            match decode_floats(dtype, &bytes) {
                Ok(found) => {
                    assert!(float && length % dtype.bytes() == 0, "{dtype}: {length} accepted");
                    assert_eq!(found.len(), length / dtype.bytes());
                }
                Err(error) => {
                    assert!(!float || length % dtype.bytes() != 0, "{dtype}: {length} refused");
                    assert!(matches!(error, FormatError::NotFloats { .. }), "{error}");
                    let message = error.to_string();
                    assert!(message.contains(dtype.name()), "{message}");
                    assert!(message.contains(&length.to_string()), "{message}");
                }
            }
        }
    }
}

#[test]
fn dtype_names_go_there_and_back() {
    for dtype in DType::ALL {
        assert_eq!(DType::parse(dtype.name()), Some(dtype));
        assert_eq!(dtype.to_string(), dtype.name());
        assert_eq!(dtype.bits(), 8 * dtype.bytes());
        assert_eq!(DType::parse(&dtype.name().to_lowercase()), None);
    }
    assert_eq!(DType::parse("F8_E4M3"), Some(DType::F8E4M3));
    assert_eq!(DType::parse("F8E4M3"), None);
}
