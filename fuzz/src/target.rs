//! What is fuzzed: a parser, examples of what it reads, and the shape to lie about.

use serde_json::Value;

use super::bytes;
use super::json::{self, Node};
use super::rng::Rng;

/// How a parser took an input. Anything else it did is a fault and panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was read, and what came out kept its promises.
    Accepted,
    /// It was refused with one clear line.
    Refused,
}

impl Verdict {
    /// The verdict on a result.
    ///
    /// # Panics
    /// When an error does not say what is wrong in one line of a readable length.
    pub fn of<T, E: std::fmt::Display>(result: &Result<T, E>) -> Self {
        let Err(error) = result else { return Self::Accepted };
        let line = error.to_string();
        assert!(!line.trim().is_empty(), "an error that says nothing");
        assert!(!line.contains('\n'), "an error of several lines: {line:?}");
        assert!(line.len() <= LINE_BYTES, "an error of {} bytes", line.len());
        Self::Refused
    }
}

/// Longer than this nobody reads an error.
const LINE_BYTES: usize = 2000;

/// What the inputs of a target look like, so that lies hit their structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Bytes without a structure that the mutator knows; text too.
    Bytes,
    /// A JSON document.
    Json,
    /// Eight bytes of length, little-endian, then that much JSON.
    Header,
}

/// Reads one input on whatever thread asks.
pub type Run = Box<dyn Fn(&[u8]) -> Verdict + Send + Sync>;

/// A parser under test.
pub struct Target {
    /// As the command line names it.
    pub name: &'static str,
    /// What the inputs look like.
    pub shape: Shape,
    /// True inputs; at least one.
    pub seeds: Vec<Vec<u8>>,
    /// Reads one input. A broken promise is a panic.
    pub run: Run,
}

impl Target {
    /// The input of one iteration: the same on every machine. The first ones are the true inputs.
    #[must_use]
    pub fn input(&self, seed: u64, iteration: u64) -> Vec<u8> {
        if let Some(input) = usize::try_from(iteration).ok().and_then(|n| self.seeds.get(n)) {
            return input.clone();
        }
        let rng = &mut Rng::new(seed, iteration);
        let (mut input, other) = (rng.pick(&self.seeds).clone(), rng.pick(&self.seeds).clone());
        let lies = 1 + rng.below(3);
        if self.shape == Shape::Bytes || rng.once_in(5) {
            (0..lies).for_each(|_| bytes::lie(&mut input, &other, rng));
            return input;
        }
        let skip = if self.shape == Shape::Header { 8 } else { 0 };
        if let (Some(mut node), Some(other)) = (parse(&input, skip), parse(&other, skip)) {
            (0..lies).for_each(|_| json::lie(&mut node, &other, rng));
            input = written(&node, self.shape, rng);
        }
        if rng.once_in(10) {
            bytes::lie(&mut input, &other, rng);
        }
        input
    }
}

fn parse(input: &[u8], skip: usize) -> Option<Node> {
    let value: Value = serde_json::from_slice(input.get(skip..)?).ok()?;
    Some(Node::from(&value))
}

fn written(node: &Node, shape: Shape, rng: &mut Rng) -> Vec<u8> {
    let mut text = String::new();
    node.write(&mut text);
    if shape != Shape::Header {
        return text.into_bytes();
    }
    text.extend(std::iter::repeat_n(' ', rng.below(9)));
    let mut len = text.len() as u64;
    if rng.once_in(20) {
        len = len.wrapping_add(*rng.pick(&[1, u64::MAX, 8, 1 << 32]));
    }
    let mut input = len.to_le_bytes().to_vec();
    input.extend_from_slice(text.as_bytes());
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Target {
        let json = br#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let mut seed = (json.len() as u64).to_le_bytes().to_vec();
        seed.extend_from_slice(json);
        Target {
            name: "header",
            shape: Shape::Header,
            seeds: vec![seed],
            run: Box::new(|_| Verdict::Accepted),
        }
    }

    #[test]
    fn the_same_iteration_gives_the_same_input() {
        let target = header();
        assert_eq!(target.input(1, 0), target.seeds[0], "the true input comes first");
        let inputs: Vec<_> = (0..300).map(|n| target.input(1, n)).collect();
        assert_eq!(inputs, (0..300).map(|n| target.input(1, n)).collect::<Vec<_>>(), "again");
        let different = (0..300).filter(|&n| target.input(2, n) != inputs[n as usize]).count();
        assert!(different > 250, "another seed, other lies: {different} of 300");
    }

    #[test]
    fn most_headers_keep_a_true_length() {
        let target = header();
        let honest = (0..1000).filter(|&n| {
            let input = target.input(9, n);
            let len = input.get(..8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
            len == Some(input.len().saturating_sub(8) as u64)
        });
        let honest = honest.count();
        assert!((600..980).contains(&honest), "{honest} of 1000");
    }

    #[test]
    fn errors_must_be_one_readable_line() {
        assert_eq!(Verdict::of(&Ok::<_, String>(1)), Verdict::Accepted, "ok");
        assert_eq!(
            Verdict::of(&Err::<(), _>("a.json: line 3: no".to_owned())),
            Verdict::Refused,
            "one line"
        );
        for bad in ["", "two\nlines", &"long".repeat(1000)] {
            let caught = std::panic::catch_unwind(|| Verdict::of(&Err::<(), _>(bad)));
            assert!(caught.is_err(), "{:?} must be a fault", &bad[..bad.len().min(20)]);
        }
    }
}
