//! Output of which the beginning and the end are kept, and the middle is counted.

use std::collections::VecDeque;

/// Keeps at most a number of bytes of whatever is put in, half of them from each end.
#[derive(Clone, Debug)]
pub(super) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// For each end.
    half_bytes: usize,
    total_bytes: u64,
}

impl Capture {
    pub(super) fn new(limit_bytes: usize) -> Self {
        let half_bytes = limit_bytes / 2;
        Self { head: Vec::new(), tail: VecDeque::new(), half_bytes, total_bytes: 0 }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.total_bytes += bytes.len() as u64;
        let room = (self.half_bytes - self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.head.extend_from_slice(first);
        // Of a long piece only the end can stay.
        let rest = &rest[rest.len().saturating_sub(self.half_bytes)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.half_bytes);
        self.tail.drain(..over);
        self.tail.extend(rest);
    }

    /// As text: bytes that are none are replaced, and a line in the middle says what is missing.
    pub(super) fn text(&self) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        let kept = (self.head.len() + tail.len()) as u64;
        let left_out = self.total_bytes - kept;
        if left_out == 0 {
            let all = [self.head.as_slice(), &tail].concat();
            return String::from_utf8_lossy(&all).into_owned();
        }
        // A character cut in two at either side of the gap is no damage of the output's own.
        let head = self.head.as_slice();
        let head = &head[..head.len() - cut_behind(head)];
        let tail = &tail[tail.iter().take(3).take_while(|byte| is_inner(**byte)).count()..];
        let lost = left_out + kept - (head.len() + tail.len()) as u64;
        let (head, tail) = (String::from_utf8_lossy(head), String::from_utf8_lossy(tail));
        format!("{head}\n[… {lost} bytes left out …]\n{tail}")
    }
}

/// The same for a text that is there already.
pub(super) fn bounded(text: &str, limit_bytes: usize) -> String {
    let mut capture = Capture::new(limit_bytes);
    capture.put(text.as_bytes());
    capture.text()
}

/// Bytes at the end that begin a character without ending it.
fn cut_behind(bytes: &[u8]) -> usize {
    let Some(back) = (1..=bytes.len().min(3)).find(|n| !is_inner(bytes[bytes.len() - n])) else {
        return 0;
    };
    let wanted = match bytes[bytes.len() - back] {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    };
    if wanted > back { back } else { 0 }
}

fn is_inner(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_whole() {
        let mut capture = Capture::new(10);
        capture.put(b"01234");
        capture.put(b"56789");
        assert_eq!(capture.text(), "0123456789", "ten of ten");
    }

    /// Against the plain way: all bytes kept, cut at the end.
    #[test]
    fn both_ends_stay_however_the_bytes_come() {
        let all: Vec<u8> = (0..200).map(|n| b'a' + n % 26).collect();
        for step in [1, 3, 7, 50, 200] {
            let mut capture = Capture::new(20);
            all.chunks(step).for_each(|piece| capture.put(piece));
            let head = String::from_utf8_lossy(&all[..10]).into_owned();
            let tail = String::from_utf8_lossy(&all[190..]).into_owned();
            let wanted = format!("{head}\n[… 180 bytes left out …]\n{tail}");
            assert_eq!(capture.text(), wanted, "in pieces of {step}");
        }
    }

    #[test]
    fn no_character_is_cut_in_two() {
        let text = "żółw 漢字 👩👩👩👩".repeat(20);
        for limit in 2..80 {
            let bounded = bounded(&text, limit);
            assert!(!bounded.contains('\u{FFFD}'), "{limit}: {bounded}");
            assert!(bounded.contains(" bytes left out"), "{limit}: {bounded}");
        }
        assert_eq!(bounded(&text, text.len() + 1), text, "nothing to leave out");
        assert!(bounded("abc", 0).contains("3 bytes left out"), "no room at all");
    }
}
