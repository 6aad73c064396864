//! The loop of a turn over a scripted model: how it ends, and what is left for the last line.

use engine::GenerationDefaults;
use engine::testing::{Failure, ScriptedForward, byte_tokenizer};

use super::*;

const END: u32 = 258;

fn language() -> Language {
    Language {
        tokenizer: byte_tokenizer(),
        template: None,
        defaults: GenerationDefaults::default(),
        stop_ids: vec![END],
    }
}

fn scripted() -> ScriptedForward {
    let answer = b"answer".iter().map(|byte| u32::from(*byte)).chain([END]).collect();
    ScriptedForward::new(265, 64).answering(vec![1, 2, 3], answer)
}

/// Runs a turn; returns what was generated, how it ended, and what both streams got.
fn turn(
    mut model: ScriptedForward,
    prompt: &[u32],
    cancel: &AtomicBool,
) -> (Generated, Result<(), Fault>, String, String) {
    let language = language();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut printer =
        Printer::new(&mut out, &mut err, &language.tokenizer, Thinking::Hidden, false);
    let turn = Turn { prompt: prompt.to_vec(), checkpoint_at: None };
    let settings = Settings { stop_ids: vec![END], ..Settings::default() };
    let done = answer(&mut model, 64, &language, &turn, &settings, cancel, &mut printer);
    let (generated, told) = done.expect("the turn was begun");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (generated, told, text(out), text(err))
}

#[test]
fn a_turn_that_ends_by_itself_is_done() {
    let (generated, told, out, err) = turn(scripted(), &[1, 2, 3], &AtomicBool::new(false));
    assert_eq!((out.as_str(), err.as_str(), told), ("answer", "\n", Ok(())), "the answer alone");
    assert_eq!(generated.stop, StopReason::Eos(END), "by its end");
    assert_eq!(generated.decode.tokens, 6, "a step for each id but the last");
}

#[test]
fn a_failure_in_the_middle_keeps_what_was_there_for_the_last_line() {
    for pass in 0..6 {
        let mut model = scripted();
        model.failures.push(Failure { pass, stages: 1 });
        let (generated, told, out, err) = turn(model, &[1, 2, 3], &AtomicBool::new(false));
        assert_eq!(told, Err(Fault::Told), "pass {pass}: the line was said before");
        let line = format!("error: scripted failure in pass {pass} after 1 stages\n");
        assert_eq!(err.trim_start(), line, "pass {pass}: once");
        assert_eq!(generated.ids.len() as u64, pass, "pass {pass}: an id for each pass before");
        assert_eq!(out, "answer"[..pass as usize], "pass {pass}: all of it was shown");
        assert_eq!(generated.stop.name(), "error", "pass {pass}");
    }
}

#[test]
fn a_cancelled_turn_is_an_interruption_with_a_last_line() {
    let (generated, told, out, _) = turn(scripted(), &[1, 2, 3], &AtomicBool::new(true));
    assert_eq!((out.as_str(), told), ("", Err(Fault::Interrupted)), "nothing was shown");
    assert_eq!(generated.stop, StopReason::Cancelled, "why");
}

#[test]
fn ids_that_the_model_does_not_know_are_an_error() {
    let (_, told, _, err) = turn(scripted(), &[1, 999], &AtomicBool::new(false));
    assert_eq!(told, Err(Fault::Told), "the line was said");
    assert!(err.starts_with("error: ") && err.contains("999"), "{err}");
}

#[test]
fn a_prompt_that_does_not_fit_is_refused_with_both_numbers() {
    let turn = Turn { prompt: vec![1; 65], checkpoint_at: None };
    assert_eq!(fits(&turn, 65), Ok(()), "it just fits");
    let fault = fits(&turn, 64).expect_err("one too many");
    assert_eq!(fault.code(), 3, "{fault:?}");
    assert!(
        fault.line().is_some_and(|line| line.contains("65") && line.contains("64")),
        "{fault:?}"
    );
}

#[test]
fn an_output_that_takes_no_more_ends_the_turn() {
    /// Like a full disk, or a pipe that nobody reads.
    struct Full(std::io::ErrorKind);
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    use std::io::ErrorKind::{BrokenPipe, StorageFull};
    for (kind, want) in [(BrokenPipe, Fault::Closed), (StorageFull, Fault::Told)] {
        let (language, mut err, cancel) = (language(), Vec::new(), AtomicBool::new(false));
        let tokenizer = &language.tokenizer;
        let mut printer = Printer::new(Full(kind), &mut err, tokenizer, Thinking::Hidden, false);
        let turn = Turn { prompt: vec![1, 2, 3], checkpoint_at: None };
        let settings = Settings { stop_ids: vec![END], ..Settings::default() };
        let done = answer(&mut scripted(), 64, &language, &turn, &settings, &cancel, &mut printer);
        let (generated, told) = done.expect("the turn was begun");
        assert_eq!((generated.stop, told), (StopReason::Closed, Err(want)), "{kind:?}");
        assert_eq!(err.is_empty(), kind == BrokenPipe, "{kind:?}: only a full disk is said");
    }
}
