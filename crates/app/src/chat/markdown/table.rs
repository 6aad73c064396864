//! Tables in columns that fit: the widest give way first, and what still does not fit becomes a list.

use pulldown_cmark::Alignment;

use super::wrap::{columns, wrapped};
use super::{Face, Ink, Row, Span};

const FAINT: Face = Face::ink(Ink::Faint);
/// A column with less than this cannot be read.
const COLUMN_MIN: usize = 4;
/// Between two columns.
const GAP: &str = " │ ";
const GAP_COLUMNS: usize = 3;

pub(super) fn rows(align: &[Alignment], rows: &[Vec<Vec<Span>>], width: usize) -> Vec<Row> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    if count == 0 {
        return Vec::new();
    }
    let gaps = GAP_COLUMNS * (count - 1);
    let Some(room) = width.checked_sub(gaps).filter(|room| *room >= COLUMN_MIN * count) else {
        return as_list(rows, width);
    };
    let widths = fitted(natural(rows, count), room);
    let mut out = Vec::new();
    for (n, row) in rows.iter().enumerate() {
        out.extend(lines(align, row, &widths));
        if n == 0 {
            let dashes: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            out.push(vec![Span::new(dashes.join("─┼─"), FAINT)]);
        }
    }
    out
}

/// The widths that the cells would like to have.
fn natural(rows: &[Vec<Vec<Span>>], count: usize) -> Vec<usize> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| columns(cell)).max().unwrap_or(0).max(1)
    };
    (0..count).map(width).collect()
}

/// Takes from the widest until all fit into the room.
fn fitted(mut widths: Vec<usize>, room: usize) -> Vec<usize> {
    let mut over = widths.iter().sum::<usize>().saturating_sub(room);
    while over > 0 {
        let Some(widest) = (0..widths.len()).max_by_key(|at| widths[*at]) else { break };
        let next = widths.iter().filter(|width| **width < widths[widest]).max();
        let next = next.copied().unwrap_or(0).max(COLUMN_MIN.min(widths[widest] - 1));
        // One at least, and not below the next one, which then gives way too.
        let less = (widths[widest] - next).clamp(1, over);
        widths[widest] -= less;
        over -= less;
    }
    widths
}

/// A row of cells, as high as its highest.
fn lines(align: &[Alignment], cells: &[Vec<Span>], widths: &[usize]) -> Vec<Row> {
    let empty = Vec::new();
    let cells: Vec<Vec<Row>> = widths
        .iter()
        .enumerate()
        .map(|(at, width)| wrapped(cells.get(at).unwrap_or(&empty), *width, true))
        .collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    let line = |n: usize| {
        let mut row = Row::new();
        for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
            if at > 0 {
                row.push(Span::new(GAP, FAINT));
            }
            let cell = cell.get(n).cloned().unwrap_or_default();
            let free = width.saturating_sub(columns(&cell));
            let before = match align.get(at) {
                Some(Alignment::Right) => free,
                Some(Alignment::Center) => free / 2,
                _ => 0,
            };
            let last = at + 1 == widths.len();
            let after = if last { 0 } else { free - before };
            row.push(Span::new(" ".repeat(before), Face::default()));
            row.extend(cell);
            row.push(Span::new(" ".repeat(after), Face::default()));
        }
        row.retain(|span| !span.text.is_empty());
        row
    };
    (0..height).map(line).collect()
}

/// Each row as lines of `head: cell`.
fn as_list(rows: &[Vec<Vec<Span>>], width: usize) -> Vec<Row> {
    let Some((head, body)) = rows.split_first() else { return Vec::new() };
    if body.is_empty() {
        return head.iter().flat_map(|cell| wrapped(cell, width, true)).collect();
    }
    let mut out = Vec::new();
    for row in body {
        for (at, cell) in row.iter().enumerate() {
            let mut spans = head.get(at).cloned().unwrap_or_default();
            spans.push(Span::new(": ", FAINT));
            spans.extend(cell.iter().cloned());
            out.extend(wrapped(&spans, width, true));
        }
        out.push(Row::new());
    }
    out.pop();
    out
}
