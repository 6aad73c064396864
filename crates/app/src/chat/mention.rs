//! `@file` in a message: the file's text is put there, within limits and never by accident.

use std::io::Read as _;
use std::path::Path;

/// More than this of one file is refused: it would fill most contexts.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What images begin with, so that a wrong name does not hide one.
const IMAGES: [(&[u8], &str); 7] = [
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"RIFF", "WebP"),
];
const IMAGE_ENDS: [&str; 8] = ["png", "jpg", "jpeg", "gif", "bmp", "tif", "tiff", "webp"];

/// The message with every mentioned file after it, each between marks that name it. A word that
/// begins with `@` mentions a file if there is one of that name under `directory`; `\@` never does.
///
/// # Errors
/// One line that names the file: an image, not text, too large, not readable.
pub(crate) fn expand(message: &str, directory: &Path) -> Result<String, String> {
    let mut text = String::with_capacity(message.len());
    let mut files: Vec<&str> = Vec::new();
    let mut rest = message;
    while let Some(at) = rest.find('@') {
        let (before, mention) = rest.split_at(at);
        let name = name(&mention[1..]);
        if let Some(before) = before.strip_suffix('\\') {
            text.push_str(before);
        } else {
            text.push_str(before);
            let begins = before.chars().next_back().or_else(|| text.chars().next_back());
            let begins =
                begins.is_none_or(|letter| letter.is_whitespace() || "([{\"'".contains(letter));
            if begins
                && let Some(name) = existing(name, directory)
                && !files.contains(&name)
            {
                files.push(name);
            }
        }
        text.push('@');
        rest = &mention[1..];
    }
    text.push_str(rest);
    for name in files {
        let content = read(&directory.join(name)).map_err(|why| format!("@{name}: {why}"))?;
        let end = if content.ends_with('\n') { "" } else { "\n" };
        text.push_str(&format!("\n\n<file name=\"{name}\">\n{content}{end}</file>"));
    }
    Ok(text)
}

fn name(text: &str) -> &str {
    text.split(char::is_whitespace).next().unwrap_or_default()
}

/// The longest beginning of the word that is a file, so that a full stop may follow it.
fn existing<'m>(word: &'m str, directory: &Path) -> Option<&'m str> {
    let mut name = word;
    while !name.is_empty() {
        if directory.join(name).is_file() {
            return Some(name);
        }
        let shorter = name.trim_end_matches(|letter: char| ".,;:!?)]}\"'".contains(letter));
        if shorter.len() == name.len() {
            return None;
        }
        let last = name.chars().next_back().map_or(0, char::len_utf8);
        name = &name[..name.len() - last];
    }
    None
}

fn read(path: &Path) -> Result<String, String> {
    let accepted = "accepted: UTF-8 text";
    let ending = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
    if IMAGE_ENDS.iter().any(|image| image.eq_ignore_ascii_case(ending)) {
        return Err(format!("an image, and this model is given text alone; {accepted}"));
    }
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if let Some((_, kind)) = IMAGES.iter().find(|(magic, _)| bytes.starts_with(magic))
        && std::str::from_utf8(&bytes).is_err()
    {
        return Err(format!("a {kind} image, and this model is given text alone; {accepted}"));
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("more than {FILE_BYTES_MAX} bytes, which is the most; {accepted}"));
    }
    String::from_utf8(bytes).map_err(|error| {
        format!("byte {} is not UTF-8; {accepted}", error.utf8_error().valid_up_to())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("temporary directory");
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes).expect("write");
        };
        write("a.txt", b"alpha");
        write("b.rs", b"fn b() {}\n");
        write("p.PNG", b"anything");
        write("hidden.txt", b"\xff\xd8\xff\xe0 JPEG");
        write("bad.txt", b"ab\xff");
        write("large.txt", &vec![b'x'; FILE_BYTES_MAX as usize + 1]);
        folder
    }

    #[test]
    fn files_that_are_there_follow_the_message() {
        let folder = folder();
        let expand = |text: &str| expand(text, folder.path()).expect("good");
        let one = "See @a.txt.\n\n<file name=\"a.txt\">\nalpha\n</file>";
        assert_eq!(expand("See @a.txt."), one, "with a full stop behind it");
        let two = expand("(@b.rs) and @a.txt and @b.rs again");
        assert_eq!(two.matches("<file ").count(), 2, "each once: {two}");
        assert!(two.contains("fn b() {}\n</file>"), "no empty line is added: {two}");
    }

    #[test]
    fn other_words_with_the_sign_are_words() {
        let folder = folder();
        for text in ["me@a.txt", "@nobody", "@", "a @ b", "@@", "x@@a.txt"] {
            assert_eq!(expand(text, folder.path()).as_deref(), Ok(text), "{text}");
        }
        assert_eq!(expand(r"see \@a.txt", folder.path()).as_deref(), Ok("see @a.txt"), "hidden");
    }

    #[test]
    fn what_is_no_text_is_refused_by_name() {
        let folder = folder();
        for (text, want) in [
            ("@p.PNG", "@p.PNG: an image, and this model is given text alone"),
            ("@hidden.txt", "@hidden.txt: a JPEG image"),
            ("@bad.txt", "@bad.txt: byte 2 is not UTF-8"),
            ("@large.txt", "@large.txt: more than 1048576 bytes"),
        ] {
            let error = expand(text, folder.path()).expect_err("refused");
            assert!(error.starts_with(want), "{error}");
        }
    }
}
