//! What chat keeps on disk: the text of a session, and its ids and logits before the model's own snapshot.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;

use engine::testing::ScriptedForward;
use engine::{Control, Session};

use crate::target::{Shape, Target, Verdict};

/// The app is a program, from which nothing can be called: its parser is compiled in here.
#[path = "../../../crates/app/src/saved/text.rs"]
#[expect(dead_code, reason = "the program uses what is not needed to read")]
mod text;

use text::{Head, Message, ModelMark, Role, Settings, Transcript};

const CAPACITY: usize = 16;

/// `saved::text`: whatever it accepts is written again as it was read.
pub(super) fn transcript() -> Result<Target, String> {
    let model = ModelMark { name: "m".to_owned(), fingerprint: "00ff".to_owned() };
    let settings = Settings { system: Some("s".to_owned()), ..Settings::default() };
    let mut told = Transcript {
        head: Head::new(model, settings, 1_700_000_000),
        messages: Vec::new(),
        partial: None,
        note: None,
    };
    let mut seeds = vec![told.bytes()];
    let call = serde_json::json!({"function": {"name": "f", "arguments": {"a": [1, null, 0.5]}}});
    told.messages = vec![
        Message { tokens: 7, ..Message::new(Role::User, "one\ntwo \u{1F600}") },
        Message { tool_calls: vec![call], ..Message::new(Role::Assistant, "") },
        Message { tool: Some("f".to_owned()), ..Message::new(Role::Tool, "\u{0}") },
    ];
    seeds.push(told.bytes());
    let (reasoning, content) = ("hm".to_owned(), "yes".to_owned());
    told.partial = Some(text::Partial { reasoning, content, ids: vec![1, u32::MAX] });
    seeds.push(told.bytes());
    let run = |input: &[u8]| {
        let parsed = Transcript::parse(input);
        if let Ok(read) = &parsed {
            let note = read.note.clone().map_or(Ok(()), Err);
            // A note is held to the same as an error.
            Verdict::of(&note);
            let again = Transcript::parse(&read.bytes()).expect("what was written is read");
            assert_eq!(again.note, None, "nothing of it is left out");
            assert_eq!(
                (again.head, again.messages, again.partial),
                (read.head.clone(), read.messages.clone(), read.partial.clone()),
                "the same"
            );
        }
        Verdict::of(&parsed)
    };
    Ok(Target { name: "transcript", shape: Shape::Bytes, seeds, run: Box::new(run) })
}

/// [`Session::restore`]: nothing that was changed is taken.
pub(super) fn session() -> Result<Target, String> {
    let mut forward = ScriptedForward::new(6, CAPACITY);
    let cancel = AtomicBool::new(false);
    let mut session = Session::new(&forward, CAPACITY).map_err(|error| error.to_string())?;
    let mut seeds = Vec::new();
    for length in 1..4 {
        let ids = &[5, 0, 3][..length];
        let synced = session.sync(&mut forward, ids, &[], &Control::new(&cancel));
        synced.map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        session.snapshot(&forward, &mut bytes).map_err(|error| error.to_string())?;
        seeds.push(bytes);
    }
    let (known, forward) = (seeds.clone(), Mutex::new(forward));
    let run = move |input: &[u8]| {
        let forward = forward.lock().unwrap_or_else(PoisonError::into_inner);
        let restored = Session::restore(&*forward, &mut &input[..], CAPACITY, 2).map(|_| ());
        if restored.is_ok() {
            // What lies behind the snapshot is not read.
            assert!(known.iter().any(|known| input.starts_with(known)), "damage was not seen");
        }
        Verdict::of(&restored)
    };
    Ok(Target { name: "session", shape: Shape::Bytes, seeds, run: Box::new(run) })
}
