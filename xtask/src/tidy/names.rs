//! Names that say nothing: modules and items that could hold anything soon do.

use super::Finding;
use super::source::{line_of, words};
use super::tree::File;

const MODULES: [&str; 7] = ["common", "helper", "helpers", "misc", "shared", "util", "utils"];
const PARTS: [&str; 9] =
    ["common", "handler", "helper", "helpers", "manager", "processor", "util", "utils", "wrapper"];
const ITEMS: [&str; 7] = ["enum", "fn", "mod", "struct", "trait", "type", "union"];

pub(super) fn check(file: &File, found: &mut Vec<Finding>) {
    if !file.is_rust() {
        return;
    }
    for part in file.path.trim_end_matches(".rs").split('/') {
        if MODULES.contains(&part) {
            let what = format!("a module must not be called `{part}`: say what is in it");
            found.push(Finding::at(file, 0, "name", what).item(part));
        }
    }
    let all: Vec<(usize, &str)> = words(&file.code).collect();
    for pair in all.windows(2) {
        let [(_, keyword), (at, name)] = pair else { continue };
        if !ITEMS.contains(keyword) {
            continue;
        }
        let empty = parts(name).iter().any(|part| PARTS.contains(&part.as_str()))
            || (*keyword == "struct" && *name == "Context")
            || (*keyword == "mod" && MODULES.contains(name));
        if empty {
            let what = format!("`{keyword} {name}` says nothing of what it is");
            found.push(Finding::at(file, line_of(&file.code, *at), "name", what).item(name));
        }
    }
}

/// The words inside an identifier, in lower case: `ReadTokens_left` is read, tokens, left.
pub(super) fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let letters: Vec<char> = name.chars().collect();
    for (i, &letter) in letters.iter().enumerate() {
        let before = i.checked_sub(1).map(|n| letters[n]);
        let hump = letter.is_uppercase()
            && (before.is_some_and(|b| !b.is_uppercase())
                || letters.get(i + 1).is_some_and(|next| next.is_lowercase()));
        if letter == '_' || hump {
            parts.push(String::new());
        }
        if letter != '_'
            && let Some(last) = parts.last_mut()
        {
            last.extend(letter.to_lowercase());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}
