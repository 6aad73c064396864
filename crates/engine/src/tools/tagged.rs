//! The tagged form of a call, read as it arrives.

use std::ops::Range;

use serde_json::Map;

use super::Tools;
use super::declare::is_name;
use super::parser::{Step, ToolCall, expected, is_space};

const FUNCTION: &str = "<function=";
const FUNCTION_END: &str = "</function>";
const PARAMETER: &str = "<parameter=";
/// What ends a value: the first one does, so no value can hold it.
pub(super) const PARAMETER_END: &str = "\n</parameter>";

/// A walk through the inside of a call.
#[derive(Clone, Debug, Default)]
pub(super) struct TaggedScan {
    /// Bytes that are behind us.
    at: usize,
    state: State,
    name: String,
    /// Names of arguments and where their values lie.
    values: Vec<(String, Range<usize>)>,
}

#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    Head,
    Between,
    Value {
        name: String,
        /// Where the line end before the value is.
        start: usize,
        /// No end lies before it.
        searched: usize,
    },
}

enum Tag<'r> {
    Partial,
    Named(&'r str, usize),
    No,
}

impl TaggedScan {
    /// Goes on over all there is; `raw` is what was there before and more.
    pub(super) fn step(&mut self, raw: &str) -> Step {
        loop {
            if let State::Value { .. } = self.state {
                if let Some(step) = self.value(raw) {
                    return step;
                }
                continue;
            }
            let rest = raw[self.at..].trim_start_matches(is_space);
            self.at = raw.len() - rest.len();
            let head = matches!(self.state, State::Head);
            if !head && rest.starts_with(FUNCTION_END) {
                return Step::Done(self.at + FUNCTION_END.len());
            }
            match tag(rest, if head { FUNCTION } else { PARAMETER }) {
                Tag::Partial => return Step::More,
                Tag::Named(name, end) if head => {
                    self.name = name.to_owned();
                    self.at += end;
                    self.state = State::Between;
                }
                Tag::Named(name, end) => {
                    if self.values.iter().any(|(known, _)| known == name) {
                        let what = format!("the argument {name} is given twice");
                        return Step::Wrong { at: self.at, what };
                    }
                    let start = self.at + end;
                    self.state = State::Value { name: name.to_owned(), start, searched: start };
                }
                Tag::No if !head && FUNCTION_END.starts_with(rest) => return Step::More,
                Tag::No => {
                    return Step::Wrong { at: self.at, what: self.unexpected(rest, head) };
                }
            }
        }
    }

    /// Quotes the text up to where it stops being a tag: so much was read before it was wrong,
    /// whatever the parts in which it came.
    fn unexpected(&self, rest: &str, head: bool) -> String {
        let fits = |part: &str| match tag(part, if head { FUNCTION } else { PARAMETER }) {
            Tag::No => !head && FUNCTION_END.starts_with(part),
            _ => true,
        };
        let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8());
        let end = ends.clone().find(|end| !fits(&rest[..*end])).unwrap_or(rest.len());
        expected(self.expects(), &rest[..end])
    }

    /// `None` when the value is whole.
    fn value(&mut self, raw: &str) -> Option<Step> {
        let State::Value { name, start, searched } = &mut self.state else { return None };
        let start = *start;
        match raw.as_bytes().get(start) {
            None => return Some(Step::More),
            Some(b'\n') => {}
            Some(_) => {
                let what = format!("the value of {name} has to begin on the line behind its tag");
                return Some(Step::Wrong { at: start, what });
            }
        }
        let Some(found) = raw[*searched..].find(PARAMETER_END) else {
            let undecided = raw.len().saturating_sub(PARAMETER_END.len() - 1);
            *searched = raw.floor_char_boundary(undecided).max(start);
            return Some(Step::More);
        };
        let end = *searched + found;
        // An empty value may have one line end or two.
        let value = if end == start { end..end } else { start + 1..end };
        self.values.push((std::mem::take(name), value));
        self.at = end + PARAMETER_END.len();
        self.state = State::Between;
        None
    }

    /// Whether the next text belongs to a value.
    pub(super) fn in_value(&self, raw: &str) -> bool {
        matches!(self.state, State::Value { start, .. } if raw.len() > start)
    }

    /// The function, the argument and the place of the line end before its value, where the next
    /// text belongs to one.
    pub(super) fn open_value(&self) -> Option<(&str, &str, usize)> {
        let State::Value { name, start, .. } = &self.state else { return None };
        Some((&self.name, name, *start))
    }

    pub(super) fn expects(&self) -> &'static str {
        match self.state {
            State::Head => "<function=NAME>",
            State::Between => "<parameter=NAME> or </function>",
            State::Value { .. } => "</parameter> on a line of its own",
        }
    }

    /// The call, once all is there.
    pub(super) fn call(&self, raw: &str, tools: &Tools) -> Result<ToolCall, String> {
        let Some(tool) = tools.find(&self.name) else { return Err(tools.unknown(&self.name)) };
        let mut arguments = Map::new();
        for (name, range) in &self.values {
            let value = tool.schema.argument(&self.name, name, &raw[range.clone()])?;
            arguments.insert(name.clone(), value);
        }
        tool.schema.check_arguments(&self.name, &arguments)?;
        Ok(ToolCall { name: self.name.clone(), arguments })
    }
}

/// The tag that a text begins with.
fn tag<'r>(rest: &'r str, open: &str) -> Tag<'r> {
    let Some(body) = rest.strip_prefix(open) else {
        return if open.starts_with(rest) { Tag::Partial } else { Tag::No };
    };
    match body.split_once('>') {
        Some((name, _)) if is_name(name) => Tag::Named(name, open.len() + name.len() + 1),
        None if body.is_empty() || is_name(body) => Tag::Partial,
        _ => Tag::No,
    }
}

/// Whether a value cannot be written in this form: it would end too early.
pub(super) fn ends_early(value: &str) -> bool {
    format!("\n{value}").contains(PARAMETER_END)
}
