//! The plain front with hands on both of its ends.

use std::sync::mpsc::channel;

use super::*;

/// What came out, and the orders that were given, when these events answer the input.
fn shown(
    input: &str,
    ends: Ends,
    told: &[Told],
) -> (String, String, Vec<Order>, Result<(), Fault>) {
    let (give, orders) = channel();
    let (tell, hear) = channel();
    told.iter().for_each(|told| tell.send(told.clone()).expect("it listens"));
    drop(tell);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (read, open) = (input.as_bytes(), Open::Nothing);
    let mut front = Front { ends, read, out: &mut out, err: &mut err, open, failed: false };
    let done = front.talk(&give, &hear, &Gauge::default(), &AtomicBool::new(false));
    drop(give);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(out), text(err), orders.iter().collect(), done)
}

const PIPE: Ends = Ends { person: false, screen: false, thinking: Thinking::Hidden };
const TERMINAL: Ends = Ends { person: true, screen: true, thinking: Thinking::Plain };

fn piece(text: &str, reasoning: bool) -> Told {
    Told::Piece { text: text.to_owned(), reasoning }
}

fn answered() -> Told {
    Told::Answered { note: None, cost: "2 tok".to_owned() }
}

#[test]
fn in_a_pipe_stdout_has_the_answers_alone() {
    let told = [
        Told::Ready,
        Told::User("a".into()),
        piece("hm", true),
        piece("one\u{1b}[m", false),
        answered(),
        Told::Ready,
        piece("two\n", false),
        answered(),
        Told::Ready,
    ];
    let (out, err, orders, done) = shown("a\nb \\\nc\n\n", PIPE, &told);
    assert_eq!(out, "one\u{1b}[m\ntwo\n", "as the model said it, a line each");
    assert_eq!(err, "2 tok\n2 tok\n", "the cost, no reasoning, no prompt");
    assert_eq!(orders, [Order::Say("a".into()), Order::Say("b \nc".into())], "lines are joined");
    assert_eq!(done, Ok(()), "done");
}

#[test]
fn on_a_terminal_nothing_moves_the_cursor() {
    let told = [Told::Ready, piece("h\u{1b}[2J", true), piece("a\u{1b}[2J", false), answered()];
    let (out, err, _, _) = shown("a\n", TERMINAL, &told);
    assert_eq!(out, "a\\u{1b}[2J\n", "the answer");
    assert!(err.ends_with("> h\\u{1b}[2J\n\n2 tok\n"), "prompt, reasoning, cost: {err:?}");
}

#[test]
fn what_fails_in_a_pipe_fails_the_program() {
    let told = [Told::Ready, piece("a", false), Told::Wrong("no disk".into()), Told::Ready];
    let (out, err, orders, done) = shown("a\n/nothing\n/quit\nb\n", PIPE, &told);
    assert_eq!((out.as_str(), orders.len()), ("a\n", 1), "it goes on until somebody quits");
    assert!(err.contains("error: no disk\n") && err.contains("error: /nothing is no"), "{err}");
    assert_eq!(done, Err(Fault::Told), "exit code 1");
}

#[test]
fn calls_are_asked_about_where_somebody_is() {
    let call = Told::Call { tool: "bash".into(), shown: "bash\n  command: ls".into(), ask: true };
    let told = [Told::Ready, call.clone(), call, Told::Ready];
    let (_, err, orders, _) = shown("go\ny\nwhat\n", TERMINAL, &told);
    let said = Order::Say("go".into());
    let want = [said.clone(), Order::Decide(Decision::Once), Order::Decide(Decision::No)];
    assert_eq!(orders, want, "yes, and anything else is no");
    assert!(err.contains("calls bash\n  command: ls\nrun it?"), "{err}");
    let (_, err, orders, _) = shown("go\ny\n", PIPE, &told);
    let no = Order::Decide(Decision::No);
    assert_eq!(orders, [said, no.clone(), no, Order::Say("y".into())], "a line is no permission");
    assert!(err.contains("nobody can be asked"), "{err}");
}
