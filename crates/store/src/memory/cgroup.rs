//! The limits of memory cgroups, version 1 and 2, from where they are mounted to this process.

use std::path::{Path, PathBuf};

use super::Available;

/// What the files of a version are called.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// Bytes, or `max` for no limit. More than one may be there; the smallest counts.
    limits: &'static [&'static str],
    /// Bytes, page cache included.
    usage: &'static str,
    /// Page cache of the group and of those below, in `memory.stat`: lines of a name and bytes.
    cache: [&'static str; 2],
}

const V1: Names = Names {
    limits: &["memory.limit_in_bytes"],
    usage: "memory.usage_in_bytes",
    cache: ["total_inactive_file", "total_active_file"],
};

/// Above `memory.high` a process is slowed down until it is of no use.
const V2: Names = Names {
    limits: &["memory.max", "memory.high"],
    usage: "memory.current",
    cache: ["inactive_file", "active_file"],
};

/// What each limited group that this process is in still has.
pub(super) fn available(read: &dyn Fn(&Path) -> Option<String>) -> Vec<Available> {
    let texts = (read(Path::new("/proc/self/cgroup")), read(Path::new("/proc/self/mountinfo")));
    let (Some(groups), Some(mounts)) = texts else { return Vec::new() };
    let mut found = Vec::new();
    for (names, top, inner) in folders(&groups, &mounts) {
        // From the process's own group up to what is mounted.
        for depth in (0..=inner.len()).rev() {
            let folder = inner[..depth].iter().fold(top.clone(), |path, part| path.join(part));
            found.extend(left_in(&folder, names, read));
        }
    }
    found
}

/// Limit less usage without page cache, for the tightest limit of one group.
fn left_in(
    folder: &Path,
    names: &Names,
    read: &dyn Fn(&Path) -> Option<String>,
) -> Option<Available> {
    let limit = |name: &&str| {
        let path = folder.join(name);
        let bytes: u64 = read(&path)?.trim().parse().ok()?;
        Some((bytes, path))
    };
    let (limit, path) = names.limits.iter().filter_map(limit).min()?;
    let usage: u64 = read(&folder.join(names.usage))?.trim().parse().ok()?;
    let stat = read(&folder.join("memory.stat")).unwrap_or_default();
    let cache: u64 = names.cache.iter().filter_map(|name| value_of(&stat, name)).sum();
    let bytes = limit.saturating_sub(usage.saturating_sub(cache));
    Some(Available { bytes, source: path.display().to_string() })
}

fn value_of(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// For each version that is in use: its names, where it is mounted, and the process's group as
/// seen from there.
pub(super) fn folders(groups: &str, mounts: &str) -> Vec<(&'static Names, PathBuf, Vec<String>)> {
    let mut found = Vec::new();
    for line in groups.lines() {
        // 4:memory:/a/b in version 1, 0::/a/b in version 2.
        let mut fields = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(group)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let names = match controllers {
            "" if id == "0" => &V2,
            list if list.split(',').any(|one| one == "memory") => &V1,
            _ => continue,
        };
        if let Some((root, top)) = mounts.lines().find_map(|line| mount(line, names == &V1)) {
            // In a container the mount may begin inside of the tree, or the group lie outside
            // of it (`/../x`): then what is mounted is the nearest that can be seen.
            let inner = Path::new(group).strip_prefix(&root).unwrap_or(Path::new(""));
            let parts: Vec<String> =
                inner.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            let visible = !parts.iter().any(|part| part == "..");
            found.push((names, top, if visible { parts } else { Vec::new() }));
        }
    }
    found
}

/// Root and mount point, if the line of mountinfo is about the hierarchy that is looked for.
fn mount(line: &str, v1: bool) -> Option<(PathBuf, PathBuf)> {
    // 36 35 0:31 /root /mount/point rw,relatime shared:1 - cgroup source rw,memory
    let (left, right) = line.split_once(" - ")?;
    let mut right = right.split(' ');
    let (kind, options) = (right.next()?, right.nth(1)?);
    let wanted = if v1 {
        kind == "cgroup" && options.split(',').any(|one| one == "memory")
    } else {
        kind == "cgroup2"
    };
    let mut left = left.split(' ').skip(3);
    let (root, top) = (left.next()?, left.next()?);
    wanted.then(|| (unescape(root).into(), unescape(top).into()))
}

/// Blanks and the like are written as `\040` in mountinfo.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|code| u8::from_str_radix(code, 8).ok());
        match code {
            Some(byte) => out.push(char::from(byte)),
            None => out.push_str(rest.get(at..at + 1).unwrap_or_default()),
        }
        rest = &rest[at + if code.is_some() { 4 } else { 1 }..];
    }
    out + rest
}
