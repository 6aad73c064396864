//! Runs one target for a bounded time and notices panics, hangs and swelling memory.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::target::{Target, Verdict};

/// How long and how patiently to look.
#[derive(Clone, Debug)]
pub struct Options {
    /// Stops after this long.
    pub time: Duration,
    /// Stops after this many inputs, if that comes first.
    pub inputs: u64,
    /// The first iteration; with `inputs` 1 it replays one.
    pub first: u64,
    /// Where all chance begins.
    pub seed: u64,
    /// One input that takes longer is a hang.
    pub patience: Duration,
    /// More resident memory than this is a fault (where the system tells it).
    pub memory_bytes: u64,
    /// Where what broke is written.
    pub folder: PathBuf,
}

/// What a run saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Inputs read to their end.
    pub inputs: u64,
    /// Of these, taken as good.
    pub accepted: u64,
    /// The first fault.
    pub broken: Option<Broken>,
}

/// An input that did what no input may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which one it was.
    pub iteration: u64,
    /// What it did.
    pub how: String,
    /// Where the input lies now.
    pub path: PathBuf,
}

/// Shared with the thread that reads; `started_ms` is 0 between inputs.
#[derive(Default)]
struct Progress {
    iteration: AtomicU64,
    started_ms: AtomicU64,
    inputs: AtomicU64,
    accepted: AtomicU64,
}

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The file that names the iteration in progress, for the day when the whole process dies of it.
#[must_use]
pub(crate) fn mark_path(folder: &Path, target: &str) -> PathBuf {
    folder.join(format!("{target}.iteration"))
}

/// Writes an input that broke a target.
///
/// # Errors
/// When the folder or the file cannot be written.
pub(crate) fn save(target: &Target, options: &Options, iteration: u64) -> std::io::Result<PathBuf> {
    fs::create_dir_all(&options.folder)?;
    let name = format!("{}-{}-{iteration}", target.name, options.seed);
    let path = options.folder.join(name);
    fs::write(&path, target.input(options.seed, iteration))?;
    Ok(path)
}

/// Runs `target` until time or inputs are used up or something breaks. A hung thread is left behind.
///
/// # Errors
/// When the folder cannot be written.
pub fn drive(target: &Arc<Target>, options: &Options) -> std::io::Result<Seen> {
    fs::create_dir_all(&options.folder)?;
    let mark_path = mark_path(&options.folder, target.name);
    let mut mark = fs::File::create(&mark_path)?;
    let (begun, progress) = (Instant::now(), Arc::new(Progress::default()));
    let (done, finished) = mpsc::channel();
    {
        let (target, options, progress) = (target.clone(), options.clone(), progress.clone());
        thread::spawn(move || {
            let fault = read_all(&target, &options, &progress, begun, &mut mark);
            // Nobody listens after a hang was reported: then there is nobody to tell.
            let _ = done.send(fault);
        });
    }
    let how = loop {
        match finished.recv_timeout(LOOK_EVERY) {
            Ok(fault) => break fault,
            Err(mpsc::RecvTimeoutError::Disconnected) => break Some("the thread died".to_owned()),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if let Some(fault) = watch(&progress, options, begun) {
            break Some(fault);
        }
    };
    let mut seen = Seen {
        inputs: progress.inputs.load(Ordering::Relaxed),
        accepted: progress.accepted.load(Ordering::Relaxed),
        broken: None,
    };
    if let Some(how) = how {
        let iteration = progress.iteration.load(Ordering::Relaxed);
        let path = save(target, options, iteration)?;
        seen.broken = Some(Broken { iteration, how, path });
    }
    fs::remove_file(mark_path)?;
    Ok(seen)
}

/// The reading thread: `None` when all went well, otherwise what broke.
fn read_all(
    target: &Target,
    options: &Options,
    progress: &Progress,
    begun: Instant,
    mark: &mut fs::File,
) -> Option<String> {
    for iteration in (options.first..).take(usize::try_from(options.inputs).unwrap_or(usize::MAX)) {
        if begun.elapsed() >= options.time {
            return None;
        }
        let input = target.input(options.seed, iteration);
        if let Err(error) = note(mark, iteration) {
            return Some(format!("the iteration cannot be noted: {error}"));
        }
        progress.iteration.store(iteration, Ordering::Relaxed);
        progress.started_ms.store(now_ms(begun), Ordering::Relaxed);
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        progress.started_ms.store(0, Ordering::Relaxed);
        match outcome {
            Ok(verdict) => {
                progress.inputs.fetch_add(1, Ordering::Relaxed);
                let accepted = u64::from(verdict == Verdict::Accepted);
                progress.accepted.fetch_add(accepted, Ordering::Relaxed);
            }
            Err(payload) => return Some(format!("panic: {}", said(&*payload))),
        }
    }
    None
}

fn note(mark: &mut fs::File, iteration: u64) -> std::io::Result<()> {
    mark.seek(SeekFrom::Start(0))?;
    mark.write_all(format!("{iteration:020}\n").as_bytes())
}

fn said(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without words").to_owned()
}

/// Never 0, which means that nothing is being read.
fn now_ms(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
}

fn watch(progress: &Progress, options: &Options, begun: Instant) -> Option<String> {
    let started = progress.started_ms.load(Ordering::Relaxed);
    let patience_ms = u64::try_from(options.patience.as_millis()).unwrap_or(u64::MAX);
    if started > 0 && now_ms(begun).saturating_sub(started) > patience_ms {
        return Some(format!("hang: not done after {} ms", options.patience.as_millis()));
    }
    let resident = resident_bytes()?;
    (resident > options.memory_bytes)
        .then(|| format!("memory: {resident} bytes resident; at most {}", options.memory_bytes))
}

/// What the process holds in memory now; `None` where the system does not say.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Shape;

    fn run(read: fn(&[u8]) -> Verdict, change: fn(&mut Options)) -> (Seen, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut options = Options {
            time: Duration::from_secs(20),
            inputs: 2000,
            first: 0,
            seed: 1,
            patience: Duration::from_secs(10),
            memory_bytes: u64::MAX,
            folder: folder.path().to_owned(),
        };
        change(&mut options);
        let target = Target {
            name: "planted",
            shape: Shape::Bytes,
            seeds: vec![b"abcdef 12 ghijkl".to_vec()],
            run: Box::new(read),
        };
        (drive(&Arc::new(target), &options).expect("the folder can be written"), folder)
    }

    fn good(input: &[u8]) -> Verdict {
        if input.len() > 16 { Verdict::Refused } else { Verdict::Accepted }
    }

    #[test]
    fn a_good_parser_is_counted() {
        let (seen, folder) = run(good, |_| {});
        assert_eq!((seen.inputs, &seen.broken), (2000, &None), "{seen:?}");
        assert!(seen.accepted > 100 && seen.accepted < 1900, "{seen:?}");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0, "nothing is left");
    }

    #[test]
    fn a_planted_panic_is_found_and_its_input_kept() {
        let planted = |input: &[u8]| {
            assert!(!input.ends_with(b"0"), "planted {}", input.len());
            Verdict::Accepted
        };
        let (seen, _folder) = run(planted, |_| {});
        let broken = seen.broken.expect("found");
        assert!(broken.how.starts_with("panic: planted "), "{broken:?}");
        let kept = fs::read(&broken.path).expect("kept");
        assert!(kept.ends_with(b"0"), "{kept:?}");
        let replayed = Target {
            name: "",
            shape: Shape::Bytes,
            seeds: vec![b"abcdef 12 ghijkl".to_vec()],
            run: Box::new(good),
        };
        assert_eq!(kept, replayed.input(1, broken.iteration), "the iteration gives it again");
    }

    #[test]
    fn a_planted_hang_is_found() {
        let hang = |input: &[u8]| {
            if input.len() < 8 {
                thread::sleep(Duration::from_secs(3));
            }
            Verdict::Accepted
        };
        let (seen, _folder) = run(hang, |o| o.patience = Duration::from_millis(100));
        let broken = seen.broken.expect("found");
        assert!(broken.how.starts_with("hang"), "{broken:?}");
        assert!(fs::read(&broken.path).expect("kept").len() < 8, "{broken:?}");
    }

    #[test]
    fn swelling_memory_is_found() {
        if resident_bytes().is_none() {
            println!("SKIP memory: this system does not tell what a process holds");
            return;
        }
        let slow = |_: &[u8]| {
            thread::sleep(Duration::from_millis(5));
            Verdict::Accepted
        };
        let (seen, _folder) = run(slow, |o| o.memory_bytes = 1);
        assert!(seen.broken.is_some_and(|b| b.how.starts_with("memory")), "one byte is not enough");
    }

    #[test]
    fn one_iteration_can_be_replayed_and_time_ends_a_run() {
        let (seen, _folder) = run(good, |o| (o.first, o.inputs) = (77, 1));
        assert_eq!(seen.inputs, 1, "one");
        let (seen, _folder) = run(good, |o| o.time = Duration::ZERO);
        assert_eq!(seen.inputs, 0, "no time, no inputs");
    }
}
