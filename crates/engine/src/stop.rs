//! Texts that end a turn, found across the borders of ids before any part of them is shown.

/// Looks for texts in text that arrives in parts. What may be the beginning of one is held back
/// until it is decided.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    needles: Vec<String>,
    held: String,
}

/// What a part of a text decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Text that belongs to no match.
    pub(crate) before: String,
    /// The match, if one is whole.
    pub(crate) hit: Option<Hit>,
}

/// A whole match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// The text that was looked for.
    pub(crate) needle: String,
    /// What arrived behind it.
    pub(crate) rest: String,
}

impl Search {
    /// Empty texts are in every text: they are left out.
    pub(crate) fn new(needles: &[String]) -> Self {
        let needles = needles.iter().filter(|needle| !needle.is_empty()).cloned().collect();
        Self { needles, held: String::new() }
    }

    /// Takes more text. Of several matches the one that is whole first counts, and among these the
    /// longest: so the result does not depend on the parts in which a text arrives.
    pub(crate) fn push(&mut self, text: &str) -> Found {
        self.held.push_str(text);
        let matches = self.needles.iter().filter_map(|needle| {
            let start = self.held.find(needle.as_str())?;
            Some((start + needle.len(), start, needle))
        });
        if let Some((end, start, needle)) = matches.min_by_key(|(end, start, _)| (*end, *start)) {
            let (needle, rest) = (needle.clone(), self.held[end..].to_owned());
            self.held.truncate(start);
            return Found { before: self.finish(), hit: Some(Hit { needle, rest }) };
        }
        let undecided = self.undecided();
        let kept = self.held.split_off(self.held.len() - undecided);
        Found { before: std::mem::replace(&mut self.held, kept), hit: None }
    }

    /// Length of the longest end of the held text with which a match may begin, in bytes.
    fn undecided(&self) -> usize {
        let longest = |needle: &String| {
            let most = self.held.len().min(needle.len() - 1);
            (1..=most)
                .rev()
                .find(|n| needle.is_char_boundary(*n) && self.held.ends_with(&needle[..*n]))
        };
        self.needles.iter().filter_map(longest).max().unwrap_or(0)
    }

    /// Ends the text: what was held back belongs to no match.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Stop strings over the text of a turn. A match, and all that comes after it, is never shown.
#[derive(Clone, Debug)]
pub struct StopStrings {
    search: Search,
    hit: bool,
}

impl StopStrings {
    /// Empty stop strings are left out.
    #[must_use]
    pub fn new(stops: &[String]) -> Self {
        Self { search: Search::new(stops), hit: false }
    }

    /// Takes more text; returns what can be shown now, and the stop string if one is whole. Of
    /// several the one that is whole first counts, and among these the longest. After it there is
    /// no more text.
    pub fn push(&mut self, text: &str) -> (String, Option<String>) {
        if self.hit {
            return (String::new(), None);
        }
        let found = self.search.push(text);
        self.hit = found.hit.is_some();
        (found.before, found.hit.map(|hit| hit.needle))
    }

    /// Ends the text: returns what was held back.
    pub fn finish(&mut self) -> String {
        self.search.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same over the whole text at once, end by end.
    fn naive(stops: &[String], text: &str) -> (String, Option<String>) {
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            let here = stops.iter().filter(|s| !s.is_empty() && text[..end].ends_with(s.as_str()));
            if let Some(stop) = here.max_by_key(|stop| stop.len()) {
                return (text[..end - stop.len()].to_owned(), Some(stop.clone()));
            }
        }
        (text.to_owned(), None)
    }

    fn parts(stops: &[String], parts: &[&str]) -> (String, Option<String>) {
        let mut strings = StopStrings::new(stops);
        let (mut shown, mut hit) = (String::new(), None);
        for part in parts {
            let (text, found) = strings.push(part);
            shown.push_str(&text);
            hit = hit.or(found);
        }
        (shown + &strings.finish(), hit)
    }

    fn owned(stops: &[&str]) -> Vec<String> {
        stops.iter().map(|stop| (*stop).to_owned()).collect()
    }

    #[test]
    fn what_may_be_a_beginning_is_held_back() {
        let mut stops = StopStrings::new(&owned(&["###", "Ende\n", ""]));
        let steps = [
            ("a#", "a", None),
            ("#", "", None),
            ("b", "##b", None),
            ("En", "", None),
            ("den", "Enden", None),
            ("é##", "é", None),
            ("#c", "", Some("###")),
            ("d", "", None),
        ];
        for (part, text, hit) in steps {
            let found = stops.push(part);
            assert_eq!(found, (text.to_owned(), hit.map(str::to_owned)), "after {part:?}");
        }
        assert_eq!(stops.finish(), "", "nothing comes after a match");
    }

    #[test]
    fn a_text_that_ends_in_half_a_match_is_whole() {
        let stops = owned(&["###"]);
        assert_eq!(parts(&stops, &["a#", "#"]), ("a##".to_owned(), None), "held back, then shown");
        assert_eq!(parts(&[], &["a", ""]), ("a".to_owned(), None), "no stop strings");
    }

    #[test]
    fn overlapping_stops_and_the_first_that_is_whole() {
        let stops = owned(&["abc", "b", "xab", "ab"]);
        let want = (String::new(), Some("ab".to_owned()));
        assert_eq!(parts(&stops, &["abc"]), want, "ab is whole before abc, and longer than b");
        let want = ("c".to_owned(), Some("b".to_owned()));
        assert_eq!(parts(&stops, &["cb"]), want, "b alone");
        let want = ("x".to_owned(), Some("xab".to_owned()));
        assert_eq!(parts(&stops, &["x", "x", "a", "b"]), want, "the longest at the same end");
    }

    #[test]
    fn parts_do_not_matter() {
        let alphabet = ["a", "b", "é", "日", "e", "\u{301}"];
        let mut seed = 5u64;
        let mut next = |n: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % n
        };
        let mut hits = 0;
        for round in 0..5000 {
            let mut word = |most: usize| -> Vec<&str> {
                (0..next(most + 1)).map(|_| alphabet[next(6)]).collect()
            };
            let stops = [word(3).concat(), word(4).concat(), word(2).concat()];
            let text = word(20);
            let mut cut: Vec<String> = vec![String::new()];
            for letter in &text {
                if next(2) == 0 {
                    cut.push(String::new());
                }
                cut.last_mut().expect("never empty").push_str(letter);
            }
            let cut: Vec<&str> = cut.iter().map(String::as_str).collect();
            let found = parts(&stops, &cut);
            hits += usize::from(found.1.is_some());
            assert_eq!(found, naive(&stops, &text.concat()), "{round}: {stops:?} in {cut:?}");
        }
        assert!(hits > 1000 && hits < 4900, "both ends are tried: {hits} of 5000 hit");
    }
}
