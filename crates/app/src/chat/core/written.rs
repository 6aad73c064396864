//! What is told or written of a conversation as a whole: its tokens, its cost, its text in a file.

use std::io::Write as _;
use std::path::PathBuf;

use engine::{Forward, Generated};

use super::{Core, Done, Spending};
use crate::chat::wire::Form;
use crate::{report, saved};

impl Spending {
    pub(super) fn add(&mut self, generated: &Generated) {
        self.turns += 1;
        self.prompt_tokens += generated.prompt.tokens;
        self.reused_tokens += generated.reused;
        self.made_tokens += generated.ids.len();
        self.seconds += (generated.prompt.elapsed + generated.decode.elapsed).as_secs_f64();
        self.read_bytes += generated.prompt.spent.read_bytes + generated.decode.spent.read_bytes;
    }
}

impl<F: Forward> Core<F> {
    /// How many tokens each message has, rendered as the model gets them.
    pub(super) fn tokens(&self) -> Done {
        let Some(stage) = &self.stage else { return Ok(()) };
        let tokenizer = &stage.language.tokenizer;
        let count = |text: &str| {
            tokenizer.encode_text(text).map(|ids| ids.len()).map_err(|error| error.to_string())
        };
        let mut lines = Vec::new();
        for message in self.talk.all() {
            let role = message["role"].as_str().unwrap_or_default();
            let text = message["content"].as_str().unwrap_or_default();
            let begin: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let begin: String = begin.chars().take(50).collect();
            lines.push(format!("{:>7}  {role:<9} {begin}", count(text)?));
        }
        let held = stage.session.as_ref().map_or(0, engine::Session::position);
        lines.push(format!(
            "{held:>7}  of {} held by the model, marks and reasoning included",
            stage.ctx
        ));
        self.note(lines.join("\n"))
    }

    pub(super) fn stats(&self) -> Done {
        let Some(stage) = &self.stage else { return Ok(()) };
        let last = match &self.last {
            Some(generated) => report::last_line(generated, &stage.conditions),
            None => "nothing was answered yet".to_owned(),
        };
        let s = &self.spent;
        let peak = crate::open::peak_rss_bytes().map_or("-".to_owned(), crate::size::shown);
        self.note(format!(
            "last answer: {last}\nall {} answers: {} tokens read, {} reused, {} made, {:.1} s, {} \
             read from disk\nmemory: {peak} at most, {} planned, {} allowed\nwritten for saved \
             sessions: {}",
            s.turns,
            s.prompt_tokens,
            s.reused_tokens,
            s.made_tokens,
            s.seconds,
            crate::size::shown(s.read_bytes),
            crate::size::shown(stage.conditions.plan_bytes),
            crate::size::shown(stage.conditions.budget_bytes),
            crate::size::shown(self.gauge.look().saved_bytes),
        ))
    }

    /// Writes the conversation to a new file.
    pub(super) fn export(&self, form: Form, file: Option<PathBuf>) -> Done {
        let (head, messages) = (self.keep.head(), &self.talk.messages);
        let (text, end) = match form {
            Form::Markdown => (saved::markdown(&head, messages), "md"),
            Form::Json => (format!("{:#}\n", saved::json(&head, messages)), "json"),
        };
        let file = file.unwrap_or_else(|| PathBuf::from(format!("chat.{end}")));
        let path = self.directory.join(file);
        let mut options = std::fs::OpenOptions::new();
        let written = options.write(true).create_new(true).open(&path);
        let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
        self.note(format!("written to {}", path.display()))
    }
}
