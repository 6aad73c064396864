//! Progress of work that takes over a second: a bar on a terminal, a plain line now and then elsewhere.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{say, size};

/// Work that takes less shows nothing.
const QUIET: Duration = Duration::from_secs(1);
/// Between two lines that stay.
const PAUSE: Duration = Duration::from_secs(5);
/// Between two pictures of the bar.
const FRAME: Duration = Duration::from_millis(100);
/// Places of the bar.
const BAR_WIDTH: usize = 30;
/// Room at the end of a terminal's line for the `^C` that it shows: it must not begin a new one.
const MARGIN: usize = 3;
/// Moves to the beginning of the line and empties it.
const CLEAR: &str = "\r\x1b[2K";

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Tokens,
    Cases,
}

impl Unit {
    fn shown(self, done: u64, total: u64) -> String {
        match self {
            Self::Bytes => format!("{} of {}", size::shown(done), size::shown(total)),
            Self::Tokens => format!("{done} of {total} tokens"),
            Self::Cases => format!("{done} of {total} cases"),
        }
    }
}

/// The progress of one piece of work; any thread may tell it.
pub(crate) struct Progress {
    what: &'static str,
    unit: Unit,
    /// Columns of the terminal; `None` where there is none to draw on.
    columns: Option<usize>,
    start: Instant,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    /// When something was last shown.
    last: Option<Instant>,
    /// Whether a bar is on the screen.
    bar: bool,
}

impl Progress {
    pub(crate) fn new(what: &'static str, unit: Unit) -> Self {
        let (columns, shown) = (say::columns(), Mutex::default());
        Self { what, unit, columns, start: Instant::now(), shown }
    }

    /// Says how much is done: counts for people, and the share of the work from 0 to 1.
    pub(crate) fn tell(&self, done: u64, total: u64, share: f64) {
        let now = Instant::now();
        if now.duration_since(self.start) < QUIET {
            return;
        }
        let mut shown = self.shown();
        let pause = if self.columns.is_some() { FRAME } else { PAUSE };
        if !is_due(shown.last, now, pause) {
            return;
        }
        shown.last = Some(now);
        let text = self.unit.shown(done, total);
        match self.columns {
            Some(columns) => {
                shown.bar = true;
                say::part(format_args!("{CLEAR}{}", bar(self.what, share, &text, columns)));
            }
            None => say::note(format_args!("{}: {text} ({:.0} %)", self.what, share * 100.0)),
        }
    }

    /// Takes away what is on the screen.
    pub(crate) fn clear(&self) {
        if std::mem::take(&mut self.shown().bar) {
            say::part(CLEAR);
        }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        // Whoever panicked while it held the lock left nothing half done that matters here.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line that fits into so many columns.
fn bar(what: &str, share: f64, text: &str, columns: usize) -> String {
    let full = (share.clamp(0.0, 1.0) * BAR_WIDTH as f64) as usize;
    let (full, rest) = ("=".repeat(full), " ".repeat(BAR_WIDTH - full));
    let line = format!("{what} [{full}{rest}] {text}");
    line.chars().take(columns.saturating_sub(MARGIN)).collect()
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn is_due(last: Option<Instant>, now: Instant, pause: Duration) -> bool {
    last.is_none_or(|last| now.duration_since(last) >= pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_for_people() {
        assert_eq!(Unit::Bytes.shown(1 << 20, 3 << 30), "1.00 MiB of 3.00 GiB", "bytes");
        assert_eq!(Unit::Tokens.shown(3, 400), "3 of 400 tokens", "tokens");
        assert_eq!(Unit::Cases.shown(3, 400), "3 of 400 cases", "cases");
    }

    #[test]
    fn what_is_shown_again_is_shown_after_a_pause() {
        let now = Instant::now();
        assert!(is_due(None, now, PAUSE), "the first");
        assert!(!is_due(Some(now), now + PAUSE / 2, PAUSE), "too soon");
        assert!(is_due(Some(now), now + PAUSE, PAUSE), "after a while");
    }

    #[test]
    fn a_bar_fits_into_its_line() {
        let half = "loading [===============               ] 1 of 2";
        assert_eq!(bar("loading", 0.5, "1 of 2", 80), half, "half");
        assert_eq!(bar("loading", 7.0, "", 80).matches('=').count(), BAR_WIDTH, "never more");
        assert_eq!(bar("loading", 0.5, "1 of 2", 12), "loading [", "a narrow terminal");
        assert_eq!(bar("loading", 0.5, "1 of 2", 0), "", "no terminal worth the name");
    }
}
