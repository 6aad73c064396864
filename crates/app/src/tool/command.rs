//! A command run to its end: watched, bounded, and ended with all that it started.

use std::io::{Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::capture::Capture;
use super::environment;
use super::guard::{self, Report, Request};
use super::sandbox::Applied;

const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long a guard may take to end everything and to say so.
pub(super) const GRACE: Duration = Duration::from_secs(8);
/// How long output may still come once everything was ended.
const DRAIN: Duration = Duration::from_secs(1);
/// Of a report.
const REPORT_BYTES_MAX: u64 = 64 << 10;

/// What to run.
pub(super) struct Job<'a> {
    pub(super) program: &'a str,
    pub(super) arguments: Vec<String>,
    /// What it reads; `None` is the end at once.
    pub(super) input: Option<String>,
    /// Variables that it may see besides.
    pub(super) variables: &'a [String],
    pub(super) place: &'a Place,
    pub(super) timeout: Duration,
    /// Of output.
    pub(super) limit_bytes: usize,
}

/// Where commands run, and what holds them.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) directory: PathBuf,
    pub(super) sandbox: Applied,
}

/// Why the waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Itself,
    Timeout,
    Cancelled,
}

impl Job<'_> {
    /// Runs it. `Ok` is the output of a command that says it went well.
    ///
    /// # Errors
    /// Why it did not, with the output as far as there is one.
    pub(super) fn run(mut self, cancel: &AtomicBool) -> Result<String, String> {
        let (mut child, pipes) = spawn(self.place, self.variables)?;
        let request = self.place.request(self.program, &self.arguments, self.input.is_some(), true);
        let asked = ask(pipes.stdin, &request, self.input.take());
        let output = Arc::new(Mutex::new(Capture::new(self.limit_bytes)));
        let reading = read(pipes.stdout, output.clone());
        let report = thread::spawn(move || report(pipes.stderr));
        let end = self.wait(&mut child, cancel);
        let deadline = Instant::now() + GRACE;
        while !report.is_finished() && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
        // A guard that says nothing any more is ended; one that did ends by itself.
        let report = report.is_finished().then(|| report.join().unwrap_or_default());
        if report.is_none() {
            let _ = child.kill();
        }
        let _ = child.wait();
        let deadline = Instant::now() + DRAIN;
        while !reading.is_finished() && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
        // Who could not be ended holds the pipe; nobody waits for those.
        drop(asked);
        let output = locked(&output).text();
        told(end, report.flatten(), &output, self.timeout)
    }

    fn wait(&self, child: &mut Child, cancel: &AtomicBool) -> End {
        let deadline = Instant::now() + self.timeout;
        loop {
            if !matches!(child.try_wait(), Ok(None)) {
                return End::Itself;
            }
            let end = if cancel.load(Ordering::Relaxed) {
                End::Cancelled
            } else if Instant::now() >= deadline {
                End::Timeout
            } else {
                thread::sleep(LOOK_EVERY);
                continue;
            };
            stop(child);
            return end;
        }
    }
}

impl Place {
    pub(super) fn request(
        &self,
        program: &str,
        arguments: &[String],
        input: bool,
        errors: bool,
    ) -> Request {
        Request {
            program: program.to_owned(),
            arguments: arguments.to_vec(),
            parent: std::process::id(),
            input,
            errors,
            sandbox: self.sandbox.clone(),
            directory: self.directory.clone(),
        }
    }
}

/// The ends of a guard's pipes that are ours.
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

/// Nothing but a guard can promise that nothing stays behind.
#[cfg(not(unix))]
pub(super) fn spawn(place: &Place, _: &[String]) -> Result<(Child, Pipes), String> {
    Err(format!("{}: commands need a Unix system", place.directory.display()))
}

#[cfg(not(unix))]
pub(super) fn stop(_: &Child) {}

/// Starts a guard that waits for its request.
#[cfg(unix)]
pub(super) fn spawn(place: &Place, variables: &[String]) -> Result<(Child, Pipes), String> {
    let mut command = Command::new(program()?);
    command.arg(guard::NAME).env_clear().envs(environment::allowed(variables));
    command.current_dir(&place.directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().map_err(|error| format!("{}: {error}", place.directory.display()))?;
    match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => Ok((child, Pipes { stdin, stdout, stderr })),
        _ => Err("a command without pipes".to_owned()),
    }
}

/// Tells a guard to end everything and itself.
#[cfg(unix)]
pub(super) fn stop(child: &Child) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(id) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It was not waited for, so the id is still its own; it may have ended all the same.
        let _ = kill_process(id, Signal::INT);
    }
}

/// This very program, whatever lies at its path by now.
#[cfg(all(target_os = "linux", not(test)))]
fn program() -> Result<PathBuf, String> {
    Ok(PathBuf::from("/proc/self/exe"))
}

#[cfg(all(unix, not(any(target_os = "linux", test))))]
fn program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| format!("this program: {error}"))
}

/// The program beside the directory of this test, which cargo builds with the tests of the command line.
#[cfg(all(unix, test))]
fn program() -> Result<PathBuf, String> {
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    let beside = test.parent().and_then(std::path::Path::parent).map(|at| at.join("flash-moe"));
    beside.filter(|program| program.is_file()).ok_or_else(|| "flash-moe is not built".to_owned())
}

/// Writes the request and the input from a thread: a command need not read what it is given.
fn ask(mut stdin: ChildStdin, request: &Request, input: Option<String>) -> JoinHandle<()> {
    let mut line = serde_json::to_vec(request).unwrap_or_default();
    line.push(b'\n');
    thread::spawn(move || {
        // A guard that ended says why in its report.
        let _ = stdin
            .write_all(&line)
            .and_then(|()| stdin.write_all(input.unwrap_or_default().as_bytes()));
    })
}

fn read(mut from: ChildStdout, into: Arc<Mutex<Capture>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            locked(&into).put(&bytes[..count]);
        }
    })
}

/// The last thing that a guard says.
pub(super) fn report(from: ChildStderr) -> Option<Report> {
    let mut text = String::new();
    from.take(REPORT_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.lines().rev().find_map(|line| serde_json::from_str(line).ok())
}

fn locked(output: &Mutex<Capture>) -> MutexGuard<'_, Capture> {
    output.lock().unwrap_or_else(PoisonError::into_inner)
}

fn told(
    end: End,
    report: Option<Report>,
    output: &str,
    timeout: Duration,
) -> Result<String, String> {
    let with = |what: String| {
        let rest = if output.is_empty() { String::new() } else { format!("\n{output}") };
        format!("{what}{rest}")
    };
    let Some(report) = report else { return Err(with("the command's guard was ended".to_owned())) };
    let left = match report.left {
        0 => String::new(),
        left => format!("; {left} of its processes could not be ended"),
    };
    let why = match (end, &report) {
        (End::Timeout, _) => format!("ended after {} s, its time limit", timeout.as_secs_f64()),
        (End::Cancelled, _) => "ended by the user".to_owned(),
        (End::Itself, Report { error: Some(error), .. }) => error.clone(),
        (End::Itself, Report { exit: Some(0), .. }) if left.is_empty() => {
            return Ok(output.to_owned());
        }
        (End::Itself, Report { exit: Some(exit), .. }) => format!("exit status {exit}"),
        (End::Itself, Report { signal: Some(signal), .. }) => format!("ended by signal {signal}"),
        (End::Itself, _) => "it ended without a word".to_owned(),
    };
    Err(with(format!("{why}{left}")))
}
