//! The demo model answers as its reference does, on stdout alone, however it is asked.

use serde_json::Value;

use crate::program::{Done, flash_moe, flash_moe_reading, read_json};

const QUESTION: &str = "What is a glacier?";
const ANSWER: &str = "A glacier is a large mass of ice that moves slowly down a valley. It forms \
                      where more snow falls than melts over many years.";

fn greedy(more: &[&str]) -> Done {
    flash_moe(&[&["run", "--temp", "0", "--think", "off"], more].concat()).succeeded()
}

#[test]
fn reference_answers_come_out_byte_for_byte() {
    let reference = read_json("demo/demo-4bit-reference.json");
    let cases = reference["cases"].as_array().expect("cases");
    let simple = cases.iter().filter(|case| {
        case["kind"] == "chat" && !case["stop_at"].is_null() && case["enable_thinking"] == false
    });
    let mut checked = 0;
    for case in simple {
        let messages = case["messages"].as_array().expect("messages");
        let (Some(question), 1) = (messages[0]["content"].as_str(), messages.len()) else {
            continue;
        };
        let done = greedy(&[question]);
        assert_eq!(done.stdout, case["text"].as_str().expect("text"), "{question}");
        checked += 1;
    }
    assert!(checked >= 6, "{checked} cases were found");
}

#[test]
fn raw_text_goes_on_as_the_reference_does() {
    let reference = read_json("demo/demo-4bit-reference.json");
    let cases = reference["cases"].as_array().expect("cases");
    let raw = cases.iter().filter(|case| case["kind"] == "raw");
    let mut checked = 0;
    for case in raw.take(5) {
        let prompt = case["raw_text"].as_str().expect("text");
        let wanted = case["greedy_ids"].as_array().expect("ids");
        let n = wanted.len().to_string();
        let mut arguments = vec!["run", "--raw", "--temp", "0", "--ignore-eos", "--logprobs", "0"];
        arguments.extend(["--precision", "exact", "-n", &n, prompt]);
        let done = flash_moe(&arguments).succeeded();
        let lines = done.stderr.lines().filter_map(|line| serde_json::from_str(line).ok());
        let ids: Vec<Value> = lines.map(|line: Value| line["id"].clone()).collect();
        assert_eq!(&ids, wanted, "{prompt:?}");
        checked += 1;
    }
    assert!(checked == 5, "{checked} cases were found");
}

#[test]
fn the_answer_alone_is_on_stdout_and_the_last_line_on_stderr() {
    let done = greedy(&[QUESTION]);
    assert_eq!(done.stdout, ANSWER, "the answer and nothing else");
    let first = done.stderr.lines().next();
    assert_eq!(first, Some("no model named: the built-in demo model"), "said in one line");
    let last = done.last_line();
    let parts: Vec<&str> = last.split(" · ").collect();
    assert_eq!(parts.len(), 8, "{last}");
    assert_eq!(parts[0], "31 tok", "{last}");
    for (part, unit) in parts[1..].iter().zip(["tok/s", "ms/tok", "touched)", "%"]) {
        assert!(part.ends_with(unit), "{last}");
    }
    assert!(parts[5].starts_with("disk ") && parts[6].ends_with(" fast"), "{last}");
    assert!(parts[7].len() == 9 && parts[7].starts_with('#'), "{last}");
    assert!(!done.stderr.contains('\x1b'), "no colours where no terminal is: {done:?}");
}

#[cfg(unix)]
#[test]
fn the_last_line_is_a_line_of_its_own_where_both_streams_lead_to_one_place() {
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    let both = || std::fs::OpenOptions::new().append(true).open(file.path()).expect("open");
    let mut command = crate::program::command(&crate::program::cache());
    command.args(["run", "--temp", "0", "--think", "off", "--stats", "json", QUESTION]);
    let status = command.stdout(both()).stderr(both()).status().expect("the binary runs");
    assert!(status.success(), "{status}");
    let text = std::fs::read_to_string(file.path()).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.contains(&ANSWER), "{text}");
    let last: Result<Value, _> = serde_json::from_str(lines.last().expect("a last line"));
    assert!(last.is_ok(), "{text}");
}

#[test]
fn a_prompt_comes_from_an_argument_a_file_or_stdin() {
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    std::fs::write(file.path(), QUESTION).expect("write");
    let path = file.path().display().to_string();
    let flags = ["run", "--temp", "0", "--think", "off"];
    assert_eq!(greedy(&["-f", &path]).stdout, ANSWER, "-f FILE");
    for more in [&[][..], &["-"], &["-f", "-"]] {
        let done = flash_moe_reading(QUESTION.as_bytes(), &[&flags, more].concat());
        assert_eq!(done.succeeded().stdout, ANSWER, "{more:?}");
    }
    let piped = flash_moe_reading(format!("{QUESTION}\n").as_bytes(), &flags).succeeded();
    assert_eq!(piped.stdout, ANSWER, "the template takes the line end of a pipe away");
}

#[test]
fn reasoning_is_left_out_when_piped_and_shown_on_stderr_when_asked_for() {
    let flags = ["run", "--temp", "0", "--think", "on", "-n", "200", QUESTION];
    let hidden = flash_moe(&flags).succeeded();
    let shown = flash_moe(&[&flags[..], &["--show-thinking"]].concat()).succeeded();
    assert_eq!(hidden.stdout, shown.stdout, "the answer is the same");
    assert!(!hidden.stdout.contains("think>"), "no marks: {hidden:?}");
    let extra = shown.stderr.len() - hidden.stderr.len().min(shown.stderr.len());
    assert!(extra > 10, "reasoning is there: {shown:?}");
}

#[test]
fn a_think_budget_closes_the_block() {
    let flags = ["run", "--temp", "0", "--think", "2", "--show-thinking", "--logprobs", "0"];
    let done = flash_moe(&[&flags[..], &[QUESTION]].concat()).succeeded();
    let forced = done.stderr.lines().filter(|line| line.contains("\"forced\":true")).count();
    assert!(forced >= 2, "the block was closed by force: {done:?}");
    assert!(!done.stdout.is_empty(), "then it answers: {done:?}");
}

#[test]
fn a_stop_string_is_not_shown() {
    let done = greedy(&["--stop", "valley", QUESTION]);
    assert_eq!(Some(done.stdout.as_str()), ANSWER.split("valley").next(), "cut before it");
    assert!(greedy(&["--stop", "zzz", QUESTION]).stdout == ANSWER, "no stop, no cut");
}

#[test]
fn a_seed_makes_chance_repeatable() {
    let tell = |seed: &str| {
        flash_moe(&["run", "--temp", "1.2", "--seed", seed, "-n", "24", "Tell me a short story."])
            .succeeded()
            .stdout
    };
    assert_eq!(tell("1"), tell("1"), "the same seed");
    assert_ne!(tell("1"), tell("2"), "another one");
}

#[test]
fn log_probabilities_are_a_line_a_token() {
    let done = greedy(&["--logprobs", "3", "-n", "5", QUESTION]);
    let lines: Vec<Value> =
        done.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(lines.len(), 5, "{done:?}");
    let text: String = lines.iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!(text, done.stdout, "together they are the answer");
    assert!(lines.iter().all(|line| line["top"][0]["id"] == line["id"]), "greedy: {lines:?}");
}
