//! How each kind of text looks on this terminal, with colours and without.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text;

use crate::chat::markdown::{Face, Ink, Row};

/// Looks of a terminal. The colours are its own sixteen, so that they fit the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Palette {
    pub(super) colours: bool,
}

impl Palette {
    pub(super) fn style(self, face: Face) -> Style {
        let modifiers = [
            (face.bold, Modifier::BOLD),
            (face.italic, Modifier::ITALIC),
            (face.strike, Modifier::CROSSED_OUT),
            (face.underline, Modifier::UNDERLINED),
        ];
        let style = modifiers
            .into_iter()
            .filter(|(on, _)| *on)
            .fold(Style::default(), |style, (_, modifier)| style.add_modifier(modifier));
        let colour = match face.ink {
            Ink::Plain => None,
            Ink::Faint | Ink::Comment => return style.add_modifier(Modifier::DIM),
            Ink::Heading => Some(Color::Blue),
            Ink::Code | Ink::Type => Some(Color::Cyan),
            Ink::Link | Ink::Name => Some(Color::Blue),
            Ink::Text | Ink::Good => Some(Color::Green),
            Ink::Number => Some(Color::Yellow),
            Ink::Keyword => Some(Color::Magenta),
            Ink::User => Some(Color::Cyan),
            Ink::Bad => Some(Color::Red),
        };
        match colour {
            Some(colour) if self.colours => style.fg(colour),
            // Without colours code in a line has to be told in another way.
            _ if matches!(face.ink, Ink::Code | Ink::User | Ink::Bad) => {
                style.add_modifier(Modifier::BOLD)
            }
            _ => style,
        }
    }

    pub(super) fn line(self, row: &Row) -> text::Line<'static> {
        let spans =
            row.iter().map(|span| text::Span::styled(span.text.clone(), self.style(span.face)));
        text::Line::from(spans.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_there_are_none() {
        let (with, without) = (Palette { colours: true }, Palette { colours: false });
        let code = Face::ink(Ink::Code);
        assert_eq!(with.style(code).fg, Some(Color::Cyan), "a colour");
        assert_eq!(without.style(code).fg, None, "none");
        assert!(without.style(code).add_modifier.contains(Modifier::BOLD), "but it is seen");
    }
}
