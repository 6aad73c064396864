//! Blocks on the lines of a screen of so many columns.

use super::blocks::Block;
use super::wrap::{columns, wrapped};
use super::{Face, Ink, Row, Span, table};

const FAINT: Face = Face::ink(Ink::Faint);
/// A block is given this many columns at least, however deep it lies.
const COLUMNS_MIN: usize = 8;

/// Adds rows below others, with an empty line between.
pub(super) fn below(rows: &mut Vec<Row>, more: Vec<Row>) {
    if !rows.is_empty() && !more.is_empty() {
        rows.push(Row::new());
    }
    rows.extend(more);
}

/// The rows of one block.
pub(super) fn block(block: &Block, width: usize) -> Vec<Row> {
    match block {
        Block::Paragraph(spans) | Block::Heading(spans) => wrapped(spans, width, true),
        Block::Code { language, text, lines } => code(language, text, lines, width),
        Block::Quote(blocks) => {
            let mark = Span::new("▎ ", FAINT);
            let rows = inner(blocks, width.saturating_sub(2), false);
            rows.into_iter().map(|row| behind(mark.clone(), row)).collect()
        }
        Block::List { first, items } => list(*first, items, width),
        Block::Table { align, rows } => table::rows(align, rows, width),
        Block::Rule => vec![vec![Span::new("─".repeat(width.min(40)), FAINT)]],
    }
}

fn behind(mark: Span, row: Row) -> Row {
    std::iter::once(mark).chain(row).collect()
}

/// Blocks inside another; `tight` leaves out the lines between them.
fn inner(blocks: &[Block], width: usize, tight: bool) -> Vec<Row> {
    let width = width.max(COLUMNS_MIN);
    let mut rows = Vec::new();
    for one in blocks {
        let more = block(one, width);
        if tight {
            rows.extend(more);
        } else {
            below(&mut rows, more);
        }
    }
    rows
}

fn list(first: Option<u64>, items: &[Vec<Block>], width: usize) -> Vec<Row> {
    let marks: Vec<String> = match first {
        Some(first) => {
            (0..items.len() as u64).map(|n| format!("{}. ", first.saturating_add(n))).collect()
        }
        None => vec!["• ".to_owned(); items.len()],
    };
    let indent = marks.iter().map(|mark| mark.chars().count()).max().unwrap_or(0);
    let mut rows = Vec::new();
    for (item, mark) in items.iter().zip(marks) {
        // Lists in lists stand close, code and tables do not.
        let tight = item.iter().all(|b| matches!(b, Block::Paragraph(_) | Block::List { .. }));
        let mut mark = Some(format!("{mark:>indent$}"));
        let inside = inner(item, width.saturating_sub(indent), tight);
        let inside = if inside.is_empty() { vec![Row::new()] } else { inside };
        for row in inside {
            let text = mark.take().unwrap_or_else(|| " ".repeat(indent));
            rows.push(behind(Span::new(text, FAINT), row));
        }
    }
    rows
}

fn code(language: &str, text: &str, lines: &[Vec<Span>], width: usize) -> Vec<Row> {
    let mark = Span::new("│ ", FAINT);
    let inside = width.saturating_sub(2).max(COLUMNS_MIN);
    let mut rows = Vec::new();
    if !language.is_empty() {
        let name: String = language.chars().take(20).collect();
        rows.push(vec![Span::new(format!("╭ {name}"), FAINT)]);
    }
    let plain: Vec<Vec<Span>>;
    let lines = if lines.is_empty() {
        plain = text.lines().map(|line| vec![Span::new(line, Face::default())]).collect();
        &plain
    } else {
        lines
    };
    for line in lines {
        let line: Vec<Span> = if columns(line) == 0 { Vec::new() } else { line.clone() };
        rows.extend(wrapped(&line, inside, false).into_iter().map(|row| behind(mark.clone(), row)));
    }
    rows
}
