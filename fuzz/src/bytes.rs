//! Lies told in bytes: cut, flip, splice, repeat, swap, and numbers that are not what they were.

use super::rng::Rng;

/// Values at which arithmetic on lengths tends to break.
const EDGES: [u64; 14] = [
    0,
    1,
    7,
    8,
    0x7F,
    0xFF,
    0xFFFF,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    0x1_0000_0000,
    100_000_000,
    0x7FFF_FFFF_FFFF_FFFF,
    0xFFFF_FFFF_FFFF_FFF8,
    u64::MAX,
];

/// The same as text, with forms that JSON allows and forms that it does not.
pub(crate) const NUMBERS: [&str; 22] = [
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "0.5",
    "1.0",
    "1e0",
    "1e3",
    "1e999",
    "-1e-999",
    "255",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "00012",
    "NaN",
];

/// One lie, in place. `other` is a second input of the same kind to splice from.
pub(crate) fn lie(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    match rng.below(11) {
        0 => bytes.truncate(rng.below(bytes.len() + 1)),
        1 => flip(bytes, rng),
        2 => {
            let range = rng.range(bytes.len());
            bytes.drain(range);
        }
        3 => {
            let piece = bytes[rng.range(bytes.len())].to_vec();
            insert(bytes, &piece, rng);
        }
        4 => {
            let piece = other[rng.range(other.len())].to_vec();
            insert(bytes, &piece, rng);
        }
        5 => {
            let at = rng.below(bytes.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[rng.below(other.len() + 1)..]);
        }
        6 => swap(bytes, rng),
        7 => {
            let noise: Vec<u8> = (0..=rng.below(8)).map(|_| rng.draw() as u8).collect();
            insert(bytes, &noise, rng);
        }
        8 => edge(bytes, rng),
        _ => digits(bytes, rng),
    }
}

fn flip(bytes: &mut [u8], rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        let at = rng.below(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << rng.below(8);
        }
    }
}

fn insert(bytes: &mut Vec<u8>, piece: &[u8], rng: &mut Rng) {
    let at = rng.below(bytes.len() + 1);
    bytes.splice(at..at, piece.iter().copied());
}

/// Two pieces of one length change places.
fn swap(bytes: &mut [u8], rng: &mut Rng) {
    let half = bytes.len() / 2;
    let len = rng.below(half.min(64) + 1);
    let (left, right) = bytes.split_at_mut(half);
    let (a, b) = (rng.below(left.len() - len + 1), rng.below(right.len() - len + 1));
    left[a..a + len].swap_with_slice(&mut right[b..b + len]);
}

/// A little-endian number of 4 or 8 bytes becomes one from the edges, mostly where lengths lie.
fn edge(bytes: &mut [u8], rng: &mut Rng) {
    let (value, width) = (*rng.pick(&EDGES), if rng.once_in(2) { 8 } else { 4 });
    let at = if rng.once_in(2) { rng.below(8) * 4 } else { rng.below(bytes.len()) };
    for (place, byte) in bytes.iter_mut().skip(at).zip(value.to_le_bytes()).take(width) {
        *place = byte;
    }
}

/// A run of ASCII digits becomes another number.
fn digits(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let from = rng.below(bytes.len());
    let Some(start) = bytes[from..].iter().position(u8::is_ascii_digit).map(|n| from + n) else {
        return;
    };
    let len = bytes[start..].iter().take_while(|b| b.is_ascii_digit()).count();
    bytes.splice(start..start + len, rng.pick(&NUMBERS).bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_survives_and_most_lies_change_something() {
        let mut changed = 0;
        for iteration in 0..4000 {
            let mut rng = Rng::new(5, iteration);
            let original: Vec<u8> = (0..rng.below(40)).map(|n| b"0123abc\xFF"[n % 8]).collect();
            let mut bytes = original.clone();
            lie(&mut bytes, b"other 77", &mut rng);
            changed += usize::from(bytes != original);
            lie(&mut bytes, b"", &mut rng);
        }
        assert!(changed > 3000, "only {changed} of 4000 changed");
    }
}
