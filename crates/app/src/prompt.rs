//! Where the prompt comes from, and how it becomes the beginning of a turn.

use std::fs::File;
use std::io::{IsTerminal as _, Read, stdin};
use std::path::Path;

use engine::{ChatTemplate, Conversation, Tokenizer, Turn, TurnError};
use serde_json::{Map, Value, json};

use crate::cli::{RunArgs, Text, ThinkChoice};
use crate::fault::Fault;

/// More text than any context holds.
const TEXT_BYTES_MAX: u64 = 64 << 20;

/// What is asked, and by which rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) prompt: String,
    pub(crate) system: Option<String>,
    /// Whether the prompt is the model's input as it is.
    pub(crate) raw: bool,
    pub(crate) think: Option<ThinkChoice>,
}

impl Question {
    /// Reads what the command line names.
    pub(crate) fn read(args: &RunArgs) -> Result<Self, Fault> {
        let system = args.system.as_ref().map(given).transpose()?;
        let prompt = prompt(args)?;
        if prompt.is_empty() {
            let why = "the prompt is empty; accepted: a text, -f FILE, or a text on stdin";
            return Err(Fault::command_line(why));
        }
        Ok(Self { prompt, system, raw: args.raw, think: args.generation.think })
    }

    /// The ids that ask it.
    pub(crate) fn turn(
        &self,
        tokenizer: &Tokenizer,
        template: Option<&ChatTemplate>,
    ) -> Result<Turn, Fault> {
        let turn = match (self.raw, template) {
            (true, _) => Turn::raw(tokenizer, &self.prompt),
            (false, Some(template)) => Turn::from_chat(template, tokenizer, &self.conversation()),
            (false, None) => {
                let why = "this checkpoint has no chat template; accepted: --raw, which gives the \
                           prompt to the model as it is";
                return Err(Fault::command_line(why));
            }
        };
        turn.map_err(|error: TurnError| Fault::failed(error))
    }

    fn conversation(&self) -> Conversation {
        let system = self.system.iter().map(|text| json!({"role": "system", "content": text}));
        let user = json!({"role": "user", "content": self.prompt});
        let mut kwargs = Map::new();
        if let Some(think) = self.think {
            kwargs.insert("enable_thinking".to_owned(), Value::Bool(think.is_on()));
        }
        let messages = system.chain([user]).collect();
        Conversation { messages, kwargs, ..Conversation::default() }
    }
}

/// A text that was given, or that of the file that was named.
pub(crate) fn given(text: &Text) -> Result<String, Fault> {
    match text {
        Text::Given(text) => Ok(text.clone()),
        Text::File(path) => from_file(path),
    }
}

fn prompt(args: &RunArgs) -> Result<String, Fault> {
    match (&args.prompt, &args.file) {
        (Some(text), _) if text != "-" => Ok(text.clone()),
        (None, Some(path)) => named(path),
        (None, None) if stdin().is_terminal() => {
            let why = "no prompt; accepted: a text, -f FILE, or - for stdin";
            Err(Fault::command_line(why))
        }
        _ => text("stdin", stdin().lock()),
    }
}

/// What `-f` names: the text of a file, or, for `-`, of stdin.
pub(crate) fn named(path: &Path) -> Result<String, Fault> {
    if path == Path::new("-") { text("stdin", stdin().lock()) } else { from_file(path) }
}

fn from_file(path: &Path) -> Result<String, Fault> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| Fault::failed(format!("{name}: {error}")))?;
    text(&name, file)
}

fn text(name: &str, from: impl Read) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    let read = from.take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| Fault::failed(format!("{name}: {error}")))?;
    if bytes.len() as u64 > TEXT_BYTES_MAX {
        let why = format!("{name}: more than the {TEXT_BYTES_MAX} bytes that a prompt may have");
        return Err(Fault::failed(why));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Fault::failed(format!("{name}: byte {at} is not UTF-8; accepted: UTF-8 text"))
    })
}

#[cfg(test)]
mod tests {
    use engine::testing::{byte_tokenizer, chat_template};

    use super::*;

    fn decoded(question: &Question) -> String {
        let tokenizer = byte_tokenizer();
        let template = chat_template(&tokenizer);
        let turn = question.turn(&tokenizer, Some(&template)).expect("a turn");
        tokenizer.decode(&turn.prompt, false)
    }

    #[test]
    fn a_question_is_rendered_by_the_template() {
        let question = Question { prompt: "What?".to_owned(), ..Question::default() };
        let plain = "<|im_start|>user\nWhat?<|im_end|>\n<|im_start|>assistant\n<think>\n";
        assert_eq!(decoded(&question), plain, "plain");
        let question = Question {
            system: Some("Be brief.".to_owned()),
            think: Some(ThinkChoice::Off),
            ..question
        };
        let off = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat?<|im_end|>\n\
                   <|im_start|>assistant\n<think>\n\n</think>\n\n";
        assert_eq!(decoded(&question), off, "with a system message and without reasoning");
    }

    #[test]
    fn raw_text_is_the_input_with_and_without_template() {
        let question =
            Question { prompt: "a<|im_end|>".to_owned(), raw: true, ..Question::default() };
        assert_eq!(decoded(&question), "a<|im_end|>", "with a template");
        let turn = question.turn(&byte_tokenizer(), None).expect("no template is needed");
        assert_eq!(turn.prompt, [97, 258], "markup is matched");
    }

    #[test]
    fn without_template_raw_is_asked_for() {
        let question = Question { prompt: "a".to_owned(), ..Question::default() };
        let fault = question.turn(&byte_tokenizer(), None).expect_err("no template");
        assert_eq!(fault.code(), 2, "{fault:?}");
        assert!(fault.line().is_some_and(|line| line.contains("--raw")), "{fault:?}");
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_with_its_place() {
        let fault = text("x.txt", &b"ab\xff"[..]).expect_err("not UTF-8");
        assert!(fault.line().is_some_and(|line| line.contains("x.txt: byte 2")), "{fault:?}");
    }
}
