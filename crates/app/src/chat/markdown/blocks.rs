//! Markdown to blocks: what a text is made of, whatever the width that shows it.

use std::iter::Peekable;

use pulldown_cmark::{
    Alignment, CodeBlockKind, Event, HeadingLevel, OffsetIter, Options, Parser, Tag, TagEnd,
};

use super::{Face, Ink, Span};

/// Lists and quotes inside each other; those that lie deeper are shown at this depth.
const DEPTH_MAX: usize = 12;

/// A part of a text that stands on lines of its own.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Block {
    Paragraph(Vec<Span>),
    Heading(Vec<Span>),
    /// Lines of code, without line ends.
    Code {
        language: String,
        text: String,
        lines: Vec<Vec<Span>>,
    },
    Quote(Vec<Block>),
    /// The number of the first item, where they have numbers.
    List {
        first: Option<u64>,
        items: Vec<Vec<Block>>,
    },
    /// The head is the first row.
    Table {
        align: Vec<Alignment>,
        rows: Vec<Vec<Vec<Span>>>,
    },
    Rule,
}

type Events<'t> = Peekable<OffsetIter<'t>>;

/// The blocks of a text, each with the byte at which it begins.
pub(super) fn parse(text: &str) -> Vec<(usize, Block)> {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut events = Parser::new_ext(text, options).into_offset_iter().peekable();
    let mut all = Vec::new();
    while events.peek().is_some() {
        let blocks = blocks(&mut events, 0);
        if blocks.is_empty() {
            // An end without a beginning: nothing that could be shown.
            events.next();
        }
        all.extend(blocks);
    }
    all
}

/// Blocks up to the end of what they lie in, which is taken too.
fn blocks(events: &mut Events<'_>, depth: usize) -> Vec<(usize, Block)> {
    let mut all = Vec::new();
    // Containers too deep to be shown as such.
    let mut transparent = 0;
    while let Some((event, range)) = events.peek() {
        let start = range.start;
        if is_inline(event) {
            let spans = inline(events, Face::default());
            all.push((start, Block::Paragraph(spans)));
            continue;
        }
        let Some((event, _)) = events.next() else { break };
        let block = match event {
            Event::End(_) if transparent > 0 => {
                transparent -= 1;
                continue;
            }
            Event::End(_) => break,
            Event::Start(Tag::BlockQuote(_) | Tag::List(_) | Tag::Item) if depth >= DEPTH_MAX => {
                transparent += 1;
                continue;
            }
            Event::Start(tag) => match one(tag, events, depth) {
                Some(block) => block,
                None => {
                    transparent += 1;
                    continue;
                }
            },
            Event::Rule => Block::Rule,
            Event::Html(text) => {
                Block::Paragraph(vec![Span::new(text.trim_end_matches('\n'), Face::default())])
            }
            _ => continue,
        };
        all.push((start, block));
    }
    all
}

/// The block that this tag begins; `None` for one that is nothing in itself.
fn one(tag: Tag<'_>, events: &mut Events<'_>, depth: usize) -> Option<Block> {
    let inner = |events: &mut Events<'_>| -> Vec<Block> {
        blocks(events, depth + 1).into_iter().map(|(_, block)| block).collect()
    };
    Some(match tag {
        Tag::Paragraph => {
            let spans = inline(events, Face::default());
            events.next();
            Block::Paragraph(spans)
        }
        Tag::Heading { level, .. } => {
            let underline = level == HeadingLevel::H1;
            let italic = level > HeadingLevel::H2;
            let face = Face { bold: true, underline, italic, ..Face::ink(Ink::Heading) };
            let spans = inline(events, face);
            events.next();
            Block::Heading(spans)
        }
        Tag::CodeBlock(kind) => {
            let language = match &kind {
                CodeBlockKind::Fenced(words) => words.split_whitespace().next().unwrap_or_default(),
                CodeBlockKind::Indented => "",
            };
            let language = language.to_owned();
            let mut text = String::new();
            for (event, _) in events.by_ref() {
                match event {
                    Event::Text(part) => text.push_str(&part),
                    Event::End(TagEnd::CodeBlock) => break,
                    _ => {}
                }
            }
            Block::Code { language, text, lines: Vec::new() }
        }
        Tag::BlockQuote(_) => Block::Quote(inner(events)),
        Tag::List(first) => {
            let mut items = Vec::new();
            while let Some((event, _)) = events.next() {
                match event {
                    Event::Start(Tag::Item) => items.push(inner(events)),
                    _ => break,
                }
            }
            Block::List { first, items }
        }
        Tag::Table(align) => Block::Table { align, rows: rows(events) },
        _ => return None,
    })
}

fn rows(events: &mut Events<'_>) -> Vec<Vec<Vec<Span>>> {
    let mut rows: Vec<Vec<Vec<Span>>> = Vec::new();
    while let Some((event, _)) = events.next() {
        match event {
            Event::Start(Tag::TableHead | Tag::TableRow) => rows.push(Vec::new()),
            Event::Start(Tag::TableCell) => {
                let face = Face { bold: rows.len() == 1, ..Face::default() };
                let spans = inline(events, face);
                if let Some(row) = rows.last_mut() {
                    row.push(spans);
                }
            }
            Event::End(TagEnd::Table) => break,
            _ => {}
        }
    }
    rows
}

fn is_inline(event: &Event<'_>) -> bool {
    match event {
        Event::Text(_)
        | Event::Code(_)
        | Event::InlineHtml(_)
        | Event::SoftBreak
        | Event::HardBreak
        | Event::TaskListMarker(_) => true,
        Event::Start(tag) => is_inline_end(tag.to_end()),
        Event::End(tag) => is_inline_end(*tag),
        _ => false,
    }
}

fn is_inline_end(tag: TagEnd) -> bool {
    matches!(
        tag,
        TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link | TagEnd::Image
    )
}

/// Text with its looks up to the next event that is none; line breaks are spans of their own.
fn inline(events: &mut Events<'_>, face: Face) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut faces = vec![face];
    // Where links lead to, and where their texts begin.
    let mut links: Vec<(String, usize)> = Vec::new();
    while let Some((event, _)) = events.next_if(|(event, _)| is_inline(event)) {
        let face = faces.last().copied().unwrap_or_default();
        match event {
            Event::Text(text) | Event::InlineHtml(text) => spans.push(Span::new(&*text, face)),
            Event::Code(text) => spans.push(Span::new(&*text, Face { ink: Ink::Code, ..face })),
            Event::SoftBreak => spans.push(Span::new(" ", face)),
            Event::HardBreak => spans.push(Span::new("\n", face)),
            Event::TaskListMarker(done) => {
                spans.push(Span::new(if done { "[x] " } else { "[ ] " }, face));
            }
            Event::Start(Tag::Emphasis) => faces.push(Face { italic: true, ..face }),
            Event::Start(Tag::Strong) => faces.push(Face { bold: true, ..face }),
            Event::Start(Tag::Strikethrough) => faces.push(Face { strike: true, ..face }),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                links.push((dest_url.into_string(), spans.len()));
                faces.push(Face { underline: true, ink: Ink::Link, ..face });
            }
            Event::End(tag) => {
                faces.truncate(faces.len().saturating_sub(1).max(1));
                if let (TagEnd::Link | TagEnd::Image, Some((url, start))) = (tag, links.pop()) {
                    let text: String = spans[start..].iter().map(|span| &*span.text).collect();
                    if text != url && !url.is_empty() {
                        spans.push(Span::new(format!(" ({url})"), Face::ink(Ink::Faint)));
                    }
                }
            }
            _ => {}
        }
    }
    spans
}
