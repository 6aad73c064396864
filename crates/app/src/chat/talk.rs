//! What was said: the messages in the form in which templates read them, and how one goes back in them.

use engine::{Conversation, Generated};
use serde_json::{Map, Value, json};

use crate::cli::ThinkChoice;

/// The letters of a title.
const TITLE_CHARS: usize = 60;

/// A conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Talk {
    pub(crate) system: Option<String>,
    /// User, assistant and tool messages.
    pub(crate) messages: Vec<Value>,
}

impl Talk {
    pub(crate) fn say(&mut self, text: &str) {
        self.messages.push(json!({"role": "user", "content": text}));
    }

    /// What the model said, its calls left out.
    pub(crate) fn answered(&mut self, generated: &Generated) {
        let mut message = json!({"role": "assistant", "content": generated.text});
        if !generated.reasoning.is_empty() {
            message["reasoning_content"] = generated.reasoning.trim().into();
        }
        self.messages.push(message);
    }

    /// Takes away the last message of the user and all that followed it, and returns its text.
    pub(crate) fn undo(&mut self) -> Option<String> {
        let at = self.last_question()?;
        let message = self.messages.drain(at..).next()?;
        Some(message["content"].as_str().unwrap_or_default().to_owned())
    }

    /// Takes away what followed the last message of the user; whether there is one.
    pub(crate) fn retry(&mut self) -> bool {
        let at = self.last_question();
        self.messages.truncate(at.map_or(self.messages.len(), |at| at + 1));
        at.is_some()
    }

    fn last_question(&self) -> Option<usize> {
        self.messages.iter().rposition(|message| message["role"] == "user")
    }

    /// The beginning of the first message of the user.
    pub(crate) fn title(&self) -> Option<String> {
        let first = self.messages.iter().find(|message| message["role"] == "user")?;
        let words: Vec<&str> = first["content"].as_str()?.split_whitespace().take(20).collect();
        Some(words.join(" ").chars().take(TITLE_CHARS).collect())
    }

    /// All messages, the system's first.
    pub(crate) fn all(&self) -> Vec<Value> {
        let system = self.system.iter().map(|text| json!({"role": "system", "content": text}));
        system.chain(self.messages.iter().cloned()).collect()
    }

    /// What the template renders.
    pub(crate) fn conversation(
        &self,
        think: Option<ThinkChoice>,
        tools: Option<Vec<Value>>,
    ) -> Conversation {
        let mut kwargs = Map::new();
        if let Some(think) = think {
            kwargs.insert("enable_thinking".to_owned(), Value::Bool(think.is_on()));
        }
        Conversation { messages: self.all(), tools, kwargs, now: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk() -> Talk {
        let mut talk = Talk { system: Some("Be brief.".into()), ..Talk::default() };
        talk.say("first\n question");
        talk.messages.push(json!({"role": "assistant", "content": "one"}));
        talk.say("second");
        talk.messages.push(json!({"role": "assistant", "content": ""}));
        talk.messages.push(json!({"role": "tool", "content": "42"}));
        talk.messages.push(json!({"role": "assistant", "content": "two"}));
        talk
    }

    #[test]
    fn going_back_takes_a_question_with_all_that_followed() {
        let mut back = talk();
        assert_eq!(back.undo().as_deref(), Some("second"), "the last");
        assert_eq!(back.messages.len(), 2, "the first exchange");
        assert_eq!(back.undo().as_deref(), Some("first\n question"), "the first");
        assert_eq!(back.undo(), None, "nothing is left");
        let mut again = talk();
        assert!(again.retry(), "there is a question");
        assert_eq!(again.messages.len(), 3, "and nothing behind it");
        assert!(!Talk::default().retry(), "no question");
    }

    #[test]
    fn the_system_message_comes_first_and_titles_are_one_line() {
        let talk = talk();
        assert_eq!(talk.all()[0]["role"], "system", "first");
        assert_eq!(talk.title().as_deref(), Some("first question"), "one line");
        let conversation = talk.conversation(Some(ThinkChoice::Off), None);
        assert_eq!(conversation.kwargs["enable_thinking"], false, "said to the template");
        assert!(talk.conversation(None, None).kwargs.is_empty(), "left to the template");
    }
}
