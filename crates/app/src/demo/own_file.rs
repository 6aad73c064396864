//! Bytes that were compiled into this program, read from its file instead of its memory.
//!
//! Embedded bytes that are touched in memory count as resident until the program ends, tens of
//! megabytes that no plan knows of. Read from the file they cost a buffer. Whoever reads has to
//! check what comes: where the place in the file cannot be found, memory is read after all.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};

/// A reader of embedded bytes.
pub(super) fn reader(bytes: &'static [u8]) -> Box<dyn Read> {
    match from_file(bytes) {
        Some(reader) => Box::new(reader),
        None => Box::new(io::Cursor::new(bytes)),
    }
}

fn from_file(bytes: &[u8]) -> Option<io::Take<File>> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let offset = offset_of(&maps, bytes.as_ptr().addr() as u64, bytes.len() as u64)?;
    let mut file = File::open("/proc/self/exe").ok()?;
    file.seek(SeekFrom::Start(offset)).ok()?;
    Some(file.take(bytes.len() as u64))
}

/// Where in its file a mapped range lies. `maps` is what Linux tells of a process: lines of
/// `start-end permissions offset device inode path`, in hex.
fn offset_of(maps: &str, address: u64, len: u64) -> Option<u64> {
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    maps.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let (start, end) = (hex(start)?, hex(end)?);
        let offset = hex(words.nth(1)?)?;
        // Memory that no file stands behind has no path.
        words.nth(2).filter(|path| path.starts_with('/'))?;
        let holds = start <= address && address.checked_add(len)? <= end;
        holds.then(|| offset + (address - start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_found_in_the_map_that_holds_all_of_it() {
        let maps = "00400000-00500000 r--p 00000000 08:01 77    /usr/bin/program\n\
                    00500000-00600000 r-xp 000ff000 08:01 77    /usr/bin/program\n\
                    01000000-02000000 rw-p 00000000 00:00 0 \n\
                    02000000-03000000 rw-p 00000000 00:00 0     [heap]\n";
        assert_eq!(offset_of(maps, 0x40_0010, 16), Some(0x10), "first map");
        assert_eq!(offset_of(maps, 0x50_0000, 0x10_0000), Some(0xff000), "a whole map");
        assert_eq!(offset_of(maps, 0x4f_fff0, 32), None, "over the end of a map");
        assert_eq!(offset_of(maps, 0x100_0000, 16), None, "no file behind it");
        assert_eq!(offset_of(maps, 0x200_0000, 16), None, "the heap");
        assert_eq!(offset_of("nonsense\n", 0, 1), None, "nonsense");
    }

    #[test]
    fn what_is_read_is_what_was_embedded() {
        static BYTES: &[u8] = include_bytes!("own_file.rs");
        let mut read = Vec::new();
        reader(BYTES).read_to_end(&mut read).expect("the program's file can be read");
        assert_eq!(read, BYTES, "the same bytes");
    }
}
