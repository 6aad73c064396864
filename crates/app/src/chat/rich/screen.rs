//! The state behind the screen: what keys and events make of it, and how it is drawn.

use std::path::PathBuf;
use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::Line;
use unicode_width::UnicodeWidthStr as _;

use super::editor::Editor;
use super::palette::Palette;
use super::status;
use super::view::{Item, View};
use crate::chat::gauge::Dial;
use crate::chat::markdown::{Face, Ink, Span};
use crate::chat::wire::{Decision, Order, Told};
use crate::tool::escaped;

/// The editor takes at most this part of the screen.
const EDITOR_PART: u16 = 3;
const ANSWERING: &str = "answering";
const PROMPT: &str = "› ";
const PROMPT_COLUMNS: u16 = 2;
const FAINT: Face = Face::ink(Ink::Faint);

/// Everything that is seen.
pub(super) struct Screen {
    pub(super) view: View,
    pub(super) editor: Editor,
    pub(super) palette: Palette,
    /// Of the model.
    pub(super) name: String,
    /// Where mentioned files are.
    pub(super) directory: PathBuf,
    /// An order is being done.
    pub(super) busy: bool,
    /// What it is.
    pub(super) doing: String,
    /// The tool about whose call somebody has to decide.
    pub(super) asking: Option<String>,
    /// What the last key should be told about.
    pub(super) hint: Option<String>,
    /// Whether the last key was Ctrl-C on an empty line.
    pub(super) about_to_leave: bool,
}

/// What a key asks of whoever runs the screen.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    Nothing,
    Give(Order),
    /// Stop what is being done.
    Stop,
    Leave,
    /// Draw everything anew.
    Repaint,
}

impl Screen {
    pub(super) fn new(palette: Palette, name: String, directory: PathBuf) -> Self {
        let mut view = View::default();
        let hello = format!(
            "{name} · Enter sends, M-Enter begins a line, Ctrl-C stops, Ctrl-D leaves, /help helps"
        );
        view.push(Item::Note(hello));
        Self {
            view,
            editor: Editor::default(),
            palette,
            name,
            directory,
            busy: true,
            doing: ANSWERING.to_owned(),
            asking: None,
            hint: None,
            about_to_leave: false,
        }
    }

    /// Takes in what the conversation tells.
    pub(super) fn hear(&mut self, told: Told) {
        match told {
            Told::User(text) => {
                self.view.push(Item::User(escaped(&text)));
                self.view.follow();
            }
            Told::Piece { text, reasoning } => {
                ANSWERING.clone_into(&mut self.doing);
                self.view.said(&text, reasoning);
            }
            Told::Calling => "writing a call".clone_into(&mut self.doing),
            Told::Answered { note, .. } => {
                self.view.thought();
                if let Some(note) = note {
                    self.view.push(Item::Note(note));
                }
            }
            Told::Call { tool, shown, ask } => {
                let (tool, shown) = (escaped(&tool), escaped(&shown));
                self.doing = format!("running {tool}");
                self.asking = ask.then_some(tool);
                self.view.push(Item::Call(shown));
                self.view.follow();
            }
            Told::Result { tool, shown, failed } => {
                let (tool, shown) = (escaped(&tool), escaped(&shown));
                self.view.push(Item::Result { tool, shown, failed });
                ANSWERING.clone_into(&mut self.doing);
            }
            Told::Note(text) => self.view.push(Item::Note(escaped(&text))),
            Told::Wrong(text) => self.view.push(Item::Wrong(escaped(&text))),
            Told::Talk(messages) => self.view.show(&messages),
            Told::Back { question_stays, text } => {
                self.view.back_to_question(question_stays);
                if let Some(text) = text.filter(|_| self.editor.is_empty()) {
                    self.editor.replace(&text);
                }
            }
            Told::Model(name) => {
                self.view.push(Item::Note(format!("{name} answers from now on")));
                self.name = name;
            }
            Told::Ready => {
                self.view.thought();
                self.busy = false;
                self.asking = None;
            }
        }
    }

    /// Decides about the call that is asked about.
    pub(super) fn decide(&mut self, decision: Decision) -> Act {
        self.asking = None;
        Act::Give(Order::Decide(decision))
    }

    /// Draws all of it.
    pub(super) fn draw(
        &mut self,
        frame: &mut Frame<'_>,
        dial: &Dial,
        rss: Option<u64>,
        now: Instant,
    ) {
        let area = frame.area();
        if area.height < 4 || area.width < 12 {
            return frame.render_widget(Line::raw("too small"), area);
        }
        let inside = area.width.saturating_sub(PROMPT_COLUMNS + 1);
        let laid = self.editor.laid(usize::from(inside));
        let editor_max = usize::from((area.height / EDITOR_PART).max(1));
        let editor_rows = laid.rows.len().min(editor_max);
        let below = 2 + u16::try_from(editor_rows).unwrap_or(1);
        let room = area.height - below;
        let width = usize::from(area.width.saturating_sub(1));

        let rows = self.view.rows(width, usize::from(room));
        for (row, y) in rows.iter().zip(area.y..) {
            let line = Rect { y, height: 1, ..area };
            frame.render_widget(self.palette.line(row), line);
        }
        let rule = Rect { y: area.y + room, height: 1, ..area };
        frame.render_widget(self.palette.line(&vec![self.rule(dial, now, width)]), rule);

        let first = laid.cursor.0.saturating_sub(editor_rows - 1);
        for (n, row) in laid.rows.iter().skip(first).take(editor_rows).enumerate() {
            let y = rule.y + 1 + u16::try_from(n).unwrap_or(0);
            let mark = if first + n == 0 { PROMPT } else { "  " };
            let prompt = Face { bold: true, ..Face::ink(Ink::User) };
            let spans = vec![Span::new(mark, prompt), Span::new(row.as_str(), Face::default())];
            frame.render_widget(self.palette.line(&spans), Rect { y, height: 1, ..area });
        }
        let status = status::line(&self.name, dial, rss, width);
        let bottom = Rect { y: area.bottom() - 1, height: 1, ..area };
        frame.render_widget(self.palette.line(&vec![Span::new(status, FAINT)]), bottom);
        if self.asking.is_none() {
            let column = u16::try_from(laid.cursor.1).unwrap_or(0);
            let row = u16::try_from(laid.cursor.0 - first).unwrap_or(0);
            let x = (area.x + PROMPT_COLUMNS + column).min(area.right() - 1);
            frame.set_cursor_position(Position { x, y: rule.y + 1 + row });
        }
    }

    /// The line above the editor: a question, progress, a hint, or what can be done now.
    fn rule(&self, dial: &Dial, now: Instant, width: usize) -> Span {
        let (text, ink) = if let Some(tool) = &self.asking {
            (format!("run {tool}? y once · a {tool} always in this session · n no"), Ink::Number)
        } else if let Some(reading) = dial.reading.filter(|_| self.busy) {
            (status::reading(&reading, now, width), Ink::Plain)
        } else if let Some(hint) = &self.hint {
            (hint.clone(), Ink::Plain)
        } else if self.view.below() > 0 {
            (format!("↓ {} more lines · PgDn, Esc to the end", self.view.below()), Ink::Faint)
        } else if self.busy {
            (format!("{} · Ctrl-C stops", self.doing), Ink::Faint)
        } else {
            (String::new(), Ink::Faint)
        };
        if text.is_empty() {
            return Span::new("─".repeat(width), FAINT);
        }
        let mut line = format!("── {text} ");
        while line.width() > width {
            line.pop();
        }
        line.push_str(&"─".repeat(width - line.width()));
        Span::new(line, Face::ink(ink))
    }
}
