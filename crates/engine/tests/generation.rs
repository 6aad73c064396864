//! Whole turns over a model without weights: how they end, what is shown, what can go wrong.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::testing::{Failure, ScriptedForward, byte_tokenizer, plain_byte_tokenizer};
use engine::{
    Control, Event, ForwardError, GenerateError, Generated, Mask, Sampling, Session, Settings,
    StopReason, Tokenizer, Turn, generate, log_probabilities, logits_hash,
};

const VOCABULARY: usize = 270;
const CAPACITY: usize = 200;
const THINK: u32 = 259;
const CLOSE: u32 = 260;
const IM_END: u32 = 258;

/// A model that answers the prompt `Q` as it is told.
struct Talk {
    tokenizer: Tokenizer,
    forward: ScriptedForward,
    session: Session<ScriptedForward>,
    turn: Turn,
    settings: Settings,
    events: Vec<Event>,
    cancel: AtomicBool,
    /// The sink breaks after so many events.
    patience: usize,
    /// The sink cancels after so many events.
    cancel_after: usize,
}

impl Talk {
    fn of(tokenizer: Tokenizer, prompt: &str, answer: &str) -> Self {
        let prompt = tokenizer.encode_markup(prompt).expect("ids");
        let answer = tokenizer.encode_markup(answer).expect("ids");
        let forward = ScriptedForward::new(VOCABULARY, CAPACITY).answering(prompt.clone(), answer);
        let session = Session::new(&forward, CAPACITY).expect("room");
        let settings = Settings { stop_ids: vec![256, IM_END], ..Settings::default() };
        Self {
            tokenizer,
            forward,
            session,
            turn: Turn { prompt, checkpoint_at: Some(1) },
            settings,
            events: Vec::new(),
            cancel: AtomicBool::new(false),
            patience: usize::MAX,
            cancel_after: usize::MAX,
        }
    }

    fn new(prompt: &str, answer: &str) -> Self {
        Self::of(byte_tokenizer(), prompt, answer)
    }

    fn run_masked(&mut self, mask: Option<&mut dyn Mask>) -> Result<Generated, GenerateError> {
        self.events.clear();
        self.cancel.store(self.cancel_after == 0, Ordering::Relaxed);
        let (events, cancel) = (&mut self.events, &self.cancel);
        let (patience, cancel_after) = (self.patience, self.cancel_after);
        let mut sink = |event| {
            events.push(event);
            assert!(events.len() <= patience, "the sink is not called after it broke");
            if events.len() == cancel_after {
                cancel.store(true, Ordering::Relaxed);
            }
            if events.len() == patience {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        generate(
            &mut self.forward,
            &mut self.session,
            &self.tokenizer,
            &self.turn,
            &self.settings,
            &Control::new(&self.cancel),
            mask,
            &mut sink,
        )
    }

    fn run(&mut self) -> Result<Generated, GenerateError> {
        self.run_masked(None)
    }

    fn ends(&mut self) -> Generated {
        let generated = self.run().expect("it ends");
        if self.patience == usize::MAX {
            self.shown(&generated);
        }
        generated
    }

    /// What the sink heard is what was returned.
    fn shown(&self, generated: &Generated) {
        let (mut ids, mut text, mut reasoning) = (Vec::new(), String::new(), String::new());
        for event in &self.events {
            match event {
                Event::Prompt(_) => assert!(ids.is_empty(), "the prompt comes first"),
                Event::Id { id, .. } => ids.push(*id),
                Event::Text { text: part, reasoning: r } => {
                    assert!(!part.is_empty(), "no empty text");
                    if *r { reasoning.push_str(part) } else { text.push_str(part) }
                }
            }
        }
        assert_eq!(ids, generated.ids, "ids");
        assert_eq!(text, generated.text, "text");
        assert_eq!(reasoning, generated.reasoning, "reasoning");
    }

    fn forced(&self) -> Vec<u32> {
        let forced = |event: &Event| match event {
            Event::Id { id, forced: true, .. } => Some(*id),
            _ => None,
        };
        self.events.iter().filter_map(forced).collect()
    }
}

#[test]
fn a_turn_to_its_end() {
    let mut talk = Talk::new("Q<think>\n", "so\n</think>\n\nJa é!<|im_end|>");
    let found = talk.ends();
    assert_eq!((found.text.as_str(), found.reasoning.as_str()), ("Ja é!", "so\n"), "both kinds");
    assert_eq!(found.stop, StopReason::Eos(IM_END), "by the id");
    assert_eq!(found.stop.name(), "eos", "for machines");
    assert_eq!(found.ids.last(), Some(&IM_END), "which is one of the ids");
    let decoded = found.ids.len() - 1;
    assert_eq!((found.reused, found.prompt.tokens, found.decode.tokens), (0, 3, decoded), "phases");
    assert_eq!(found.prompt.spent.tokens, 3, "prompt");
    assert_eq!(found.decode.spent.read_bytes, 1000 * decoded as u64, "decode only");
    assert!(found.first_id.is_some(), "time to the first id");
    let held = [&talk.turn.prompt, &found.ids[..decoded]].concat();
    assert_eq!(talk.session.ids(), held, "all but the last id");
    assert_eq!(talk.forward.passes(), 2 + decoded as u64, "no pass for the last id");
    let row = talk.session.logits().expect("still there");
    assert_eq!(found.logits_hash, Some(logits_hash(row)), "of the row it was chosen from");
    assert!(talk.events.contains(&Event::Text { text: "é".to_owned(), reasoning: false }), "whole");
    let again = talk.ends();
    assert_eq!((again.reused, &again.text), (1, &found.text), "the checkpoint was in the prompt");
}

#[test]
fn the_end_of_the_turn_can_be_passed() {
    let mut talk = Talk::new("Q", "a<|im_end|>b<|endoftext|>c");
    talk.settings.ignore_eos = true;
    talk.settings.max_tokens = Some(5);
    let found = talk.ends();
    assert_eq!((found.text.as_str(), found.stop), ("abc", StopReason::Length), "they are no text");
    assert_eq!(found.ids.len(), 5, "but ids");
}

#[test]
fn lengths() {
    let mut talk = Talk::new("Q<think>", &"x".repeat(150));
    talk.settings.max_tokens = Some(3);
    let found = talk.ends();
    assert_eq!((found.ids.len(), found.stop), (3, StopReason::Length), "reasoning counts");
    assert_eq!(found.reasoning, "xxx", "reasoning");
    talk.settings.max_tokens = Some(0);
    let found = talk.ends();
    assert_eq!((found.ids.len(), found.stop), (0, StopReason::Length), "nothing wanted");
    assert_eq!(found.first_id, None, "no first id");
    assert_eq!(talk.session.ids(), talk.turn.prompt, "but the prompt was read");
    assert!(found.logits_hash.is_some(), "and has logits");
    talk.settings.max_tokens = None;
    talk.session = Session::new(&talk.forward, 10).expect("room");
    let found = talk.ends();
    assert_eq!((found.ids.len(), found.stop), (8, StopReason::Length), "what the context leaves");
    talk.turn.prompt = vec![81; 10];
    let found = talk.ends();
    assert_eq!((found.ids.len(), found.stop), (0, StopReason::Length), "it just fits");
    talk.turn.prompt = vec![81; 11];
    let passes = talk.forward.passes();
    let error = talk.run().expect_err("too long");
    assert!(matches!(error, GenerateError::Context { prompt: 11, capacity: 10 }), "{error}");
    assert_eq!(error.to_string(), "the prompt has 11 tokens, the context holds 10", "both numbers");
    talk.turn.prompt.clear();
    assert!(matches!(talk.run(), Err(GenerateError::Empty)), "nothing to begin with");
    assert_eq!((talk.forward.passes(), talk.events.len()), (passes, 0), "refused before any work");
}

#[test]
fn stop_strings_across_ids_and_characters() {
    for (answer, stop, text) in [
        ("one STOP two", "STOP", "one "),
        ("one STO two<|im_end|>", "STOP", "one STO two"),
        ("日本語", "本", "日"),
        ("ab", "ab", ""),
        ("a STO<|im_end|>", "STOP", "a STO"),
    ] {
        let mut talk = Talk::new("Q", answer);
        talk.settings.stop = vec!["never".to_owned(), stop.to_owned()];
        let found = talk.ends();
        assert_eq!(found.text, text, "{answer} to {stop}");
        let stopped = found.stop == StopReason::StopString(stop.to_owned());
        assert_eq!(stopped, answer.contains(stop), "{answer} by {stop}: {:?}", found.stop);
    }
    let mut talk = Talk::new("Q<think>", "STOP</think>STO</think>aSTOPb");
    talk.settings.stop = vec!["STOP".to_owned()];
    let found = talk.ends();
    assert_eq!(found.reasoning, "STOP", "in reasoning it is text");
    assert_eq!(found.text, "STO</think>a", "in the answer it ends the turn");
    assert_eq!(found.stop.name(), "stop", "for machines");
}

#[test]
fn the_think_block_is_closed_after_its_budget() {
    let long = "x".repeat(30);
    let closing = [10, CLOSE, 10, 10];
    for budget in [0, 1, 5] {
        let mut talk = Talk::new("Q<think>\n", &long);
        // What the model says after the block was closed.
        let after = talk.tokenizer.encode_markup("\n</think>\n\n").expect("ids");
        let answer = talk.tokenizer.encode_markup("Ja<|im_end|>").expect("ids");
        talk.forward = talk.forward.answering(after, answer);
        talk.settings.think_budget = Some(budget);
        let found = talk.ends();
        assert_eq!(found.reasoning, "x".repeat(budget) + "\n", "budget {budget}");
        assert_eq!((found.text.as_str(), talk.forced()), ("Ja", closing.to_vec()), "forced");
        assert_eq!(found.ids.len(), budget + 4 + 3, "forced ids count");
        assert_eq!(found.ids[budget..budget + 4], closing, "they are part of the output");
        talk.settings.max_tokens = Some(budget + 2);
        let found = talk.ends();
        assert_eq!((found.ids.len(), found.stop), (budget + 2, StopReason::Length), "in between");
    }
    let mut talk = Talk::new("Q<think>\n", "abc</think>\n\nJa<|im_end|>");
    for (budget, reasoning, forced) in [(3, "abc\n", 4), (4, "abc", 0), (9, "abc", 0)] {
        talk.settings.think_budget = Some(budget);
        talk.settings.max_tokens = Some(9);
        let found = talk.ends();
        assert_eq!(
            (found.reasoning.as_str(), talk.forced().len()),
            (reasoning, forced),
            "{budget}"
        );
    }
    let mut talk = Talk::new("Q", "Ja<|im_end|>");
    talk.settings.think_budget = Some(0);
    let found = talk.ends();
    assert_eq!(
        (found.text.as_str(), talk.forced()),
        ("Ja", Vec::new()),
        "no block, nothing forced"
    );
}

#[test]
fn a_budget_where_marks_are_text() {
    let mut talk = Talk::of(plain_byte_tokenizer(), "Q<think>\n", &"x".repeat(30));
    let answer = talk.tokenizer.encode_text("Ja!").expect("ids");
    let after = talk.tokenizer.encode_text("xx\n</think>\n\n").expect("ids");
    talk.forward = talk.forward.answering(after, answer);
    talk.settings.think_budget = Some(2);
    talk.settings.stop = vec!["!".to_owned()];
    let found = talk.ends();
    assert_eq!((found.reasoning.as_str(), found.text.as_str()), ("xx\n", "Ja"), "closed by text");
    assert_eq!(talk.forced().len(), "\n</think>\n\n".len(), "byte by byte");
}

#[test]
fn half_a_character_at_the_end_is_shown_as_such() {
    let mut talk = Talk::new("Q", "é");
    talk.settings.max_tokens = Some(1);
    assert_eq!(talk.ends().text, "\u{FFFD}", "it will never be whole");
}

#[test]
fn cancelled_and_closed_anywhere() {
    let mut talk = Talk::new("Q<think>\n", "so</think>\n\nJa, é<|im_end|>");
    let whole = talk.ends();
    let events = talk.events.len();
    for after in 0..=events {
        talk.cancel_after = after;
        let found = talk.ends();
        assert!(whole.ids.starts_with(&found.ids), "{after}: no other ids");
        assert_eq!(found.logits_hash.is_some(), after > 0, "{after}: nothing read, nothing hashed");
        if after < events - 1 {
            assert_eq!(found.stop, StopReason::Cancelled, "after {after} of {events} events");
            assert!(found.ids.len() < whole.ids.len(), "{after}: not to the end");
        }
        talk.cancel_after = usize::MAX;
        let again = talk.ends();
        assert_eq!((&again.ids, &again.logits_hash), (&whole.ids, &whole.logits_hash), "{after}");
    }
    for after in 1..events {
        talk.patience = after;
        let found = talk.ends();
        assert_eq!(found.stop, StopReason::Closed, "after {after} of {events} events");
        assert_eq!(talk.events.len(), after, "not called again");
        assert!(whole.ids.starts_with(&found.ids), "{after}: no other ids");
    }
}

/// A cancel that comes while a pass is under way.
#[test]
fn cancelled_within_a_pass() {
    let mut talk = Talk::new("Q", "abc<|im_end|>");
    let whole = talk.ends();
    for stage in 1..22 {
        talk.session = Session::new(&talk.forward, CAPACITY).expect("room");
        let (cancel, told) = (AtomicBool::new(false), std::sync::atomic::AtomicUsize::new(0));
        let progress = |_| {
            let told = told.fetch_add(1, Ordering::Relaxed) + 1;
            cancel.store(told == stage, Ordering::Relaxed);
        };
        let control = Control { cancel: &cancel, progress: Some(&progress) };
        let (t, s) = (&talk.tokenizer, &talk.settings);
        let mut sink = |_| ControlFlow::Continue(());
        let (forward, session) = (&mut talk.forward, &mut talk.session);
        let found = generate(forward, session, t, &talk.turn, s, &control, None, &mut sink);
        let found = found.expect("a cancel is no error");
        // Four stages are told in each pass: the prompt, then a step for each id but the last.
        let passes = (stage - 1) / 4;
        let done = stage > 16;
        let want = if done { &whole.ids[..] } else { &whole.ids[..passes] };
        assert_eq!(found.ids, want, "stage {stage}");
        assert_eq!(found.decode.tokens, if done { 3 } else { passes.saturating_sub(1) }, "{stage}");
        assert_eq!(found.stop == StopReason::Cancelled, !done, "stage {stage}: {:?}", found.stop);
        assert_eq!(talk.ends().ids, whole.ids, "stage {stage}: and then to the end");
    }
}

/// The disk fails in any pass: the error has what there was, and the next turn gives what it would
/// have given.
#[test]
fn every_failure_is_survived() {
    let answer = "so\n</think>\n\nJa é<|im_end|>";
    let whole = Talk::new("Q<think>\n", answer).ends();
    for pass in 0..2 + whole.decode.tokens as u64 {
        let mut talk = Talk::new("Q<think>\n", answer);
        talk.forward.failures = vec![Failure { pass, stages: 1 }];
        let error = talk.run().expect_err("scripted");
        let words = format!("scripted failure in pass {pass} after 1 stages");
        assert_eq!(error.to_string(), words, "its own words");
        let GenerateError::Forward { source, so_far } = error else {
            panic!("a failed pass is told as one")
        };
        assert!(matches!(source, ForwardError::Failed(_)), "{source}");
        let made = (pass as usize).saturating_sub(1);
        assert_eq!(so_far.ids, whole.ids[..made], "pass {pass}: what there was");
        assert_eq!(so_far.stop, StopReason::Failed, "pass {pass}");
        assert_eq!(so_far.logits_hash.is_some(), pass > 1, "pass {pass}: prompt read or not");
        talk.shown(&so_far);
        let again = talk.ends();
        assert_eq!((&again.ids, &again.text), (&whole.ids, &whole.text), "pass {pass}: the same");
        assert_eq!(again.logits_hash, whole.logits_hash, "pass {pass}: to the last bit");
    }
}

#[test]
fn numbers_that_are_none_are_never_an_id() {
    let whole = Talk::new("Q", "abc<|im_end|>").ends();
    for pass in 0..4 {
        let mut talk = Talk::new("Q", "abc<|im_end|>");
        talk.forward.broken_rows = vec![pass];
        let error = talk.run().expect_err("no numbers");
        let words =
            "the logit of token id 0 is not a finite number: the model's numbers are broken";
        assert_eq!(error.to_string(), words, "pass {pass}");
        let GenerateError::Sample { so_far, .. } = error else { panic!("told as what it is") };
        assert_eq!(so_far.ids, whole.ids[..pass as usize], "pass {pass}: what there was");
        talk.shown(&so_far);
    }
}

#[test]
fn log_probabilities_come_with_every_id() {
    let mut talk = Talk::new("Q<think>", "ab");
    talk.settings.logprobs = Some(2);
    talk.settings.think_budget = Some(1);
    talk.settings.max_tokens = Some(3);
    let found = talk.ends();
    let mut forward = talk.forward.clone();
    let mut session = Session::new(&forward, CAPACITY).expect("room");
    let mut prefix = talk.turn.prompt.clone();
    let mut told = talk.events.iter().filter_map(|event| match event {
        Event::Id { id, logprobs, .. } => Some((*id, logprobs.clone())),
        _ => None,
    });
    for _ in &found.ids {
        let cancel = AtomicBool::new(false);
        session.sync(&mut forward, &prefix, &[], &Control::new(&cancel)).expect("a pass");
        let (id, logprobs) = told.next().expect("one event an id");
        let row = session.logits().expect("just synced");
        let want = log_probabilities(row, talk.tokenizer.size(), id, 2);
        assert_eq!(logprobs, Some(want), "id {id}, forced ones too");
        prefix.push(id);
    }
    talk.settings.logprobs = None;
    talk.ends();
    let silent = |event: &Event| !matches!(event, Event::Id { logprobs: Some(_), .. });
    assert!(talk.events.iter().all(silent), "not unless asked for");
}

/// Forbids an id, and writes down what it hears.
struct Without {
    id: u32,
    heard: Vec<u32>,
    size: usize,
}

impl Mask for Without {
    fn allow(&mut self, logits: &mut [f32]) {
        self.size = logits.len();
        logits[self.id as usize] = f32::NEG_INFINITY;
    }

    fn accept(&mut self, id: u32) {
        self.heard.push(id);
    }
}

#[test]
fn a_mask_sees_every_choice_and_hears_of_every_id() {
    let mut talk = Talk::new("Q<think>", "ab");
    talk.settings.think_budget = Some(1);
    talk.settings.max_tokens = Some(8);
    let mut mask = Without { id: 97, heard: Vec::new(), size: 0 };
    let found = talk.run_masked(Some(&mut mask)).expect("it ends");
    assert_ne!(found.ids[0], 97, "what the model wanted was forbidden");
    assert_eq!(mask.heard, found.ids, "forced ids too");
    assert_eq!(mask.size, talk.tokenizer.size(), "no padding");
}

#[test]
fn seeds_decide_and_padding_is_never_generated() {
    let mut talk = Talk::new("Q", "");
    talk.settings.ignore_eos = true;
    talk.settings.max_tokens = Some(150);
    let mut ids = |seed| {
        talk.settings.sampling = Sampling { temperature: 2.0, seed, ..Sampling::default() };
        talk.ends().ids
    };
    let first = ids(1);
    assert!(first.iter().all(|id| (*id as usize) < 265), "below the tokenizer's size");
    assert_eq!(ids(1), first, "the same seed");
    assert_ne!(ids(2), first, "another seed");
}

#[test]
fn penalties_see_prompt_and_output() {
    let mut talk = Talk::new("Q<think>", "");
    talk.forward = ScriptedForward::new(VOCABULARY, CAPACITY);
    talk.settings.max_tokens = Some(60);
    talk.settings.ignore_eos = true;
    talk.settings.sampling.presence_penalty = 2.0;
    talk.settings.sampling.repeat_penalty = 100.0;
    let found = talk.ends();
    let mut once = found.ids.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), 60, "no id twice: {:?}", found.ids);
    assert!(!found.ids.contains(&81) && !found.ids.contains(&THINK), "none of the prompt");
}
