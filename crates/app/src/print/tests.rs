//! What appears on which stream, over a scripted model and for every kind of screen.

use std::sync::atomic::AtomicBool;

use engine::testing::{ScriptedForward, byte_tokenizer};
use engine::{Control, Generated, Session, Settings, StopReason, Turn, generate};

use super::*;

const CLOSE: u32 = 260;
const END: u32 = 258;
/// A user's turn and a think block that the prompt opened.
const PROMPT: [u32; 3] = [257, 97, 259];

/// Ids of text, then a close mark where `|` stands, then the end of the turn.
fn script(text: &str) -> Vec<u32> {
    let id = |byte: u8| if byte == b'|' { CLOSE } else { u32::from(byte) };
    text.bytes().map(id).chain([END]).collect()
}

/// Shows a scripted turn, and returns what came out on both streams.
fn shown<O: Write>(
    answer: &str,
    out: O,
    thinking: Thinking,
    terminal: bool,
    logprobs: Option<usize>,
) -> (Generated, O, String, Option<io::Error>) {
    let tokenizer = byte_tokenizer();
    let mut forward = ScriptedForward::new(265, 4096).answering(PROMPT.to_vec(), script(answer));
    let mut session = Session::new(&forward, 4096).expect("a session");
    let turn = Turn { prompt: PROMPT.to_vec(), checkpoint_at: None };
    let settings = Settings { stop_ids: vec![END], logprobs, ..Settings::default() };
    let (cancel, mut err) = (AtomicBool::new(false), Vec::new());
    let mut printer = Printer::new(out, &mut err, &tokenizer, thinking, terminal);
    let generated = generate(
        &mut forward,
        &mut session,
        &tokenizer,
        &turn,
        &settings,
        &Control::new(&cancel),
        None,
        &mut |event| printer.event(event),
    )
    .expect("the script is followed");
    printer.finish();
    let Printer { out, failure, .. } = printer;
    (generated, out, String::from_utf8(err).expect("UTF-8"), failure)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn reasoning_never_reaches_stdout() {
    let answer = "hm, ü|\n\nyes, é";
    for (thinking, want) in [(Thinking::Hidden, "\n"), (Thinking::Plain, "hm, ü\n\n\n")] {
        let (_, out, err, _) = shown(answer, Vec::new(), thinking, false, None);
        assert_eq!((text(out).as_str(), err.as_str()), ("yes, é", want), "{thinking:?}");
    }
    let (_, out, err, _) = shown(answer, Vec::new(), Thinking::Dimmed, false, None);
    assert_eq!(text(out), "yes, é", "dimmed: stdout");
    assert!(err.ends_with("\x1b[0m\n\n\n"), "the terminal is left as it was: {err:?}");
    assert_eq!(err.replace(DIM, "").replace(RESET, ""), "hm, ü\n\n\n", "dimmed: stderr");
}

#[test]
fn an_open_line_is_ended_where_that_harms_nobody() {
    for (terminal, answer, want_out, want_err) in [
        (true, "|yes", "yes\n", ""),
        (false, "|yes", "yes", "\n"),
        (true, "|yes\n", "yes\n", ""),
        (false, "|yes\n", "yes\n", ""),
        (true, "|", "", ""),
    ] {
        let (_, out, err, _) = shown(answer, Vec::new(), Thinking::Hidden, terminal, None);
        let found = (text(out), err.as_str());
        assert_eq!(found, (want_out.to_owned(), want_err), "{answer:?}, terminal {terminal}");
    }
}

#[test]
fn every_token_has_its_line_of_log_probabilities() {
    let (generated, out, err, _) = shown("ab|\n\nc", Vec::new(), Thinking::Plain, false, Some(2));
    assert_eq!(text(out), "c", "the answer alone");
    let lines: Vec<Value> =
        err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(lines.len(), generated.ids.len(), "one a token: {err}");
    for (line, id) in lines.iter().zip(&generated.ids) {
        assert_eq!(line["id"], *id, "{line}");
        let top = line["top"].as_array().expect("a list");
        assert_eq!(top.len(), 2, "{line}");
        assert_eq!(top[0]["id"], *id, "the script makes its id the likeliest: {line}");
        assert_eq!(top[0]["logprob"], line["logprob"], "{line}");
        assert!(line["logprob"].as_f64().is_some_and(|log| log <= 0.0), "{line}");
        assert_eq!(line["text"], byte_tokenizer().decode(&[*id], false), "{line}");
        assert_eq!(line["forced"], false, "{line}");
    }
}

/// Takes so many bytes, then is closed.
struct Narrow(usize, io::ErrorKind);

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(self.1.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stdout_that_takes_no_more_ends_the_turn() {
    for kind in [io::ErrorKind::BrokenPipe, io::ErrorKind::StorageFull] {
        let (generated, _, _, failure) =
            shown("|abcdef", Narrow(3, kind), Thinking::Hidden, false, None);
        assert_eq!(generated.stop, StopReason::Closed, "{kind:?}");
        assert_eq!(generated.ids.len(), 5, "mark, three letters, and the one too many");
        assert_eq!(failure.map(|error| error.kind()), Some(kind), "{kind:?}");
    }
}

#[test]
fn who_sees_reasoning() {
    for (asked_for, terminal, rich, want) in [
        (false, false, false, Thinking::Hidden),
        (true, false, false, Thinking::Plain),
        (false, true, true, Thinking::Dimmed),
        (true, true, true, Thinking::Dimmed),
        (false, true, false, Thinking::Plain),
    ] {
        let chosen = Thinking::choose(asked_for, terminal, rich);
        assert_eq!(chosen, want, "asked {asked_for}, terminal {terminal}, rich {rich}");
    }
}
