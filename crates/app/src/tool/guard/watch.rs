//! The life of a guard: one request, one command, and the end of everything below.

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, getppid, setsid};

use super::{Report, Request, descendants};

/// Requests hold a command and some paths.
const REQUEST_BYTES_MAX: usize = 16 << 20;
/// Between two looks: short at first, since most commands are.
const LOOK_FIRST: Duration = Duration::from_millis(1);
const LOOK_LATER: Duration = Duration::from_millis(20);
/// How long descendants may take to die.
const DYING: Duration = Duration::from_secs(5);

/// Runs as a guard until everything below is gone.
pub(in crate::tool) fn guard() -> ExitCode {
    // Set by SIGINT, which must find us listening before there is anything to leave behind.
    let stop = Arc::new(AtomicBool::new(false));
    let started = prepare(&stop).and_then(|request| start(&request).map(|child| (request, child)));
    let report = match started {
        Ok((request, child)) => watch(&request, child, &stop),
        Err(why) => Report { error: Some(why), left: end_all(None), ..Report::default() },
    };
    let line = serde_json::to_string(&report).unwrap_or_default();
    // Nobody may be there to read it any more.
    let _ = writeln!(io::stderr().lock(), "{line}");
    ExitCode::SUCCESS
}

fn prepare(stop: &Arc<AtomicBool>) -> Result<Request, String> {
    let stop = stop.clone();
    let listening = ctrlc::set_handler(move || stop.store(true, Ordering::Relaxed));
    listening.map_err(|error| format!("signals: {error}"))?;
    let line = first_line().map_err(|error| format!("the request: {error}"))?;
    let request = serde_json::from_slice(&line).map_err(|error| format!("the request: {error}"))?;
    // A command that could open the terminal could draw on it.
    setsid().map_err(|error| format!("a session of its own: {error}"))?;
    descendants::adopt().map_err(|error| format!("orphans: {error}"))?;
    Ok(request)
}

/// Byte by byte: what follows may be for the command, which shares our stdin.
fn first_line() -> io::Result<Vec<u8>> {
    let (stdin, mut line) = (io::stdin(), Vec::new());
    let mut byte = [0];
    while line.len() < REQUEST_BYTES_MAX {
        match rustix::io::read(stdin.as_fd(), &mut byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => return Ok(line),
            Ok(_) => line.push(byte[0]),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "no line break ends it"))
}

fn start(request: &Request) -> Result<Child, String> {
    let (program, arguments) = request.sandbox.command(&request.program, &request.arguments);
    let mut command = Command::new(&program);
    command.args(arguments).process_group(0);
    command.stdin(if request.input { Stdio::inherit() } else { Stdio::null() });
    if request.errors {
        let joined: OwnedFd =
            io::stdout().as_fd().try_clone_to_owned().map_err(|e| e.to_string())?;
        command.stderr(joined);
    } else {
        command.stderr(Stdio::null());
    }
    let child = request.sandbox.spawn(&mut command, &request.directory)?;
    child.map_err(|error| format!("{program}: {error}"))
}

/// Waits for the command, or for a reason not to.
fn watch(request: &Request, mut child: Child, stop: &AtomicBool) -> Report {
    let parent = i32::try_from(request.parent).ok().and_then(Pid::from_raw);
    let mut pause = LOOK_FIRST;
    let ended: io::Result<Option<ExitStatus>> = loop {
        match child.try_wait() {
            Ok(None) => {}
            ended => break ended,
        }
        if stop.load(Ordering::Relaxed) || getppid() != parent {
            break Ok(None);
        }
        thread::sleep(pause);
        pause = (2 * pause).min(LOOK_LATER);
    };
    let left = end_all(Some(&mut child));
    match ended {
        Ok(Some(status)) => {
            Report { exit: status.code(), signal: status.signal(), left, ..Report::default() }
        }
        Ok(None) => Report { left, ..Report::default() },
        Err(error) => Report { error: Some(error.to_string()), left, ..Report::default() },
    }
}

/// Ends every descendant. Returns how many would not.
fn end_all(mut child: Option<&mut Child>) -> usize {
    let begun = Instant::now();
    loop {
        let left = descendants::end(child.as_deref_mut());
        if left == 0 || begun.elapsed() > DYING {
            return left;
        }
        thread::sleep(LOOK_FIRST);
    }
}
