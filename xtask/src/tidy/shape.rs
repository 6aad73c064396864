//! How files and functions must look: opened with a sentence, small, free of stray spaces.

use super::Finding;
use super::source::functions;
use super::tree::File;

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;
const MEDIAN_LINES: usize = 200;

pub(super) fn check(file: &File, found: &mut Vec<Finding>) {
    stray_spaces(file, found);
    if !file.is_rust() {
        return;
    }
    opening_sentence(file, found);
    let lines = file.lines();
    if lines > FILE_LINES {
        let what = format!("{lines} lines; at most {FILE_LINES}");
        found.push(Finding::at(file, 0, "file-length", what).size(lines));
    }
    for function in functions(&file.code) {
        if function.lines > FUNCTION_LINES && !function.test && !file.is_test() {
            let (name, lines) = (&function.name, function.lines);
            let what = format!("fn {name} has {lines} lines; at most {FUNCTION_LINES}");
            let finding = Finding::at(file, function.line, "function-length", what);
            found.push(finding.item(name).size(lines));
        }
    }
}

fn opening_sentence(file: &File, found: &mut Vec<Finding>) {
    let paragraph: Vec<&str> = file
        .text
        .lines()
        .map_while(|line| line.strip_prefix("//! "))
        .flat_map(str::split_whitespace)
        .collect();
    let closed = paragraph.last().is_some_and(|word| word.ends_with(['.', ':', '?', '!', ';']));
    if paragraph.len() < 4 || !closed {
        let what = "the first line must begin a `//! ` sentence that says why the file exists";
        found.push(Finding::at(file, 1, "opening-sentence", what));
    }
}

fn stray_spaces(file: &File, found: &mut Vec<Finding>) {
    for (n, line) in file.text.split('\n').enumerate() {
        let stray = if line.ends_with([' ', '\t', '\r']) {
            "space at the end of the line"
        } else if file.is_rust() && line.contains('\t') {
            "tab"
        } else {
            continue;
        };
        found.push(Finding::at(file, n + 1, "stray-space", stray));
    }
}

/// The median length of the Rust files, in lines.
pub(super) fn median(files: &[File]) -> usize {
    let mut lines: Vec<usize> =
        files.iter().filter(|file| file.is_rust()).map(File::lines).collect();
    lines.sort_unstable();
    lines.get(lines.len() / 2).copied().unwrap_or(0)
}

pub(super) fn check_median(files: &[File], found: &mut Vec<Finding>) {
    let median = median(files);
    if median >= MEDIAN_LINES {
        found.push(Finding {
            path: ".".to_owned(),
            line: 0,
            rule: "median-length",
            item: String::new(),
            size: median,
            what: format!(
                "half of the Rust files have {median} lines or more; under {MEDIAN_LINES}"
            ),
        });
    }
}
