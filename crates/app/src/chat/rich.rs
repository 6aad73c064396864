//! The rich front: a whole screen that follows what is said, drawn only where it changed.

mod complete;
mod editor;
mod keys;
mod palette;
mod screen;
mod status;
#[cfg(test)]
mod tests;
mod view;

use std::io::{self, BufWriter, Stdout, Write as _, stdout};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste, poll, read};
use crossterm::style::Print;
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use palette::Palette;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use screen::{Act, Screen};

use super::gauge::{Dial, Gauge};
use super::wire::{Order, Told};
use crate::fault::Fault;
use crate::open;

/// Between two pictures: about thirty a second.
const FRAME: Duration = Duration::from_millis(33);
/// How often keys and events are looked for when nothing moves.
const IDLE: Duration = Duration::from_millis(100);
/// How often numbers are looked at while something is done.
const NUMBERS: Duration = Duration::from_millis(200);

/// Some terminals send arrows for the wheel of a mouse; here they would walk through the history.
const WHEEL_IS_NO_ARROW: &str = "\x1b[?1007l";

/// What the screen is called and where it looks for files.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) directory: PathBuf,
}

/// Holds a conversation on the whole screen until somebody leaves.
pub(super) fn talk(
    place: Place,
    give: &Sender<Order>,
    hear: &Receiver<Told>,
    gauge: &Gauge,
    cancel: &AtomicBool,
) -> Result<(), Fault> {
    let palette = Palette { colours: !anstyle_query::no_color() };
    let screen = Screen::new(palette, place.name, place.directory);
    let done = Drawn::begin().and_then(|drawn| run(drawn, screen, give, hear, gauge, cancel));
    // Whatever is being done need not be done any more.
    cancel.store(true, Ordering::Relaxed);
    done.map_err(|error| Fault::failed(format!("terminal: {error}")))
}

/// The terminal as long as it is ours; given back whatever happens.
struct Drawn {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Drawn {
    fn begin() -> io::Result<Self> {
        enable_raw_mode()?;
        let mut out = BufWriter::with_capacity(1 << 16, stdout());
        let wheel = Print(WHEEL_IS_NO_ARROW);
        let begun = execute!(out, EnterAlternateScreen, EnableBracketedPaste, wheel);
        let made = begun.and_then(|()| Terminal::new(CrosstermBackend::new(out)));
        made.map(|terminal| Self { terminal }).inspect_err(|_| give_back())
    }

    fn draw(&mut self, screen: &mut Screen, dial: &Dial) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        let rss = open::peak_rss_bytes();
        self.terminal.draw(|frame| screen.draw(frame, dial, rss, Instant::now()))?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        let _ = self.terminal.show_cursor();
        give_back();
    }
}

fn give_back() {
    // A terminal that is gone needs nothing any more.
    let _ = execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen);
    let _ = disable_raw_mode();
    let _ = stdout().flush();
}

fn run(
    mut drawn: Drawn,
    mut screen: Screen,
    give: &Sender<Order>,
    hear: &Receiver<Told>,
    gauge: &Gauge,
    cancel: &AtomicBool,
) -> io::Result<()> {
    let (mut changed, mut last) = (true, None::<Instant>);
    let mut dial = gauge.look();
    loop {
        loop {
            match hear.try_recv() {
                Ok(told) => {
                    screen.hear(told);
                    changed = true;
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        let since = last.map_or(Duration::MAX, |last| last.elapsed());
        if since >= NUMBERS && gauge.look() != dial {
            changed = true;
        }
        if changed && since >= FRAME {
            dial = gauge.look();
            drawn.draw(&mut screen, &dial)?;
            (changed, last) = (false, Some(Instant::now()));
        }
        if !poll(if changed || screen.busy { FRAME } else { IDLE })? {
            continue;
        }
        changed = true;
        match screen.event(read()?) {
            Act::Nothing => {}
            Act::Give(order) => {
                if give.send(order).is_err() {
                    return Ok(());
                }
            }
            Act::Stop => {
                cancel.store(true, Ordering::Relaxed);
                if screen.asking.is_some() {
                    let no = screen.decide(super::wire::Decision::No);
                    if let Act::Give(order) = no {
                        // Whoever asked is gone only with the conversation.
                        let _ = give.send(order);
                    }
                }
            }
            Act::Leave => return Ok(()),
            Act::Repaint => drawn.terminal.clear()?,
        }
    }
}
