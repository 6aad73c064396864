//! Text broken into lines of so many columns, at spaces where there are any, never inside a letter.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use super::{Face, Row, Span};

/// A letter as it is seen, with its columns.
struct Cell<'t> {
    text: &'t str,
    width: usize,
    face: Face,
}

/// Columns that a text takes.
pub(super) fn columns(spans: &[Span]) -> usize {
    spans.iter().map(|span| span.text.width()).sum()
}

/// The spans on lines of at most `width` columns; a line end inside them begins a new line. Where
/// `words` is false lines are broken anywhere, as code wants it.
pub(crate) fn wrapped(spans: &[Span], width: usize, words: bool) -> Vec<Row> {
    let width = width.max(2);
    let cells: Vec<Cell<'_>> = spans
        .iter()
        .flat_map(|span| span.text.graphemes(true).map(|text| (text, span.face)))
        // What is wider than a line can be cannot be shown on one.
        .map(|(text, face)| Cell { text, width: text.width().min(width), face })
        .collect();
    let mut rows = Vec::new();
    let mut start = 0;
    loop {
        let (end, next) = line(&cells[start..], width, words);
        rows.push(row(&cells[start..start + end]));
        match next {
            Some(next) => start += next,
            None => return rows,
        }
    }
}

/// How many cells the next line has, and where the one behind it begins, if there is one.
fn line(cells: &[Cell<'_>], width: usize, words: bool) -> (usize, Option<usize>) {
    let mut used = 0;
    let mut space = None;
    for (at, cell) in cells.iter().enumerate() {
        if cell.text == "\n" {
            return (at, Some(at + 1));
        }
        if used + cell.width > width {
            // A space that does not fit is where the line ends anyhow.
            let space = if cell.text == " " { Some(at) } else { space };
            return match space.filter(|_| words) {
                Some(space) => (space, Some(after_spaces(cells, space))),
                None => (at, Some(at)),
            };
        }
        if cell.text == " " && at > 0 {
            space = Some(at);
        }
        used += cell.width;
    }
    (cells.len(), None)
}

fn after_spaces(cells: &[Cell<'_>], at: usize) -> usize {
    at + cells[at..].iter().take_while(|cell| cell.text == " ").count()
}

fn row(cells: &[Cell<'_>]) -> Row {
    let mut row: Row = Vec::new();
    for cell in cells {
        match row.last_mut() {
            Some(span) if span.face == cell.face => span.text.push_str(cell.text),
            _ => row.push(Span::new(cell.text, cell.face)),
        }
    }
    row
}
