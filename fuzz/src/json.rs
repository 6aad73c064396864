//! Lies told in JSON: one field at a time, written so that duplicate keys and bad numbers survive.

use serde_json::Value;

use super::bytes::NUMBERS;
use super::rng::Rng;

/// JSON as it is written: objects may repeat a key, numbers are text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// `null`, `true`, a number: whatever stands there.
    Plain(String),
    Text(String),
    List(Vec<Self>),
    Fields(Vec<(String, Self)>),
}

const TEXTS: [&str; 14] = [
    "",
    " ",
    "..",
    "../model.safetensors",
    "/etc/passwd",
    "a\\b",
    "F32",
    "BF16",
    "U32",
    "F8_E4M3",
    "qwen3_next",
    "<|im_end|>",
    "\u{FDD0}\u{0}\u{202E}",
    "full_attention",
];

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(fields) => {
                Self::Fields(fields.iter().map(|(k, v)| (k.clone(), Self::from(v))).collect())
            }
            plain => Self::Plain(plain.to_string()),
        }
    }
}

impl Node {
    /// As JSON text, without spaces.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Plain(text) => out.push_str(text),
            Self::Text(text) => out.push_str(&Value::String(text.clone()).to_string()),
            Self::List(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Fields(fields) => {
                out.push('{');
                for (n, (key, value)) in fields.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "" });
                    Self::Text(key.clone()).write(out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    fn children(&self) -> usize {
        match self {
            Self::Plain(_) | Self::Text(_) => 0,
            Self::List(items) => items.len(),
            Self::Fields(fields) => fields.len(),
        }
    }

    fn child(&mut self, n: usize) -> &mut Self {
        match self {
            Self::List(items) => &mut items[n],
            Self::Fields(fields) => &mut fields[n].1,
            leaf => leaf,
        }
    }

    /// Walks down by chance. Shallow places come up often: that is where configs keep their numbers.
    fn somewhere(&mut self, rng: &mut Rng) -> &mut Self {
        let children = self.children();
        if children == 0 || rng.once_in(6) {
            return self;
        }
        let n = rng.below(children);
        self.child(n).somewhere(rng)
    }

    /// The same, stopping only at a node with children; the root if there is none.
    fn some_parent(&mut self, rng: &mut Rng) -> &mut Self {
        let parents: Vec<usize> =
            (0..self.children()).filter(|&n| self.child(n).children() > 0).collect();
        if parents.is_empty() || rng.once_in(4) {
            return self;
        }
        let n = *rng.pick(&parents);
        self.child(n).some_parent(rng)
    }
}

/// One lie, in place. `other` is a second document to take pieces from.
pub(crate) fn lie(root: &mut Node, other: &Node, rng: &mut Rng) {
    match rng.below(9) {
        0 => *root.somewhere(rng) = invented(rng),
        1 => *root.somewhere(rng) = other.clone().somewhere(rng).clone(),
        2 => remove(root.some_parent(rng), rng),
        3 => repeat(root.some_parent(rng), rng),
        4 => swap(root.some_parent(rng), rng),
        5 => rename(root.some_parent(rng), rng),
        6 if rng.once_in(8) => nest(root.somewhere(rng), rng),
        _ => bend(root.somewhere(rng), rng),
    }
}

/// A value out of nothing.
fn invented(rng: &mut Rng) -> Node {
    match rng.below(8) {
        0 => Node::Plain("null".into()),
        1 => Node::Plain("true".into()),
        2 => Node::List(Vec::new()),
        3 => Node::Fields(Vec::new()),
        4 | 5 => Node::Text((*rng.pick(&TEXTS)).into()),
        _ => Node::Plain((*rng.pick(&NUMBERS)).into()),
    }
}

/// A value a little beside what it was.
fn bend(node: &mut Node, rng: &mut Rng) {
    match node {
        Node::Plain(text) => match text.parse::<i128>() {
            Ok(n) => {
                let near = [n + 1, n - 1, -n, n * 2, n / 2, n << 32, n + (1 << 32), n * 8];
                *text = rng.pick(&near).to_string();
            }
            Err(_) => *text = (*rng.pick(&["null", "true", "false", "1e-6", "-1.5"])).into(),
        },
        Node::Text(text) if rng.once_in(8) => {
            *text = text.repeat(1 + rng.below(0x1_0000 / (text.len() + 1)));
        }
        Node::Text(text) => {
            let mut letters: Vec<char> = text.chars().collect();
            let at = rng.below(letters.len() + 1);
            letters.insert(at, *rng.pick(&['x', '0', '.', '/', '\n', '\u{0}', '\u{1F980}']));
            *text = letters.into_iter().collect();
        }
        parent => remove(parent, rng),
    }
}

fn remove(node: &mut Node, rng: &mut Rng) {
    let n = rng.below(node.children());
    match node {
        Node::List(items) if n < items.len() => drop(items.remove(n)),
        Node::Fields(fields) if n < fields.len() => drop(fields.remove(n)),
        _ => {}
    }
}

/// An item or a key stands there twice, sometimes with another value.
fn repeat(node: &mut Node, rng: &mut Rng) {
    let (n, at) = (rng.below(node.children()), rng.below(node.children() + 1));
    let other = rng.once_in(2).then(|| invented(rng));
    match node {
        Node::List(items) if n < items.len() => {
            items.insert(at, other.unwrap_or_else(|| items[n].clone()));
        }
        Node::Fields(fields) if n < fields.len() => {
            let (key, value) = fields[n].clone();
            fields.insert(at, (key, other.unwrap_or(value)));
        }
        _ => {}
    }
}

/// Two values change places.
fn swap(node: &mut Node, rng: &mut Rng) {
    let (a, b) = (rng.below(node.children()), rng.below(node.children()));
    match node {
        Node::List(items) if !items.is_empty() => items.swap(a, b),
        Node::Fields(fields) if a != b => {
            let value = fields[a].1.clone();
            fields[a].1 = std::mem::replace(&mut fields[b].1, value);
        }
        _ => {}
    }
}

/// A key takes another's name, or one that nobody knows.
fn rename(node: &mut Node, rng: &mut Rng) {
    let (a, b) = (rng.below(node.children()), rng.below(node.children()));
    if let Node::Fields(fields) = node
        && !fields.is_empty()
    {
        let name = if rng.once_in(2) { fields[b].0.clone() } else { (*rng.pick(&TEXTS)).into() };
        fields[a].0 = name;
    }
}

/// A value deep inside lists of one.
fn nest(node: &mut Node, rng: &mut Rng) {
    let mut inner = std::mem::replace(node, Node::List(Vec::new()));
    for _ in 0..rng.below(300) {
        inner = Node::List(vec![inner]);
    }
    *node = inner;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_is_written_as_it_was() {
        let text = r#"{"a":[1,2.5,null,true,"x\n\"é"],"b":{"c":-3,"d":{}},"e":[]}"#;
        let value: Value = serde_json::from_str(text).expect("JSON");
        let mut out = String::new();
        Node::from(&value).write(&mut out);
        assert_eq!(out, text, "round trip");
    }

    #[test]
    fn lies_are_told_and_half_of_them_are_still_json() {
        let value: Value =
            serde_json::from_str(r#"{"a":[0,8],"b":{"dtype":"F32","n":5},"c":"x"}"#).expect("JSON");
        let node = Node::from(&value);
        let (mut changed, mut json, mut duplicate) = (0, 0, 0);
        for iteration in 0..4000 {
            let mut lied = node.clone();
            lie(&mut lied, &node, &mut Rng::new(3, iteration));
            changed += usize::from(lied != node);
            let mut text = String::new();
            lied.write(&mut text);
            json += usize::from(serde_json::from_str::<Value>(&text).is_ok());
            duplicate += usize::from(text.matches("\"dtype\":").count() > 1);
        }
        assert!(changed > 3000, "only {changed} of 4000 changed");
        assert!(json > 2000, "only {json} of 4000 can be read");
        assert!(duplicate > 20, "only {duplicate} of 4000 repeat the key");
    }
}
