//! Why a command ended early: the line that says so, and the exit code that scripts go by.

use std::fmt::Display;
use std::io;

/// The end of a command that was not done. Each line is one sentence: where, what was found, what
/// is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The work failed: a bad file, a disk, a model. Exit code 1.
    Failed(String),
    /// The command line is wrong. Exit code 2.
    CommandLine(String),
    /// What is asked for does not fit: memory, disk, context. Exit code 3.
    Refused(String),
    /// Ctrl-C. Exit code 130.
    Interrupted,
    /// Whoever read our output has gone: no failure of ours. Exit code 0.
    Closed,
    /// As [`Fault::Failed`], after its line was printed where it belonged.
    Told,
}

impl Fault {
    pub(crate) fn failed(why: impl Display) -> Self {
        Self::Failed(one_line(&why.to_string()))
    }

    pub(crate) fn command_line(why: impl Display) -> Self {
        Self::CommandLine(one_line(&why.to_string()))
    }

    pub(crate) fn refused(why: impl Display) -> Self {
        Self::Refused(one_line(&why.to_string()))
    }

    /// Output that cannot be written: quiet when nobody reads it any more.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::failed(format!("stdout: cannot be written: {error}")),
        }
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Failed(_) | Self::Told => 1,
            Self::CommandLine(_) => 2,
            Self::Refused(_) => 3,
            Self::Interrupted => 130,
        }
    }

    /// What is still to be said, if anything.
    pub(crate) fn line(&self) -> Option<&str> {
        match self {
            Self::Failed(line) | Self::CommandLine(line) | Self::Refused(line) => Some(line),
            Self::Interrupted | Self::Closed | Self::Told => None,
        }
    }
}

/// Line breaks of whoever wrote the message become spaces, with the indent that follows them.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_code() {
        for (fault, code) in [
            (Fault::Closed, 0),
            (Fault::failed("x"), 1),
            (Fault::Told, 1),
            (Fault::command_line("x"), 2),
            (Fault::refused("x"), 3),
            (Fault::Interrupted, 130),
        ] {
            assert_eq!(fault.code(), code, "{fault:?}");
        }
    }

    #[test]
    fn a_message_of_several_lines_becomes_one() {
        let fault = Fault::failed("first\n   second  \n\nthird\n");
        assert_eq!(fault.line(), Some("first second third"), "joined");
    }

    #[test]
    fn a_closed_pipe_is_quiet_and_a_full_disk_is_not() {
        let closed = Fault::output(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((closed.code(), closed.line()), (0, None), "closed");
        let full = Fault::output(&io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.code(), 1, "full");
        assert!(full.line().is_some_and(|line| line.starts_with("stdout: ")), "{full:?}");
    }
}
