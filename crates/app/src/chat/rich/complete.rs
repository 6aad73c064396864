//! What Tab makes of a beginning: the name of a command, or of a file that is mentioned.

use std::path::Path;

use super::editor::Editor;
use crate::chat::command;
use crate::tool::{escaped, escaped_line};

/// Names that are offered at once.
const OFFERED_MAX: usize = 12;
/// Entries of a folder that are looked at.
const ENTRIES_MAX: usize = 10_000;

/// Completes what is before the cursor as far as it is certain, and tells what it may become.
pub(super) fn complete(editor: &mut Editor, directory: &Path) -> Option<String> {
    let before = editor.before();
    let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let word = &before[start..];
    let found = match word.strip_prefix('@') {
        Some(begin) => files(begin, directory),
        None if start == 0 => command::completions(word),
        None => Vec::new(),
    };
    let (first, rest) = found.split_first()?;
    let shared = rest.iter().fold(first.as_str(), |shared, other| both_begin(shared, other));
    if shared.len() > word.len() || rest.is_empty() {
        let end = if rest.is_empty() && !shared.ends_with('/') { " " } else { "" };
        editor.complete(start, &format!("{shared}{end}"));
    }
    if rest.is_empty() {
        return None;
    }
    let offered: Vec<&str> = found.iter().take(OFFERED_MAX).map(String::as_str).collect();
    let more = if found.len() > OFFERED_MAX { " …" } else { "" };
    Some(escaped_line(&format!("{}{more}", offered.join("  "))))
}

/// What two texts begin with.
fn both_begin<'t>(a: &'t str, b: &str) -> &'t str {
    let same = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y);
    &a[..same.map_or(a.len().min(b.len()), |((at, _), _)| at)]
}

/// Files and folders that begin like this, with the sign of a mention, in order.
fn files(begin: &str, directory: &Path) -> Vec<String> {
    let (folder, name) =
        begin.rsplit_once('/').map_or(("", begin), |(folder, name)| (folder, name));
    let slash = if begin.contains('/') { "/" } else { "" };
    let within = directory.join(if folder.is_empty() { slash } else { folder });
    let Ok(entries) = std::fs::read_dir(within) else { return Vec::new() };
    let mut found: Vec<String> = entries
        .take(ENTRIES_MAX)
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let file = entry.file_name().into_string().ok()?;
            // What is hidden, or could not be typed, is not offered.
            let hidden = file.starts_with('.') && !name.starts_with('.');
            let typed = !file.contains(char::is_whitespace) && escaped(&file) == file;
            let fits = file.starts_with(name) && !hidden && typed;
            let end = if entry.path().is_dir() { "/" } else { "" };
            fits.then(|| format!("@{folder}{slash}{file}{end}"))
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text and the offer after one Tab.
    fn tab(text: &str, directory: &Path) -> (String, Option<String>) {
        let mut editor = Editor::default();
        editor.insert(text);
        let offer = complete(&mut editor, directory);
        (editor.text().to_owned(), offer)
    }

    #[test]
    fn commands_and_files_are_completed() {
        let folder = tempfile::tempdir().expect("temporary directory");
        for name in ["alpha.txt", "alpine.txt", "b c", ".hidden"] {
            std::fs::write(folder.path().join(name), "").expect("write");
        }
        std::fs::create_dir(folder.path().join("sub")).expect("create");
        std::fs::write(folder.path().join("sub/one.rs"), "").expect("write");
        let tab = |text: &str| tab(text, folder.path());
        assert_eq!(tab("/qu"), ("/quit ".into(), None), "one command");
        let offer = Some("/tools  /tokens".to_owned());
        assert_eq!(
            tab("/to"),
            ("/to".into(), Some("/top-p  /top-k  /tools  /tokens".into())),
            "many"
        );
        assert_eq!(tab("/too").1, None, "one of them");
        assert_eq!(tab("/t").1.is_some(), offer.is_some(), "several are offered");
        let both = Some("@alpha.txt  @alpine.txt".to_owned());
        assert_eq!(tab("see @a"), ("see @alp".into(), both), "as far as both go");
        assert_eq!(tab("@su"), ("@sub/".into(), None), "a folder goes on");
        assert_eq!(tab("@sub/"), ("@sub/one.rs ".into(), None), "inside it");
        assert_eq!(tab("@b"), ("@b".into(), None), "what cannot be typed is not offered");
        assert_eq!(tab("nothing"), ("nothing".into(), None), "no beginning");
    }
}
