//! The plain front: a message a line from stdin, answers to stdout as they are made, all else to stderr.

use std::io::{BufRead, IsTerminal as _, Read as _, Write, stderr, stdin, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use super::command;
use super::gauge::Gauge;
use super::wire::{Command, Decision, Order, Told};
use crate::cli::ChatArgs;
use crate::fault::Fault;
use crate::print::Thinking;
use crate::progress::{Progress, Unit};
use crate::say;
use crate::tool::escaped;

/// More text than any context holds, in one message.
const MESSAGE_BYTES_MAX: u64 = 64 << 20;

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Who is at the other ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// Somebody types, and can be asked.
    pub(super) person: bool,
    /// Answers are read on a terminal.
    pub(super) screen: bool,
    pub(super) thinking: Thinking,
}

/// Holds a conversation line by line until stdin ends.
pub(super) fn talk(
    args: &ChatArgs,
    give: &Sender<Order>,
    hear: &Receiver<Told>,
    gauge: &Gauge,
    cancel: &AtomicBool,
) -> Result<(), Fault> {
    let ends = Ends {
        person: stdin().is_terminal(),
        screen: stdout().is_terminal(),
        thinking: Thinking::choose(args.show_thinking, stderr().is_terminal(), say::is_rich()),
    };
    let (read, out, err) = (stdin().lock(), stdout().lock(), stderr());
    let mut front = Front { ends, read, out, err, open: Open::Nothing, failed: false };
    let done = front.talk(give, hear, gauge, cancel);
    if done.is_err() {
        cancel.store(true, Ordering::Relaxed);
    }
    done
}

/// What the last thing that was shown left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Nothing,
    /// Reasoning, whose line may be open.
    Reasoning {
        ended: bool,
    },
    Answer {
        ended: bool,
    },
}

struct Front<R, O, E> {
    ends: Ends,
    read: R,
    out: O,
    err: E,
    open: Open,
    /// Whether something did not work that nobody may have seen.
    failed: bool,
}

impl<R: BufRead, O: Write, E: Write> Front<R, O, E> {
    fn talk(
        &mut self,
        give: &Sender<Order>,
        hear: &Receiver<Told>,
        gauge: &Gauge,
        cancel: &AtomicBool,
    ) -> Result<(), Fault> {
        if self.ends.person {
            self.note("Ctrl-D leaves, Ctrl-C stops an answer, /help lists the commands");
        }
        while self.listen(give, hear, gauge)? {
            if !self.ends.person && cancel.load(Ordering::Relaxed) {
                return Err(Fault::Interrupted);
            }
            let Some(order) = self.next()? else { break };
            if order == Order::Command(Command::Quit) || give.send(order).is_err() {
                break;
            }
        }
        if self.failed && !self.ends.person { Err(Fault::Told) } else { Ok(()) }
    }

    /// The next message or command; `None` at the end.
    fn next(&mut self) -> Result<Option<Order>, Fault> {
        loop {
            let Some(text) = self.message()? else { return Ok(None) };
            match command::read(&text) {
                _ if text.trim().is_empty() => {}
                None => return Ok(Some(Order::Say(text))),
                Some(Ok(command)) => return Ok(Some(Order::Command(command))),
                Some(Err(why)) => self.wrong(&why),
            }
        }
    }

    /// Lines up to one that does not end in a backslash.
    fn message(&mut self) -> Result<Option<String>, Fault> {
        let mut text = String::new();
        loop {
            let prompt = if text.is_empty() { "> " } else { ". " };
            let Some(line) = self.line(prompt)? else {
                return Ok(Some(text).filter(|text| !text.is_empty()));
            };
            match line.strip_suffix('\\') {
                Some(line) => {
                    text.push_str(line);
                    text.push('\n');
                }
                None => {
                    text.push_str(&line);
                    return Ok(Some(text));
                }
            }
        }
    }

    fn line(&mut self, prompt: &str) -> Result<Option<String>, Fault> {
        if self.ends.person {
            let _ = write!(self.err, "{prompt}").and_then(|()| self.err.flush());
        }
        let mut bytes = Vec::new();
        let mut from = (&mut self.read).take(MESSAGE_BYTES_MAX + 1);
        let read = from.read_until(b'\n', &mut bytes);
        read.map_err(|error| Fault::failed(format!("stdin: {error}")))?;
        if bytes.len() as u64 > MESSAGE_BYTES_MAX {
            let why = format!("stdin: a line of more than {MESSAGE_BYTES_MAX} bytes, the most");
            return Err(Fault::failed(why));
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let line = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Fault::failed(format!("stdin: byte {at} of a line is not UTF-8; accepted: UTF-8 text"))
        })?;
        Ok(Some(line.trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// Shows what is told until the next order may come; whether somebody waits for it.
    fn listen(
        &mut self,
        give: &Sender<Order>,
        hear: &Receiver<Told>,
        gauge: &Gauge,
    ) -> Result<bool, Fault> {
        let progress = Progress::new("reading the prompt", Unit::Tokens);
        loop {
            let told = match hear.recv_timeout(LOOK) {
                Ok(told) => told,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(reading) = gauge.look().reading {
                        let (done, total) = (reading.done as u64, reading.total as u64);
                        progress.tell(done, total, reading.share);
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
            };
            progress.clear();
            match told {
                Told::Ready => return Ok(true),
                Told::Call { tool, shown, ask } => {
                    self.close()?;
                    self.note(&format!("calls {shown}"));
                    if ask {
                        let decision = self.decide(&tool)?;
                        if give.send(Order::Decide(decision)).is_err() {
                            return Ok(false);
                        }
                    }
                }
                told => self.show(told)?,
            }
        }
    }

    fn show(&mut self, told: Told) -> Result<(), Fault> {
        match told {
            Told::Piece { text, reasoning: true } => self.reasoning(&text),
            Told::Piece { text, reasoning: false } => self.answer(&text)?,
            Told::Answered { note, cost } => {
                self.close()?;
                let note = note.map_or(String::new(), |note| format!("{note} · "));
                self.note(&format!("{note}{cost}"));
            }
            Told::Result { tool, shown, failed } => {
                let how = if failed { "failed" } else { "gave" };
                self.note(&format!("{tool} {how}:\n{shown}"));
            }
            Told::Note(text) => self.note(&text),
            Told::Wrong(why) => self.wrong(&why),
            Told::Model(name) => self.note(&format!("{name} answers from now on")),
            Told::Back { question_stays: false, .. } => self.note("the last message is forgotten"),
            Told::Talk(_) | Told::User(_) | Told::Back { .. } | Told::Calling => {}
            // Both are dealt with by whoever listens.
            Told::Call { .. } | Told::Ready => {}
        }
        Ok(())
    }

    fn answer(&mut self, text: &str) -> Result<(), Fault> {
        if let Open::Reasoning { ended } = self.open {
            let _ = self.err.write_all(if ended { b"\n" } else { b"\n\n" });
        }
        let cleaned = self.ends.screen.then(|| escaped(text));
        let shown = cleaned.as_deref().unwrap_or(text);
        let written = self.out.write_all(shown.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|error| Fault::output(&error))?;
        self.open = Open::Answer { ended: text.ends_with('\n') };
        Ok(())
    }

    fn reasoning(&mut self, text: &str) {
        let text = escaped(text);
        // The answer does not depend on whether somebody reads what goes to stderr.
        let _ = match self.ends.thinking {
            Thinking::Hidden => return,
            Thinking::Plain => write!(self.err, "{text}"),
            Thinking::Dimmed => write!(self.err, "\x1b[2m{text}\x1b[0m"),
        };
        let _ = self.err.flush();
        self.open = Open::Reasoning { ended: text.ends_with('\n') };
    }

    /// Ends a line that is open: answers are a line each at least.
    fn close(&mut self) -> Result<(), Fault> {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Answer { ended: false } => {
                let written = self.out.write_all(b"\n").and_then(|()| self.out.flush());
                written.map_err(|error| Fault::output(&error))?;
            }
            Open::Reasoning { ended: false } => drop(self.err.write_all(b"\n")),
            _ => {}
        }
        Ok(())
    }

    /// Nothing runs unasked: where nobody can be asked the answer is no.
    fn decide(&mut self, tool: &str) -> Result<Decision, Fault> {
        if !self.ends.person {
            self.note("refused: nobody can be asked here");
            return Ok(Decision::No);
        }
        let question = format!("run it? y: once, a: {tool} always in this session, n: no [n] ");
        let answer = self.line(&question)?.unwrap_or_default();
        Ok(match answer.trim() {
            "y" | "yes" => Decision::Once,
            "a" | "always" => Decision::Always,
            _ => Decision::No,
        })
    }

    fn note(&mut self, text: &str) {
        let text = escaped(text);
        let _ = writeln!(self.err, "{text}").and_then(|()| self.err.flush());
    }

    fn wrong(&mut self, why: &str) {
        self.failed = true;
        // A line that is open would swallow it; what stdout says of that is heard at the next answer.
        let _ = self.close();
        self.note(&format!("error: {why}"));
    }
}

#[cfg(test)]
mod tests;
