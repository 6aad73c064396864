//! One part of a declared command, with places for arguments.

use serde_json::{Map, Value};

/// Literal text and names of arguments in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Argument(String),
}

impl Part {
    /// # Errors
    /// A brace without its other.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let (brace, behind) = rest[at..].split_at(1);
            if behind.starts_with(brace) {
                literal.push_str(brace);
                rest = &behind[1..];
                continue;
            }
            let end = behind.find('}').filter(|_| brace == "{");
            let Some(end) = end.filter(|end| *end > 0) else {
                return Err(format!("{text:?}: accepted: {{name}}, and {{{{ and }}}} for braces"));
            };
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Argument(behind[..end].to_owned()));
            rest = &behind[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self { pieces })
    }

    /// The arguments that it has places for.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Argument(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The text with the arguments in it; `None` for a part that is one argument which is not there.
    pub(super) fn fill(&self, arguments: &Map<String, Value>) -> Option<String> {
        if let [Piece::Argument(name)] = self.pieces.as_slice() {
            return arguments.get(name).map(written);
        }
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Argument(name) => arguments.get(name).map(written).unwrap_or_default(),
        });
        Some(pieces.collect())
    }
}

/// Texts as they are, all else as JSON.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(text: &str, arguments: Value) -> Option<String> {
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        Part::parse(text).expect("well formed").fill(&arguments)
    }

    #[test]
    fn arguments_stand_where_their_names_stood() {
        let some = |text: &str| Some(text.to_owned());
        let given = json!({"a": "x {b} $(y)", "n": 3, "l": [1, "z"]});
        assert_eq!(filled("{a}", given.clone()), some("x {b} $(y)"), "a text is not read again");
        assert_eq!(filled("--n={n},{l}", given.clone()), some("--n=3,[1,\"z\"]"), "others as JSON");
        assert_eq!(filled("{{print {n}}}", given.clone()), some("{print 3}"), "braces");
        assert_eq!(filled("", given.clone()), some(""), "an empty part stays");
        assert_eq!(filled("{none}", given.clone()), None, "a part that was not given");
        assert_eq!(filled("--x={none}", given), some("--x="), "within a part it is empty");
    }

    #[test]
    fn lonely_braces_are_refused() {
        for text in ["{", "}", "{a", "a}", "{}", "{a}}", "x{{{"] {
            assert!(Part::parse(text).is_err(), "{text}");
        }
    }
}
