//! Added tokens: found in text from left to right, the longest first, and only where they may be.

use std::collections::HashMap;
use std::ops::Range;

/// A token that stands beside the vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedToken {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub content: String,
    /// Left out when text is made for people.
    pub special: bool,
}

/// A part of a text: one added token, or bytes for the plain encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Token(u32),
    Text(Range<usize>),
}

/// All added tokens of a tokenizer.
#[derive(Debug)]
pub(super) struct AddedTokens {
    tokens: Vec<AddedToken>,
    by_content: HashMap<String, u32>,
    trie: Trie,
}

impl AddedTokens {
    /// Contents and ids are unique and no content is empty: the file was checked.
    pub(super) fn new(mut tokens: Vec<AddedToken>) -> Self {
        tokens.sort_by_key(|token| token.id);
        let by_content = tokens.iter().map(|t| (t.content.clone(), t.id)).collect();
        let mut trie = Trie::default();
        for token in &tokens {
            trie.insert(token.content.as_bytes(), token.id);
        }
        Self { tokens, by_content, trie }
    }

    pub(super) fn tokens(&self) -> &[AddedToken] {
        &self.tokens
    }

    pub(super) fn id_of(&self, content: &str) -> Option<u32> {
        self.by_content.get(content).copied()
    }

    pub(super) fn get(&self, id: u32) -> Option<&AddedToken> {
        let at = self.tokens.binary_search_by_key(&id, |token| token.id).ok()?;
        Some(&self.tokens[at])
    }

    /// Cuts a text at its added tokens. None is found that touches a byte of `content`, which is
    /// sorted and without overlaps.
    pub(super) fn pieces(&self, text: &str, content: &[Range<usize>]) -> Vec<Piece> {
        let bytes = text.as_bytes();
        let mut pieces = Vec::new();
        let mut content = content.iter().peekable();
        let (mut at, mut text_start) = (0, 0);
        while at < bytes.len() {
            while content.next_if(|range| range.end <= at).is_some() {}
            let limit = content.peek().map_or(bytes.len(), |range| range.start.max(at));
            let Some((len, id)) = self.trie.longest(&bytes[at..limit]) else {
                at += 1;
                continue;
            };
            if text_start < at {
                pieces.push(Piece::Text(text_start..at));
            }
            pieces.push(Piece::Token(id));
            at += len;
            text_start = at;
        }
        if text_start < bytes.len() {
            pieces.push(Piece::Text(text_start..bytes.len()));
        }
        pieces
    }
}

/// Contents byte by byte, so that a place in a text is looked at once however many tokens begin
/// alike.
#[derive(Debug)]
struct Trie {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    id: Option<u32>,
    /// Sorted by byte.
    next: Vec<(u8, usize)>,
}

impl Default for Trie {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Trie {
    fn insert(&mut self, content: &[u8], id: u32) {
        let mut node = 0;
        for byte in content {
            let edges = &self.nodes[node].next;
            node = match edges.binary_search_by_key(byte, |edge| edge.0) {
                Ok(edge) => edges[edge].1,
                Err(edge) => {
                    let new = self.nodes.len();
                    self.nodes[node].next.insert(edge, (*byte, new));
                    self.nodes.push(Node::default());
                    new
                }
            };
        }
        self.nodes[node].id = Some(id);
    }

    /// The longest content that `bytes` begins with.
    fn longest(&self, bytes: &[u8]) -> Option<(usize, u32)> {
        let mut found = None;
        let mut node = &self.nodes[0];
        for (i, byte) in bytes.iter().enumerate() {
            let Ok(edge) = node.next.binary_search_by_key(byte, |edge| edge.0) else { break };
            node = &self.nodes[node.next[edge].1];
            found = node.id.map(|id| (i + 1, id)).or(found);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by trying every token at every place.
    fn naive(tokens: &[AddedToken], text: &str, content: &[Range<usize>]) -> Vec<Piece> {
        let (mut pieces, mut start, mut at) = (Vec::new(), 0, 0);
        while at < text.len() {
            let free = |end: usize| !content.iter().any(|r| r.start < end && at < r.end);
            let best = tokens
                .iter()
                .filter(|t| text.as_bytes()[at..].starts_with(t.content.as_bytes()))
                .filter(|t| free(at + t.content.len()))
                .max_by_key(|t| t.content.len());
            let Some(token) = best else {
                at += 1;
                continue;
            };
            if start < at {
                pieces.push(Piece::Text(start..at));
            }
            pieces.push(Piece::Token(token.id));
            at += token.content.len();
            start = at;
        }
        if start < text.len() {
            pieces.push(Piece::Text(start..text.len()));
        }
        pieces
    }

    fn tokens(contents: &[&str]) -> Vec<AddedToken> {
        let token =
            |(id, c): (u32, &&str)| AddedToken { id, content: (*c).to_owned(), special: true };
        (0..).zip(contents).map(token).collect()
    }

    #[test]
    fn longest_first_and_never_in_content() {
        let added = AddedTokens::new(tokens(&["<a>", "<a><b>", "b", "é"]));
        let all = added.pieces("x<a><b>é", &[]);
        assert_eq!(all, [Piece::Text(0..1), Piece::Token(1), Piece::Token(3)], "longest");
        let content: Vec<Range<usize>> = std::iter::once(4..5).collect();
        let some = added.pieces("x<a><b>é", &content);
        let want =
            [Piece::Text(0..1), Piece::Token(0), Piece::Text(4..5), Piece::Token(2)].to_vec();
        let want = [want, vec![Piece::Text(6..7), Piece::Token(3)]].concat();
        assert_eq!(some, want, "a shorter one before content, others after it");
    }

    #[test]
    fn the_trie_finds_what_the_naive_search_finds() {
        let contents = ["<a>", "<a><b>", "b", "<<", "<a><b><a>", "é", "a>"];
        let (list, added) = (tokens(&contents), AddedTokens::new(tokens(&contents)));
        let alphabet = ["<", "a", ">", "b", "é", " "];
        let mut seed = 7u64;
        let mut next = |n: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % n
        };
        for round in 0..3000 {
            let text: String = (0..next(24)).map(|_| alphabet[next(6)]).collect();
            let (mut content, mut at) = (Vec::new(), 0);
            while at < text.len() && next(3) > 0 {
                let start = at + next(6);
                let end = (start + 1 + next(4)).min(text.len());
                if start < end {
                    content.push(start..end);
                }
                at = end + 1;
            }
            let found = added.pieces(&text, &content);
            assert_eq!(found, naive(&list, &text, &content), "{round}: {text:?} {content:?}");
        }
    }
}
