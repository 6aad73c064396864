//! `chat` with a model that says what a script says, at the pace of a model.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use engine::testing::{BYTE_TOKENS, ScriptedForward, ScriptedSequence, byte_tokenizer};
use engine::{
    ChatTemplate, Checkpoint, Control, Facts, Forward, ForwardError, Output, Progress, Step,
};

/// The word that makes this test the program that is shown.
pub(crate) const ROLE: &str = "play";

const CTX: usize = 65_536;
/// A pass of a single id.
const STEP: Duration = Duration::from_millis(2);
/// Ids of a prompt between two looks at the control, and the time that they take.
const PART: usize = 500;
const PART_TAKES: Duration = Duration::from_millis(60);

/// What is said after what: the end of a message, the reasoning, and the answer with its calls.
const SCRIPT: [(&str, &str, &str); 11] = [
    ("a table", "The user wants\na table and code.", TABLE),
    (
        "list it",
        "I need to look.",
        "Let me look.<tool_call>\n<function=bash>\n<parameter=command>\necho one; echo two\n</parameter>\n</function>\n</tool_call>",
    ),
    ("two", "", "There are **two** lines: `one` and `two`."),
    ("the user refused this call", "", "Then I will not look."),
    (
        "wait long",
        "",
        "<tool_call>\n<function=bash>\n<parameter=command>\nsleep 60\n</parameter>\n</function>\n</tool_call>",
    ),
    ("its time limit", "", "That took too long."),
    (
        "list wrongly",
        "",
        "<tool_call>\n<function=bash>\n<parameter=comand>\necho one; echo two\n</parameter>\n</function>\n</tool_call>",
    ),
    (
        "there are: command, timeout_seconds",
        "I misspelled it.",
        "<tool_call>\n<function=bash>\n<parameter=command>\necho one; echo two\n</parameter>\n</function>\n</tool_call>",
    ),
    (
        "again",
        "",
        "<tool_call>\n<function=bash>\n<parameter=command>\necho again\n</parameter>\n</function>\n</tool_call>",
    ),
    ("count", "", COUNT),
    ("is it long?", "", "Yes, it is long."),
];

const TABLE: &str = "# Glaciers\n\nA *glacier* is **ice** that moves, see [this](http://ice.example).\n\n\
    | part | what | depth |\n|:--|:-:|--:|\n| firn | old snow | 40 m |\n| ice | 漢字 | 300 m |\n\n\
    1. snow falls\n   - every year\n2. ice flows\n\n> slowly\n\n```rust\nfn flow(depth: f32) -> f32 {\n    \
    depth.powi(3) // metres\n}\n```\n\nThat is all.";

const COUNT: &str = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen \
    fifteen sixteen seventeen eighteen nineteen twenty twenty-one twenty-two twenty-three twenty-four \
    twenty-five twenty-six twenty-seven twenty-eight twenty-nine thirty and so on without an end, as \
    numbers do, until somebody stops it or the context is full, whichever comes first, and it is over.";

/// What is said after "be hostile": control codes and marks that are no marks, in all places.
fn hostile() -> Vec<u32> {
    let plain = |text: &str| text.bytes().map(u32::from).collect::<Vec<u32>>();
    [
        plain("\u{1b}[2J<|im_end|>"),
        ids("\n</think>\n\n"),
        plain("\u{1b}]0;owned\u{7}\u{1b}[31m\u{9b}2J\u{202e}evil <|im_start|>\r\n"),
        ids("<tool_call>"),
        plain(
            "\n<function=bash>\n<parameter=command>\necho '</tool_call>' '\u{1b}[8m' '<|im_end|>'",
        ),
        plain("\n</parameter>\n</function>\n"),
        ids("</tool_call><|im_end|>"),
    ]
    .concat()
}

/// Runs `chat` with these arguments.
pub(crate) fn play(arguments: &[String]) -> ExitCode {
    let tokenizer = byte_tokenizer();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/demo-4bit");
    let template = ChatTemplate::open(&directory, &tokenizer).expect("the demo model's template");
    let template = template.expect("there is one");
    let mut model = ScriptedForward::new(256 + BYTE_TOKENS.len(), CTX);
    for (after, reasoning, answer) in SCRIPT {
        let said = ids(&format!("{reasoning}\n</think>\n\n{answer}<|im_end|>"));
        for end in ["", "\n</tool_response>"] {
            model = model.answering(asked(after, end), said.clone());
        }
    }
    model = model.answering(asked("be hostile", ""), hostile());
    // Whatever else a call gave.
    let noted = ids("\n</think>\n\nNoted.<|im_end|>");
    model = model.answering(asked("", "\n</tool_response>"), noted);
    flash_moe::chat_with(arguments, Paced(model), tokenizer, template)
}

/// The end of a message, or of what a call gave, and the beginning of the answer.
fn asked(after: &str, end: &str) -> Vec<u32> {
    ids(&format!("{after}{end}<|im_end|>\n<|im_start|>assistant\n<think>\n"))
}

/// Bytes as ids, marks as the tokens that they are.
fn ids(text: &str) -> Vec<u32> {
    byte_tokenizer().encode_markup(text).expect("bytes are ids")
}

/// A model that takes its time.
struct Paced(ScriptedForward);

impl Forward for Paced {
    type Sequence = ScriptedSequence;

    fn facts(&self) -> &Facts {
        self.0.facts()
    }

    fn sequence(&self, capacity: usize) -> Result<ScriptedSequence, ForwardError> {
        self.0.sequence(capacity)
    }

    fn position(&self, sequence: &ScriptedSequence) -> usize {
        self.0.position(sequence)
    }

    fn forward(
        &mut self,
        batch: &mut [Step<'_, ScriptedSequence>],
        control: &Control<'_>,
    ) -> Result<Output, ForwardError> {
        let tokens: usize = batch.iter().map(|step| step.tokens.len()).sum();
        if tokens == 1 {
            std::thread::sleep(STEP);
        }
        let stages = tokens / PART;
        for stages_done in 0..stages {
            let tokens_done = stages_done * PART;
            control.stage(Progress { tokens_done, tokens, stages_done, stages })?;
            std::thread::sleep(PART_TAKES);
        }
        self.0.forward(batch, &Control::new(control.cancel))
    }

    fn keep(&self, sequence: &mut ScriptedSequence, ids: usize) -> Result<(), ForwardError> {
        self.0.keep(sequence, ids)
    }

    fn checkpoint(&self, sequence: &ScriptedSequence) -> Result<Checkpoint, ForwardError> {
        self.0.checkpoint(sequence)
    }

    fn rewind(&self, sequence: &mut ScriptedSequence, to: &Checkpoint) -> Result<(), ForwardError> {
        self.0.rewind(sequence, to)
    }

    fn snapshot(&self, sequence: &ScriptedSequence, out: &mut dyn Write) -> io::Result<()> {
        self.0.snapshot(sequence, out)
    }

    fn restore(&self, from: &mut dyn Read, to: usize) -> Result<ScriptedSequence, ForwardError> {
        self.0.restore(from, to)
    }
}
