//! The tools `read_file`, `write_file` and `list_dir`: texts below one directory, within bounds.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};

use super::confined::{Confined, Kind};

/// Of a file that is read, wherever in it the wished lines are.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Entries of a directory that are listed.
const ENTRIES_MAX: usize = 1000;

/// The wished lines of a text file, as far as `limit_bytes` go.
pub(super) fn read(
    confined: &Confined,
    path: &str,
    first_line: usize,
    lines: usize,
    limit_bytes: usize,
) -> Result<String, String> {
    let file = confined.open(path)?;
    let bytes = file.metadata().map_err(|error| format!("{path}: {error}"))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(format!("{path}: has {bytes} bytes; accepted: {FILE_BYTES_MAX}"));
    }
    let mut from = BufReader::new(file.take(FILE_BYTES_MAX));
    let (mut text, mut line, mut number) = (String::new(), Vec::new(), 0);
    loop {
        line.clear();
        let count =
            from.read_until(b'\n', &mut line).map_err(|error| format!("{path}: {error}"))?;
        number += 1;
        if count == 0 {
            break;
        }
        // Looked at before the wished lines too: half a binary file is not a text.
        let part = std::str::from_utf8(&line).ok().filter(|part| !part.contains('\0'));
        let part = part.ok_or_else(|| format!("{path}: is no text; accepted: UTF-8"))?;
        if number < first_line {
            continue;
        }
        if number - first_line >= lines {
            break;
        }
        if text.len() + part.len() > limit_bytes {
            let room = part.floor_char_boundary(limit_bytes - text.len());
            text.push_str(&part[..room]);
            let more = format!(
                "\n[cut in line {number}: {limit_bytes} bytes are read at a time; first_line goes on from there]"
            );
            text.push_str(&more);
            return Ok(text);
        }
        text.push_str(part);
    }
    if text.is_empty() && first_line > 1 {
        return Err(format!("{path}: has {} lines, first_line is {first_line}", number - 1));
    }
    Ok(text)
}

/// Puts a text in place of what was there, or of nothing.
pub(super) fn write(confined: &Confined, path: &str, content: &str) -> Result<String, String> {
    confined.replace(path, content.as_bytes())?;
    Ok(format!("{path}: {} bytes written", content.len()))
}

/// Names, kinds and sizes, in the order of names.
pub(super) fn list(confined: &Confined, path: &str) -> Result<String, String> {
    let mut entries = confined.list(path)?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::new();
    for entry in entries.iter().take(ENTRIES_MAX) {
        // The text is for the model, whose name of the file it has to be.
        let _ = match entry.kind {
            Kind::Directory => writeln!(text, "{}/", entry.name),
            Kind::File => writeln!(text, "{}  {} bytes", entry.name, entry.bytes),
            Kind::Other => writeln!(text, "{}  (no file and no directory)", entry.name),
        };
    }
    match entries.len() {
        0 => text.push_str("(empty)\n"),
        count if count > ENTRIES_MAX => {
            let _ = writeln!(text, "[{} more]", count - ENTRIES_MAX);
        }
        _ => {}
    }
    Ok(text)
}
