//! What was said: the messages in their order, how one goes back in them, and what the template gets.

use engine::Conversation;
use serde_json::{Map, Value, json};

use crate::cli::ThinkChoice;
use crate::saved::{Message, Role};

/// A conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Talk {
    pub(crate) system: Option<String>,
    pub(crate) messages: Vec<Message>,
}

impl Talk {
    /// Where the last message of the user is.
    pub(crate) fn last_question(&self) -> Option<usize> {
        self.messages.iter().rposition(|message| message.role == Role::User)
    }

    /// All messages as templates read them, the system's first.
    pub(crate) fn all(&self) -> Vec<Value> {
        let system = self.system.iter().map(|text| json!({"role": "system", "content": text}));
        system.chain(self.messages.iter().map(Message::for_template)).collect()
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

    #[test]
    fn the_system_message_comes_first() {
        let mut talk = Talk { system: Some("Be brief.".into()), ..Talk::default() };
        assert_eq!(talk.last_question(), None, "nobody asked");
        talk.messages.push(Message::new(Role::User, "why?"));
        talk.messages.push(Message::new(Role::Assistant, "because"));
        assert_eq!(talk.last_question(), Some(0), "it was asked");
        assert_eq!(talk.all()[0]["role"], "system", "first");
        let conversation = talk.conversation(Some(ThinkChoice::Off), None);
        assert_eq!(conversation.kwargs["enable_thinking"], false, "said to the template");
        assert!(talk.conversation(None, None).kwargs.is_empty(), "left to the template");
    }
}
