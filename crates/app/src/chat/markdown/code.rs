//! Colours in code: grammars say what a word is, and lines that were painted are not painted again.

use std::sync::{Mutex, OnceLock, PoisonError};

use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxReference, SyntaxSet};

use super::blocks::Block;
use super::{Face, Ink, Span};

/// Longer lines are not painted: grammars take their time with what was made by machines.
const LINE_BYTES_MAX: usize = 2000;
/// Languages that are painted as long as the program runs.
const LANGUAGES_MAX: usize = 8;
/// Of a longer block only the beginning is painted.
const BLOCK_BYTES_MAX: usize = 256 << 10;

/// What names of grammars mean here; the innermost scope that begins like one of these counts.
const MEANINGS: [(&str, Ink); 16] = [
    ("comment", Ink::Comment),
    ("string", Ink::Text),
    ("constant.numeric", Ink::Number),
    ("constant.language", Ink::Number),
    ("constant.character", Ink::Number),
    ("keyword.operator", Ink::Plain),
    ("keyword", Ink::Keyword),
    ("storage", Ink::Keyword),
    ("entity.name.function", Ink::Name),
    ("entity.name.tag", Ink::Keyword),
    ("entity.other.attribute-name", Ink::Name),
    ("entity.name", Ink::Type),
    ("support.function", Ink::Name),
    ("support", Ink::Type),
    ("variable.function", Ink::Name),
    ("variable.language", Ink::Number),
];

struct Grammars {
    set: SyntaxSet,
    meanings: Vec<(Scope, Ink)>,
}

/// Read once, when the first code is shown.
fn grammars() -> &'static Grammars {
    static GRAMMARS: OnceLock<Grammars> = OnceLock::new();
    GRAMMARS.get_or_init(|| {
        let scope = |(name, ink): &(&str, Ink)| Some((Scope::new(name).ok()?, *ink));
        let meanings = MEANINGS.iter().filter_map(scope).collect();
        Grammars { set: SyntaxSet::load_defaults_newlines(), meanings }
    })
}

/// Code that was painted so far.
#[derive(Debug, Default)]
pub(super) struct Painted {
    language: String,
    /// Whole lines, of which nothing changes any more.
    text: String,
    lines: Vec<Vec<Span>>,
    brush: Option<Brush>,
}

/// The state of a grammar behind the last whole line.
#[derive(Clone, Debug)]
struct Brush {
    parser: ParseState,
    scopes: ScopeStack,
}

impl Painted {
    /// Paints a block, if it is code of a language that is known.
    pub(super) fn paint(&mut self, block: &mut Block) {
        let Block::Code { language, text, lines } = block else { return };
        if self.language != *language || !text.starts_with(&self.text) {
            *self = Self { language: language.clone(), ..Self::default() };
        }
        if self.brush.is_none() && self.text.is_empty() {
            self.brush = syntax(language)
                .map(|syntax| Brush { parser: ParseState::new(syntax), scopes: ScopeStack::new() });
        }
        let Some(brush) = &mut self.brush else { return };
        for line in text[self.text.len()..].split_inclusive('\n') {
            if !line.ends_with('\n') {
                continue;
            }
            let painted = brush.line(line, self.text.len());
            self.lines.push(painted);
            self.text.push_str(line);
        }
        lines.clone_from(&self.lines);
        // The line that is still being written may yet become another thing.
        let rest = &text[self.text.len()..];
        if !rest.is_empty() {
            lines.push(brush.clone().line(rest, self.text.len()));
        }
    }
}

fn syntax(language: &str) -> Option<&'static SyntaxReference> {
    // Most answers have no code: they should not pay for grammars.
    if language.is_empty() {
        return None;
    }
    let name = match language.to_ascii_lowercase().as_str() {
        "typescript" | "ts" | "jsx" | "tsx" => "js".to_owned(),
        "shell" | "console" | "zsh" => "sh".to_owned(),
        "c++" => "cpp".to_owned(),
        other => other.to_owned(),
    };
    let syntax = grammars().set.find_syntax_by_token(&name)?;
    admitted(&syntax.name).then_some(syntax)
}

/// Whether code of this language is painted: a grammar in use takes megabytes, which are planned for
/// the first few alone.
fn admitted(name: &str) -> bool {
    static ADMITTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    // A list of names is whole whatever happened to whoever held it.
    let mut admitted = ADMITTED.lock().unwrap_or_else(PoisonError::into_inner);
    if admitted.iter().any(|known| known == name) {
        return true;
    }
    let room = admitted.len() < LANGUAGES_MAX;
    if room {
        admitted.push(name.to_owned());
    }
    room
}

impl Brush {
    /// Paints a line of which so many bytes came before.
    fn line(&mut self, line: &str, before_bytes: usize) -> Vec<Span> {
        let shown = line.trim_end_matches('\n');
        let plain = || vec![Span::new(shown, Face::default())];
        if line.len() > LINE_BYTES_MAX || before_bytes > BLOCK_BYTES_MAX {
            return plain();
        }
        // A grammar that gives up on a line leaves it as it is.
        let Ok(ops) = self.parser.parse_line(line, &grammars().set) else { return plain() };
        let mut spans = Vec::new();
        let mut at = 0;
        for (next, op) in ops {
            self.add(&mut spans, &line[at..next], shown.len() - at.min(shown.len()));
            at = next;
            if self.scopes.apply(&op).is_err() {
                return plain();
            }
        }
        self.add(&mut spans, &line[at..], shown.len() - at.min(shown.len()));
        spans
    }

    /// Adds what is left of a part when the line end is taken off.
    fn add(&self, spans: &mut Vec<Span>, part: &str, bytes_max: usize) {
        let part = &part[..part.len().min(bytes_max)];
        if !part.is_empty() {
            spans.push(Span::new(part, Face::ink(self.ink())));
        }
    }

    fn ink(&self) -> Ink {
        let meanings = &grammars().meanings;
        let known = self.scopes.as_slice().iter().rev().find_map(|scope| {
            meanings.iter().find(|(begin, _)| begin.is_prefix_of(*scope)).map(|(_, ink)| *ink)
        });
        known.unwrap_or(Ink::Plain)
    }
}
