//! The house rules that no compiler checks, as one function that an ordinary test can call.

use std::fmt;
use std::path::Path;

mod exceptions;
mod names;
mod rooms;
mod shape;
mod source;
mod traces;
mod tree;

use tree::File;

/// One place where the tree departs from a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Relative to the root.
    pub path: String,
    /// From 1; 0 speaks of the whole file.
    pub line: usize,
    /// The rule's name, as exceptions name it.
    pub rule: &'static str,
    /// What an exception has to name to cover it: a word, a function; empty for the file.
    pub item: String,
    /// Lines, for the rules that count them; otherwise 0.
    pub size: usize,
    /// What was found and what is accepted.
    pub what: String,
}

impl Finding {
    fn at(file: &File, line: usize, rule: &'static str, what: impl Into<String>) -> Self {
        Self {
            path: file.path.clone(),
            line,
            rule,
            item: String::new(),
            size: 0,
            what: what.into(),
        }
    }

    fn item(mut self, item: &str) -> Self {
        item.clone_into(&mut self.item);
        self
    }

    fn size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}: {}", self.rule, self.what)
    }
}

/// A departure that was argued for. It must be needed, and as tight as the code allows.
#[derive(Clone, Copy, Debug)]
struct Exception {
    rule: &'static str,
    /// A file, or a folder with `/*` behind it.
    path: &'static str,
    /// As in [`Finding::item`].
    item: &'static str,
    /// As in [`Finding::size`]: more than this is a finding again.
    limit: usize,
    reason: &'static str,
}

impl Exception {
    fn speaks_of(&self, finding: &Finding) -> bool {
        let place = match self.path.strip_suffix('*') {
            Some(folder) => finding.path.starts_with(folder),
            None => finding.path == self.path,
        };
        place && self.rule == finding.rule && self.item == finding.item
    }
}

/// How far a limit may lie above what it covers before tidy asks for it to be lowered.
const SLACK_LINES: usize = 20;

/// Every departure from the house rules below `root`, in the order of paths and lines.
#[must_use]
pub fn check(root: &Path) -> Vec<Finding> {
    match tree::read(root) {
        Ok(files) => judge(&files, &exceptions::ALL),
        Err((path, error)) => vec![Finding {
            path,
            line: 0,
            rule: "tree",
            item: String::new(),
            size: 0,
            what: format!("cannot be read: {error}"),
        }],
    }
}

fn judge(files: &[File], exceptions: &[Exception]) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in files {
        shape::check(file, &mut found);
        names::check(file, &mut found);
        rooms::check(file, &mut found);
        traces::check(file, &mut found);
    }
    shape::check_median(files, &mut found);
    let mut findings = weigh_exceptions(&found, exceptions);
    findings.extend(found.into_iter().filter(|finding| {
        !exceptions.iter().any(|e| e.speaks_of(finding) && finding.size <= e.limit)
    }));
    findings.sort();
    findings
}

/// Exceptions that are not needed, too generous, or given without a reason.
fn weigh_exceptions(found: &[Finding], exceptions: &[Exception]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for exception in exceptions {
        let largest = found.iter().filter(|f| exception.speaks_of(f)).map(|f| f.size).max();
        let what = match largest {
            None => format!("nothing needs the exception for `{}` any more", exception.item),
            Some(size) if size + SLACK_LINES < exception.limit => {
                format!("the limit {} can be lowered to {size}", exception.limit)
            }
            Some(_) if exception.reason.split_whitespace().count() < 3 => {
                format!("the exception for `{}` has no reason", exception.item)
            }
            Some(_) => continue,
        };
        findings.push(Finding {
            path: exception.path.to_owned(),
            line: 0,
            rule: exception.rule,
            item: exception.item.to_owned(),
            size: 0,
            what,
        });
    }
    findings
}

/// Lines of Rust per crate (its `src` alone), and the median over all files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// Crate folder, files, lines; in the order of names.
    pub crates: Vec<(String, usize, usize)>,
    /// Over every Rust file that tidy reads, tests included.
    pub median_lines: usize,
}

/// Counts what is there.
///
/// # Errors
/// When a folder or file cannot be read: its path and why.
pub fn census(root: &Path) -> Result<Census, String> {
    let files = tree::read(root).map_err(|(path, error)| format!("{path}: {error}"))?;
    let mut crates: Vec<(String, usize, usize)> = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let Some((folder, _)) = file.path.split_once("/src/") else { continue };
        match crates.last_mut() {
            Some((name, count, lines)) if name == folder => {
                *count += 1;
                *lines += file.lines();
            }
            _ => crates.push((folder.to_owned(), 1, file.lines())),
        }
    }
    Ok(Census { crates, median_lines: shape::median(&files) })
}

#[cfg(test)]
mod tests;
