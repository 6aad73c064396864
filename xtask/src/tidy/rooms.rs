//! What each room may know: the words it never says and the rooms it may depend on.

use super::Finding;
use super::names::parts;
use super::source::{line_of, words};
use super::tree::File;

/// A crate under `crates/` and what it must not know.
struct Room {
    folder: &'static str,
    /// Whole words, plurals too, in identifiers and comments alike.
    never: &'static [&'static str],
    /// Beginnings of paths in `src` that may say everything.
    free: &'static [&'static str],
    /// Rooms in `[dependencies]`.
    sees: &'static [&'static str],
    /// Rooms in `[dev-dependencies]` besides.
    sees_in_tests: &'static [&'static str],
    /// Whether the crate's root must forbid unsafe code.
    forbids_unsafe: bool,
}

const ROOMS: [Room; 7] = [
    Room {
        folder: "format",
        never: &["unsafe", "thread", "mmap", "avx2"],
        free: &[],
        sees: &[],
        sees_in_tests: &[],
        forbids_unsafe: true,
    },
    Room {
        folder: "store",
        never: &["layer", "expert", "token"],
        free: &[],
        sees: &["format"],
        sees_in_tests: &[],
        forbids_unsafe: false,
    },
    Room {
        folder: "kernels",
        never: &["expert", "layer", "token", "prompt"],
        free: &[],
        sees: &[],
        sees_in_tests: &[],
        forbids_unsafe: false,
    },
    Room {
        folder: "gpu",
        never: &["expert", "layer", "token", "prompt"],
        free: &[],
        sees: &[],
        sees_in_tests: &["kernels"],
        forbids_unsafe: true,
    },
    Room {
        folder: "engine",
        never: &["tensor", "layer", "expert", "wgpu", "http", "println"],
        free: &[],
        sees: &[],
        sees_in_tests: &[],
        forbids_unsafe: true,
    },
    Room {
        folder: "model",
        never: &["prompt", "role", "http", "temperature"],
        free: &[],
        sees: &["format", "store", "kernels", "gpu", "engine"],
        sees_in_tests: &[],
        forbids_unsafe: true,
    },
    Room {
        folder: "app",
        never: &["matvec", "dequant", "wgsl", "unsafe"],
        free: &["bench", "inspect"],
        sees: &["format", "store", "kernels", "engine", "model"],
        sees_in_tests: &["xtask"],
        forbids_unsafe: true,
    },
];

/// Every crate of the workspace, by the name that a `Cargo.toml` uses.
const CRATES: [&str; 8] =
    ["format", "store", "kernels", "gpu", "engine", "model", "flash-moe", "xtask"];

/// Files of the app that may name a crate: beginnings of paths in `src`. What lies below `open/` is
/// the inside of the door `open.rs`.
const DOORS: [(&str, &[&str]); 4] = [
    ("model", &["open.rs", "open/"]),
    ("store", &["open.rs", "open/", "bench", "inspect"]),
    ("kernels", &["open.rs", "open/", "bench", "inspect"]),
    ("format", &["open.rs", "open/", "bench", "inspect"]),
];

/// Blanked before words are looked for: it forbids what the word names.
const FORBID: &str = "forbid(unsafe_code)";

pub(super) fn check(file: &File, found: &mut Vec<Finding>) {
    if let Some((folder, inside)) = file.in_src()
        && let Some(room) = ROOMS.iter().find(|room| room.folder == folder)
        && file.is_rust()
    {
        spoken(room, file, inside, found);
        if room.folder == "app" {
            doors(file, inside, found);
        }
        let root = inside == "lib.rs" || inside == "main.rs";
        if root && room.forbids_unsafe && !file.code.contains("#![forbid(unsafe_code)]") {
            let what = "the crate's root must say `#![forbid(unsafe_code)]`";
            found.push(Finding::at(file, 1, "forbid-unsafe", what));
        }
    }
    for room in &ROOMS {
        if file.path == format!("crates/{}/Cargo.toml", room.folder) {
            edges(room, file, found);
        }
    }
}

fn spoken(room: &Room, file: &File, inside: &str, found: &mut Vec<Finding>) {
    if room.free.iter().any(|free| inside.starts_with(free)) {
        return;
    }
    let text = file.text.replace(FORBID, &" ".repeat(FORBID.len()));
    for (at, word) in words(&text) {
        for part in parts(word) {
            let said = room.never.iter().find(|&&never| {
                part.strip_prefix(never).is_some_and(|rest| rest.is_empty() || rest == "s")
            });
            if let Some(never) = said {
                let what = format!("`{never}` is not spoken in {}", room.folder);
                let finding = Finding::at(file, line_of(&text, at), "room-word", what);
                found.push(finding.item(never));
            }
        }
    }
}

/// A crate is named by a path that begins with it: `model::…` or `use model`.
fn doors(file: &File, inside: &str, found: &mut Vec<Finding>) {
    let all: Vec<(usize, &str)> = words(&file.code).collect();
    for (n, &(at, word)) in all.iter().enumerate() {
        let Some((name, doors)) = DOORS.iter().find(|(name, _)| *name == word) else { continue };
        let before = file.code[..at].trim_end();
        let after = file.code[at + word.len()..].trim_start();
        let renamed = all.get(n + 1).is_some_and(|&(_, next)| next == "as");
        let used = n > 0 && all[n - 1].1 == "use" && (after.starts_with(';') || renamed);
        // `a::model::b` begins elsewhere; `::model::b` begins with the crate.
        let inner = before.strip_suffix("::").is_some_and(|left| left.ends_with(is_word_end));
        if (used || (after.starts_with("::") && !inner))
            && !doors.iter().any(|door| inside.starts_with(door))
        {
            let what = format!("the crate `{name}` may be named in {} only", doors.join(", "));
            found.push(Finding::at(file, line_of(&file.code, at), "door", what).item(name));
        }
    }
}

fn is_word_end(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '>'
}

fn edges(room: &Room, file: &File, found: &mut Vec<Finding>) {
    let mut section = String::new();
    for (n, line) in file.text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            header.trim_end_matches(']').clone_into(&mut section);
            // `[dependencies.model]` names a crate as its last part.
            if let Some((table, name)) = section.rsplit_once('.')
                && table.ends_with("dependencies")
            {
                edge(room, file, n, table, name, found);
            }
        } else if section.ends_with("dependencies") {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            edge(room, file, n, &section, name, found);
            if let Some((_, renamed)) = line.split_once("package") {
                let name = renamed.split('"').nth(1).unwrap_or_default();
                edge(room, file, n, &section, name, found);
            }
        }
    }
}

fn edge(room: &Room, file: &File, n: usize, table: &str, name: &str, found: &mut Vec<Finding>) {
    let in_tests = table.ends_with("dev-dependencies") && room.sees_in_tests.contains(&name);
    if CRATES.contains(&name) && !room.sees.contains(&name) && !in_tests {
        let what = format!("{} must not depend on {name}", room.folder);
        found.push(Finding::at(file, n + 1, "edge", what).item(name));
    }
}
