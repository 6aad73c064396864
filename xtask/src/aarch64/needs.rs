//! What the ARM build needs of this machine: found, asked for with the command that installs it, or installed.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{TARGET, not_started, succeeds};

/// The programs, as they are called.
pub(super) struct Tools {
    /// A compiler that has the target's standard library.
    pub(super) rustc: String,
    pub(super) linker: String,
    pub(super) emulator: String,
}

/// The pinned compiler first; then where Debian puts its own, whose libraries come as packages.
const COMPILERS: [&str; 2] = ["rustc", "/usr/bin/rustc"];
const LINKERS: [&str; 1] = ["aarch64-linux-gnu-gcc"];
const EMULATORS: [&str; 2] = ["qemu-aarch64-static", "qemu-aarch64"];

/// On Debian 12; the libraries for ARM come from that architecture's own packages.
const INSTALL: [&[&str]; 3] = [
    &["dpkg", "--add-architecture", "arm64"],
    &["apt-get", "update"],
    &[
        "apt-get",
        "install",
        "-y",
        "--no-install-recommends",
        "rustc-web",
        "libstd-rust-web-dev:arm64",
        "gcc-aarch64-linux-gnu",
        "libc6-dev-arm64-cross",
        "qemu-user-static",
    ],
];

/// Looks for all of it, and installs what is missing if that was asked for.
pub(super) fn find(install: bool) -> Result<Tools, String> {
    match (look(), install) {
        (Err(missing), true) => {
            println!("missing: {}", missing.join(", "));
            install_all()?;
            look().map_err(|missing| advice(&missing))
        }
        (found, _) => found.map_err(|missing| advice(&missing)),
    }
}

/// The tools, or what of them is not there.
fn look() -> Result<Tools, Vec<&'static str>> {
    let rustc = first(&COMPILERS, has_library);
    let linker = first(&LINKERS, answers);
    let emulator = first(&EMULATORS, answers);
    match (rustc, linker, emulator) {
        (Some(rustc), Some(linker), Some(emulator)) => Ok(Tools { rustc, linker, emulator }),
        (rustc, linker, emulator) => {
            let all = [
                (rustc, "Rust's standard library for 64-bit ARM"),
                (linker, "a linker for 64-bit ARM (aarch64-linux-gnu-gcc)"),
                (emulator, "an emulator (qemu-aarch64-static)"),
            ];
            Err(all.into_iter().filter(|(tool, _)| tool.is_none()).map(|(_, name)| name).collect())
        }
    }
}

fn first(programs: &[&str], is_there: impl Fn(&str) -> bool) -> Option<String> {
    programs.iter().find(|program| is_there(program)).map(|program| (*program).to_owned())
}

/// Whether the program can be started at all.
fn answers(program: &str) -> bool {
    said(Command::new(program).arg("--version")).is_ok()
}

fn has_library(rustc: &str) -> bool {
    let folder = said(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]));
    folder.is_ok_and(|folder| holds_std(Path::new(folder.trim())))
}

fn holds_std(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

/// What a command that succeeds writes to stdout.
fn said(command: &mut Command) -> Result<String, String> {
    let done = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| not_started(command, &error))?;
    match done.status.success() {
        true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        false => Err(format!("{}: {}", command.get_program().display(), done.status)),
    }
}

fn install_all() -> Result<(), String> {
    let is_root = said(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    for line in INSTALL {
        let line: Vec<&str> = match is_root {
            true => line.to_vec(),
            false => [&["sudo"], line].concat(),
        };
        println!("$ {}", line.join(" "));
        if !succeeds(Command::new(line[0]).args(&line[1..]))? {
            return Err(format!("`{}` failed", line.join(" ")));
        }
    }
    Ok(())
}

fn advice(missing: &[&str]) -> String {
    let lines: Vec<String> = INSTALL.iter().map(|line| line.join(" ")).collect();
    format!(
        "missing: {}\non Debian 12, as root (or let --install do it):\n  {}\nelsewhere: `rustup \
         target add {TARGET}`, a cross gcc and qemu's user mode from the system's packages",
        missing.join(", "),
        lines.join("\n  "),
    )
}

impl fmt::Display for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for program in [&self.rustc, &self.linker, &self.emulator] {
            let version = said(Command::new(program).arg("--version")).unwrap_or_default();
            writeln!(f, "{program}: {}", version.lines().next().unwrap_or("no version is told"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_way_to_get_it() {
        let text = advice(&["an emulator"]);
        for part in ["missing: an emulator", "dpkg --add-architecture arm64", "rustup target add"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_library_is_there_when_its_file_is() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        assert!(!holds_std(folder.path()), "an empty folder");
        assert!(!holds_std(&folder.path().join("none")), "no folder");
        std::fs::write(folder.path().join("libstdc++.a"), "").expect("written");
        assert!(!holds_std(folder.path()), "another library");
        std::fs::write(folder.path().join("libstd-0123.rlib"), "").expect("written");
        assert!(holds_std(folder.path()), "the library");
    }

    #[test]
    fn the_first_that_is_there_is_taken() {
        assert_eq!(first(&["a", "b", "c"], |name| name != "a").as_deref(), Some("b"), "the second");
        assert_eq!(first(&["a"], |_| false), None, "none");
        assert!(!answers("no-program-has-this-name"), "it cannot be started");
    }
}
