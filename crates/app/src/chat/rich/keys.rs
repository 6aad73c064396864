//! What each key does: those of readline in the editor, and a few for the screen.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::complete;
use super::screen::{Act, Screen};
use crate::chat::command;
use crate::chat::wire::{Command, Decision, Order};

/// Rows that an arrow with Shift scrolls by.
const ROWS: isize = 3;

impl Screen {
    /// Takes in what the terminal tells.
    pub(super) fn event(&mut self, event: Event) -> Act {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(key),
            Event::Paste(text) => {
                self.hint = None;
                self.editor.paste(&text);
                Act::Nothing
            }
            _ => Act::Nothing,
        }
    }

    fn key(&mut self, key: KeyEvent) -> Act {
        self.hint = None;
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        if ctrl && key.code == KeyCode::Char('c') {
            return self.interrupt();
        }
        self.about_to_leave = false;
        if self.asking.is_some() {
            return match key.code {
                KeyCode::Char('y') => self.decide(Decision::Once),
                KeyCode::Char('a') => self.decide(Decision::Always),
                KeyCode::Char('n') | KeyCode::Esc => self.decide(Decision::No),
                _ => self.look(key),
            };
        }
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Enter if !alt && !ctrl => return self.enter(),
            KeyCode::Enter => self.editor.insert("\n"),
            KeyCode::Tab => self.hint = complete::complete(&mut self.editor, &self.directory),
            KeyCode::Char('d') if ctrl && self.editor.is_empty() => return Act::Leave,
            KeyCode::Char(letter) if ctrl => return self.control(letter, key),
            KeyCode::Char(letter) if alt => self.meta(letter),
            KeyCode::Char(letter) => self.editor.insert(letter.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace if alt || ctrl => self.editor.cut_word_before(),
            KeyCode::Backspace => self.editor.backspace(),
            KeyCode::Delete => self.editor.delete(),
            KeyCode::Left if alt || ctrl => self.editor.word_left(),
            KeyCode::Right if alt || ctrl => self.editor.word_right(),
            KeyCode::Left => self.editor.left(),
            KeyCode::Right => self.editor.right(),
            KeyCode::Up if key.modifiers.is_empty() => self.editor.up(),
            KeyCode::Down if key.modifiers.is_empty() => self.editor.down(),
            KeyCode::Home if !ctrl => self.editor.home(),
            KeyCode::End if !ctrl => self.editor.end(),
            _ => return self.look(key),
        }
        Act::Nothing
    }

    fn control(&mut self, letter: char, key: KeyEvent) -> Act {
        match letter {
            'a' => self.editor.home(),
            'e' => self.editor.end(),
            'b' => self.editor.left(),
            'f' => self.editor.right(),
            'p' => self.editor.up(),
            'n' => self.editor.down(),
            'h' => self.editor.backspace(),
            'd' => self.editor.delete(),
            'w' => self.editor.cut_word_before(),
            'u' => self.editor.cut_before(),
            'k' => self.editor.cut_after(),
            'y' => self.editor.put_back(),
            'j' => self.editor.insert("\n"),
            'l' => return Act::Repaint,
            _ => return self.look(key),
        }
        Act::Nothing
    }

    fn meta(&mut self, letter: char) {
        match letter {
            'b' => self.editor.word_left(),
            'f' => self.editor.word_right(),
            'd' => self.editor.cut_word_after(),
            _ => {}
        }
    }

    /// Keys that move through what was said and change nothing.
    fn look(&mut self, key: KeyEvent) -> Act {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::PageUp => self.view.scroll(self.view.page()),
            KeyCode::PageDown => self.view.scroll(-self.view.page()),
            KeyCode::Up => self.view.scroll(ROWS),
            KeyCode::Down => self.view.scroll(-ROWS),
            KeyCode::Home => self.view.scroll(isize::MAX),
            KeyCode::End | KeyCode::Esc => self.view.follow(),
            KeyCode::Char('o') if ctrl => self.view.fold(),
            _ => {}
        }
        Act::Nothing
    }

    /// Stops an answer, empties a line, and only then, twice, leaves.
    fn interrupt(&mut self) -> Act {
        if self.busy {
            return Act::Stop;
        }
        if !self.editor.is_empty() {
            self.editor.clear();
        } else if self.about_to_leave {
            return Act::Leave;
        } else {
            self.about_to_leave = true;
            self.hint = Some("Ctrl-C again leaves, or Ctrl-D".to_owned());
        }
        Act::Nothing
    }

    /// Sends what was typed, unless a backslash before the cursor asks for another line.
    fn enter(&mut self) -> Act {
        let before = self.editor.before();
        if let Some(line) = before.strip_suffix('\\') {
            let at = line.len();
            self.editor.complete(at, "\n");
            return Act::Nothing;
        }
        if self.editor.text().trim().is_empty() {
            return Act::Nothing;
        }
        let typed = command::read(self.editor.text());
        if typed == Some(Ok(Command::Quit)) {
            return Act::Leave;
        }
        if self.busy {
            self.hint = Some("not yet: an answer is being made · Ctrl-C stops it".to_owned());
            return Act::Nothing;
        }
        let order = match typed {
            Some(Err(why)) => {
                self.hint = Some(why);
                return Act::Nothing;
            }
            Some(Ok(command)) => {
                self.editor.take();
                Order::Command(command)
            }
            None => Order::Say(self.editor.take()),
        };
        self.busy = true;
        self.view.follow();
        Act::Give(order)
    }
}
