//! Everything that a command started, found and ended.

use std::process::Child;

/// From now on orphans among our descendants become our children.
#[cfg(target_os = "linux")]
pub(super) fn adopt() -> std::io::Result<()> {
    // Any process id means yes.
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn adopt() -> std::io::Result<()> {
    Ok(())
}

/// One round: all that are there are killed, all that died are buried. Returns how many are left;
/// none is proof, since every descendant has us as an ancestor.
#[cfg(target_os = "linux")]
pub(super) fn end(_: Option<&mut Child>) -> usize {
    use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};

    let table = table();
    let mut below = vec![getpid().as_raw_nonzero().get()];
    let mut seen = 0;
    while seen < below.len() {
        let parent = below[seen];
        below.extend(table.iter().filter(|(_, its)| *its == parent).map(|(id, _)| *id));
        seen += 1;
    }
    let count = below.len() - 1;
    for id in below.drain(1..) {
        if let Some(id) = Pid::from_raw(id) {
            // It may be gone by now, or not be ours to kill: both show in the wait.
            let _ = kill_process(id, Signal::KILL);
        }
    }
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return count.max(1),
            Err(_) => return 0,
        }
    }
}

/// All processes with their parents.
#[cfg(target_os = "linux")]
fn table() -> Vec<(i32, i32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(|id: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        Some((id, parent(&stat)?))
    })
    .collect()
}

/// The parent in a line of `/proc/N/stat`: the second field behind the name, which may hold anything.
#[cfg(target_os = "linux")]
fn parent(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The group of the command; who left it is not found.
#[cfg(not(target_os = "linux"))]
pub(super) fn end(child: Option<&mut Child>) -> usize {
    use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

    let Some(child) = child else { return 0 };
    let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return 0 };
    // An empty group cannot be killed, and needs not.
    let _ = kill_process_group(group, Signal::KILL);
    // The leader has to be buried before its group is empty.
    let _ = child.try_wait();
    usize::from(test_kill_process_group(group).is_ok())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent("12 (sh) S 7 12 12 0"), Some(7), "plain");
        assert_eq!(parent("12 (a) S 1 (b) ) R 42 1"), Some(42), "a name that looks like fields");
        for bad in ["", "12 (sh", "12 (sh)", "12 (sh) S", "12 (sh) S x"] {
            assert_eq!(parent(bad), None, "{bad:?}");
        }
        let own = i32::try_from(std::process::id()).expect("ids are small");
        assert!(table().iter().any(|(id, _)| *id == own), "this process is in the table");
    }
}
