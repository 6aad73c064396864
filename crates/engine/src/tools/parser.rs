//! Calls out of text that arrives in parts: the marks, the limits, and what is done about a call that is wrong.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::json_form::JsonScan;
use super::tagged::TaggedScan;
use super::{CLOSE, CallForm, OPEN, Tools};
use crate::brief::brief;
use crate::stop::Search;

/// A call may be so long unless somebody says otherwise: a file to be written is in it.
pub const CALL_BYTES_DEFAULT: usize = 1 << 20;

/// Text is looked at in slices of this size, so that what follows a call is not copied again and again.
const SLICE_BYTES: usize = 4096;

/// A part of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text.
    Text(&'a str),
    /// The token that opens a call.
    Open,
    /// The token that closes one.
    Close,
}

/// A call that is well-formed and whose arguments fit the declaration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolCall {
    /// The function.
    pub name: String,
    /// Its arguments, typed, in the order in which the model wrote them.
    pub arguments: Map<String, Value>,
}

/// A call that is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What was written, marks included; of one that is too long, the beginning.
    pub raw: String,
    /// One line for the model: what is wrong and what is accepted.
    pub error: String,
}

/// What a parser found. Neighbouring texts joined, the list does not depend on the parts in which
/// the input arrives.
#[derive(Clone, Debug, PartialEq)]
pub enum CallEvent {
    /// Text outside of calls, at least one character.
    Text(String),
    /// A call begins.
    Began,
    /// It ended well.
    Call(ToolCall),
    /// It did not.
    Malformed(Malformed),
    /// The turn was cut off inside it, with this much of it written.
    Cut {
        /// What was written, the opening mark included.
        raw: String,
    },
}

/// How a turn came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The model ended it.
    Whole,
    /// Something else did: the limit of tokens, mostly.
    Cut,
}

/// What a scan of a call's inside found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More text is needed.
    More,
    /// All is there, up to this byte.
    Done(usize),
    /// It cannot become a call, from this byte on.
    Wrong {
        /// The byte.
        at: usize,
        /// Why.
        what: String,
    },
}

#[derive(Clone, Debug)]
enum Scan {
    Tagged(TaggedScan),
    Json(JsonScan),
}

/// Finds calls. Strict: whatever is not a call to the letter is [`CallEvent::Malformed`].
#[derive(Clone, Debug)]
pub struct CallParser {
    tools: Arc<Tools>,
    form: CallForm,
    /// Whether marks come as tokens. If not, text that spells one is one.
    tokens: bool,
    limit: Limit,
    state: State,
}

/// How long a call may be.
#[derive(Clone, Copy, Debug)]
struct Limit {
    /// Bytes between the marks.
    body: usize,
    /// Bytes that are kept: where the closing mark is text it is kept for a moment.
    kept: usize,
}

impl Limit {
    fn room(self, inside: &Inside) -> usize {
        self.kept - inside.raw.len()
    }

    fn passed(self) -> String {
        format!("the call is longer than {} bytes", self.body)
    }
}

#[derive(Clone, Debug)]
enum State {
    Outside(Search),
    Inside(Inside),
    Skipping(Skipping),
}

/// A call that may still become one.
#[derive(Clone, Debug)]
struct Inside {
    /// What came behind the opening mark.
    raw: String,
    scan: Scan,
    /// Where the body ends, once it does.
    done: Option<usize>,
}

/// A call that cannot, until its closing mark.
#[derive(Clone, Debug)]
struct Skipping {
    raw: String,
    /// Whether something did not fit: nothing behind it is kept.
    full: bool,
    error: String,
    /// For either mark, where marks are text.
    search: Search,
}

impl CallParser {
    /// A parser for one turn. `tokens`: marks come as [`Piece::Open`] and [`Piece::Close`] only, and
    /// text that spells them is text. A call of more than `limit` bytes between its marks is
    /// malformed; no more of it than that is kept.
    #[must_use]
    pub fn new(tools: Arc<Tools>, form: CallForm, tokens: bool, limit: usize) -> Self {
        let kept = if tokens { limit } else { limit.saturating_add(CLOSE.len()) };
        let limit = Limit { body: limit, kept };
        Self { tools, form, tokens, limit, state: State::Outside(opening(tokens)) }
    }

    /// Whether the next piece belongs to a call.
    #[must_use]
    pub fn inside(&self) -> bool {
        !matches!(self.state, State::Outside(_))
    }

    /// Takes one more piece.
    pub fn push(&mut self, piece: Piece<'_>) -> Vec<CallEvent> {
        let mut events = Vec::new();
        match piece {
            Piece::Text(text) => self.text(text, &mut events),
            Piece::Open => self.open_mark(&mut events),
            Piece::Close => self.close_mark(&mut events),
        }
        events
    }

    /// Ends the turn.
    pub fn finish(&mut self, ended: Ended) -> Vec<CallEvent> {
        match std::mem::replace(&mut self.state, State::Outside(opening(self.tokens))) {
            State::Outside(mut search) => Vec::from_iter(text_event(search.finish())),
            State::Inside(inside) if ended == Ended::Cut => {
                vec![CallEvent::Cut { raw: format!("{OPEN}{}", inside.raw) }]
            }
            State::Inside(inside) => {
                let expected = inside.expects();
                let error = format!("the turn ended inside a call, where {expected} was expected");
                vec![malformed(&inside.raw, error, false)]
            }
            State::Skipping(mut skipping) => {
                let held = skipping.search.finish();
                skipping.keep(&held, self.limit.body);
                vec![malformed(&skipping.raw, skipping.error, false)]
            }
        }
    }

    fn text(&mut self, text: &str, events: &mut Vec<CallEvent>) {
        let mut rest = text;
        while !rest.is_empty() {
            let (slice, after) = rest.split_at(rest.floor_char_boundary(SLICE_BYTES));
            rest = after;
            // What lies behind a mark in a slice is text of what comes next.
            let mut left = slice.to_owned();
            while !left.is_empty() {
                left = self.slice(left, events);
            }
        }
    }

    /// Takes text up to a change of state; returns what is left of it.
    fn slice(&mut self, text: String, events: &mut Vec<CallEvent>) -> String {
        match &mut self.state {
            State::Outside(_) if self.tokens => {
                events.extend(text_event(text));
                String::new()
            }
            State::Outside(search) => {
                let found = search.push(&text);
                events.extend(text_event(found.before));
                found.hit.map_or_else(String::new, |hit| {
                    self.begin(events);
                    hit.rest
                })
            }
            State::Inside(inside) => {
                let fits = text.floor_char_boundary(self.limit.room(inside));
                if fits == 0 {
                    let whole_mark = inside.raw.len().saturating_sub(CLOSE.len());
                    let at = inside.raw.floor_char_boundary(whole_mark);
                    return self.skip(at, self.limit.passed(), text);
                }
                inside.raw.push_str(&text[..fits]);
                match inside.step(self.tokens) {
                    Step::More => text[fits..].to_owned(),
                    Step::Done(end) => {
                        let behind = inside.raw.split_off(end) + &text[fits..];
                        inside.raw.truncate(end - CLOSE.len());
                        self.end(events);
                        behind
                    }
                    Step::Wrong { at, what } => self.skip(at, what, text[fits..].to_owned()),
                }
            }
            State::Skipping(skipping) if self.tokens => {
                skipping.keep(&text, self.limit.body);
                String::new()
            }
            State::Skipping(skipping) => {
                let found = skipping.search.push(&text);
                skipping.keep(&found.before, self.limit.body);
                let Some(hit) = found.hit else { return String::new() };
                let closed = hit.needle == CLOSE;
                events.push(malformed(&skipping.raw, skipping.error.clone(), closed));
                self.state = State::Outside(opening(self.tokens));
                if !closed {
                    self.begin(events);
                }
                hit.rest
            }
        }
    }

    fn open_mark(&mut self, events: &mut Vec<CallEvent>) {
        match &mut self.state {
            State::Outside(search) => events.extend(text_event(search.finish())),
            State::Inside(inside) if inside.swallows_marks() => {
                if self.limit.room(inside) >= OPEN.len() {
                    return self.text(OPEN, events);
                }
                events.push(malformed(&inside.raw, self.limit.passed(), false));
            }
            State::Inside(inside) => {
                let error = format!("expected {}, found {OPEN}", inside.expects());
                events.push(malformed(&inside.raw, error, false));
            }
            State::Skipping(skipping) => {
                events.push(malformed(&skipping.raw, skipping.error.clone(), false));
            }
        }
        self.begin(events);
    }

    fn close_mark(&mut self, events: &mut Vec<CallEvent>) {
        match &mut self.state {
            State::Outside(_) => events.push(CallEvent::Text(CLOSE.to_owned())),
            State::Inside(inside) if inside.swallows_marks() => {
                if self.limit.room(inside) >= CLOSE.len() {
                    return self.text(CLOSE, events);
                }
                events.push(malformed(&inside.raw, self.limit.passed(), true));
                self.state = State::Outside(opening(self.tokens));
            }
            State::Inside(_) => self.end(events),
            State::Skipping(skipping) => {
                events.push(malformed(&skipping.raw, skipping.error.clone(), true));
                self.state = State::Outside(opening(self.tokens));
            }
        }
    }

    fn begin(&mut self, events: &mut Vec<CallEvent>) {
        let scan = match self.form {
            CallForm::Tagged => Scan::Tagged(TaggedScan::default()),
            CallForm::Json => Scan::Json(JsonScan::default()),
        };
        self.state = State::Inside(Inside { raw: String::new(), scan, done: None });
        events.push(CallEvent::Began);
    }

    /// The closing mark came where it may stand, or too early.
    fn end(&mut self, events: &mut Vec<CallEvent>) {
        let state = std::mem::replace(&mut self.state, State::Outside(opening(self.tokens)));
        let State::Inside(inside) = state else { return };
        let call = match inside.done {
            None => Err(format!("expected {}, found {CLOSE}", inside.expects())),
            Some(_) => match &inside.scan {
                Scan::Tagged(scan) => scan.call(&inside.raw, &self.tools),
                Scan::Json(scan) => scan.call(&inside.raw, &self.tools),
            },
        };
        events.push(match call {
            Ok(call) => CallEvent::Call(call),
            Err(error) => malformed(&inside.raw, error, true),
        });
    }

    /// Gives a call up from byte `at` of it on; returns the text that is still to be looked at.
    fn skip(&mut self, at: usize, what: String, rest: String) -> String {
        let state = std::mem::replace(&mut self.state, State::Outside(opening(self.tokens)));
        let State::Inside(mut inside) = state else { return rest };
        let tail = inside.raw.split_off(at);
        let search = Search::new(&[OPEN.to_owned(), CLOSE.to_owned()]);
        self.state =
            State::Skipping(Skipping { raw: inside.raw, full: false, error: what, search });
        tail + &rest
    }
}

impl Skipping {
    /// Keeps what still fits.
    fn keep(&mut self, text: &str, limit: usize) {
        let room = if self.full { 0 } else { limit.saturating_sub(self.raw.len()) };
        let fits = text.floor_char_boundary(room);
        self.raw.push_str(&text[..fits]);
        self.full |= fits < text.len();
    }
}

impl Inside {
    /// Looks at what is new. With marks as text, done means that the closing one is there too.
    fn step(&mut self, tokens: bool) -> Step {
        if self.done.is_none() {
            let step = match &mut self.scan {
                Scan::Tagged(scan) => scan.step(&self.raw),
                Scan::Json(scan) => scan.step(&self.raw),
            };
            let Step::Done(end) = step else { return step };
            self.done = Some(end);
        }
        let body = self.done.unwrap_or(0);
        let rest = self.raw[body..].trim_start_matches(is_space);
        let at = self.raw.len() - rest.len();
        if !tokens && rest.starts_with(CLOSE) {
            return Step::Done(at + CLOSE.len());
        }
        if rest.is_empty() || (!tokens && CLOSE.starts_with(rest)) {
            return Step::More;
        }
        Step::Wrong { at, what: expected(self.expects(), first(rest)) }
    }

    /// Whether a mark here is part of a value.
    fn swallows_marks(&self) -> bool {
        match &self.scan {
            Scan::Tagged(scan) => scan.in_value(&self.raw),
            Scan::Json(scan) => scan.in_string(),
        }
    }

    fn expects(&self) -> &'static str {
        match &self.scan {
            _ if self.done.is_some() => CLOSE,
            Scan::Tagged(scan) => scan.expects(),
            Scan::Json(scan) => scan.expects(),
        }
    }
}

/// What is said of text in the wrong place.
pub(super) fn expected(what: &str, found: &str) -> String {
    format!("expected {what}, found \"{}\"", brief(found))
}

/// The first character: what else is there depends on the parts in which a text comes.
pub(super) fn first(text: &str) -> &str {
    &text[..text.chars().next().map_or(0, char::len_utf8)]
}

/// White space between tags.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Text for the opening mark, which is not looked for where it comes as a token.
fn opening(tokens: bool) -> Search {
    if tokens { Search::new(&[]) } else { Search::new(&[OPEN.to_owned()]) }
}

fn text_event(text: String) -> Option<CallEvent> {
    (!text.is_empty()).then_some(CallEvent::Text(text))
}

fn malformed(raw: &str, error: String, closed: bool) -> CallEvent {
    let raw = format!("{OPEN}{raw}{}", if closed { CLOSE } else { "" });
    CallEvent::Malformed(Malformed { raw, error })
}
