//! Markdown as it streams in: blocks that are over are parsed once, only the last is parsed again.

mod blocks;
mod code;
mod layout;
mod table;
#[cfg(test)]
mod tests;
mod wrap;

use blocks::{Block, parse};
use code::Painted;
pub(crate) use wrap::wrapped;

/// How a piece of text looks, before anybody knows whether the terminal has colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Face {
    pub(crate) bold: bool,
    pub(crate) italic: bool,
    pub(crate) strike: bool,
    pub(crate) underline: bool,
    pub(crate) ink: Ink,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ink {
    #[default]
    Plain,
    /// Neither answer nor question: marks, frames, what stands aside.
    Faint,
    Heading,
    /// Code inside a line.
    Code,
    Link,
    Comment,
    Text,
    Number,
    Keyword,
    Name,
    Type,
    User,
    Good,
    Bad,
}

impl Face {
    pub(crate) const fn ink(ink: Ink) -> Self {
        Self { bold: false, italic: false, strike: false, underline: false, ink }
    }
}

/// Text of one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) text: String,
    pub(crate) face: Face,
}

impl Span {
    pub(crate) fn new(text: impl Into<String>, face: Face) -> Self {
        Self { text: text.into(), face }
    }
}

/// One line of the screen.
pub(crate) type Row = Vec<Span>;

/// A text in markdown that may still grow.
#[derive(Debug, Default)]
pub(crate) struct Document {
    source: String,
    /// Blocks that nothing behind them can change, and where they end in the source.
    settled: Vec<Block>,
    settled_bytes: usize,
    /// The last block, to which what comes next may belong, and what the last line makes of itself
    /// until it is whole.
    open: Vec<Block>,
    /// Colours of the last block, if it is code.
    painted: Painted,
    /// Whether the source grew since it was parsed.
    grew: bool,
    /// Rows of the settled blocks for the width that was asked for last.
    rows: Vec<Row>,
    rows_width: usize,
    rows_blocks: usize,
}

impl Document {
    /// Adds text, which must be safe to show.
    pub(crate) fn push(&mut self, text: &str) {
        self.source.push_str(text);
        self.grew = true;
    }

    /// The whole text on lines of this many columns.
    pub(crate) fn rows(&mut self, width: usize) -> Vec<Row> {
        self.parse();
        if self.rows_width != width {
            (self.rows_width, self.rows_blocks) = (width, 0);
            self.rows.clear();
        }
        for block in &self.settled[self.rows_blocks..] {
            layout::below(&mut self.rows, layout::block(block, width));
        }
        self.rows_blocks = self.settled.len();
        let mut rows = self.rows.clone();
        for block in &self.open {
            layout::below(&mut rows, layout::block(block, width));
        }
        rows
    }

    fn parse(&mut self) {
        if !std::mem::take(&mut self.grew) {
            return;
        }
        // A line that is still being written may yet turn out to belong to what is above it.
        let whole = self.source.rfind('\n').map_or(0, |at| at + 1).max(self.settled_bytes);
        let mut found = parse(&self.source[self.settled_bytes..whole]);
        if let Some((start, _)) = found.pop() {
            for (_, mut block) in found {
                self.painted.paint(&mut block);
                self.painted = Painted::default();
                self.settled.push(block);
            }
            // What lies before it is settled; it begins at the beginning of its line.
            let before = &self.source[self.settled_bytes..self.settled_bytes + start];
            self.settled_bytes += before.rfind('\n').map_or(0, |at| at + 1);
        }
        let rest = parse(&self.source[self.settled_bytes..]);
        self.open = rest.into_iter().map(|(_, block)| block).collect();
        if let Some(block) = self.open.first_mut() {
            self.painted.paint(block);
        }
    }
}
