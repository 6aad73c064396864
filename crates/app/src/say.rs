//! Lines on stderr: errors, warnings and notices, each on its own, never a reason to fail.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _, stderr};

/// Of a terminal that does not say how wide it is.
const COLUMNS_DEFAULT: usize = 80;

/// A line that is neither good nor bad.
pub(crate) fn note(line: impl Display) {
    // Whoever closed stderr does not want to hear of it.
    let _ = writeln!(stderr().lock(), "{line}");
}

/// Something that works otherwise than one might hope.
pub(crate) fn warning(line: impl Display) {
    note(format_args!("warning: {line}"));
}

/// Why a command was not done.
pub(crate) fn error(line: impl Display) {
    note(format_args!("error: {line}"));
}

/// Text that is no whole line, shown at once.
pub(crate) fn part(text: impl Display) {
    let mut stderr = stderr().lock();
    let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
}

/// Columns of the terminal that stderr is, if one may draw on it.
pub(crate) fn columns() -> Option<usize> {
    let size = is_rich().then(|| terminal_size::terminal_size_of(stderr()));
    size.map(|size| size.map_or(COLUMNS_DEFAULT, |(width, _)| usize::from(width.0)))
}

/// Whether stderr takes colours and moves of the cursor: it is a terminal, and the user has not
/// said otherwise in the way that all programs listen to (`NO_COLOR`, `TERM=dumb`).
pub(crate) fn is_rich() -> bool {
    stderr().is_terminal() && !anstyle_query::no_color() && anstyle_query::term_supports_color()
}
