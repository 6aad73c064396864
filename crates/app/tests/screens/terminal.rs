//! A terminal of a known size, and what is on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::played::ROLE;

/// Whatever takes longer will not come: machines may be slow and stop for a while.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

/// The tmux that is here.
pub(crate) fn version() -> Result<String, String> {
    let ran = Command::new("tmux").arg("-V").output();
    let ran = ran.map_err(|error| format!("tmux cannot be run: {error}"))?;
    Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
}

/// A terminal with `chat` on it. A server of its own, so that nobody's settings matter.
pub(crate) struct Terminal {
    socket: String,
    folder: tempfile::TempDir,
}

impl Terminal {
    /// An empty folder, and no program yet.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let socket = format!("flash-moe-screens-{}-{count}", std::process::id());
        Self { socket, folder: tempfile::tempdir().expect("temporary directory") }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts `chat` on a terminal of this size. Sessions lie in the folder.
    pub(crate) fn start(&self, width: u16, height: u16, arguments: &str) {
        let program = std::env::current_exe().expect("this test");
        let command = format!(
            "exec env -u NO_COLOR {} {ROLE} --temp 0 --sessions sessions {arguments}",
            program.display()
        );
        let (width, height) = (width.to_string(), height.to_string());
        let size = ["-x", &width, "-y", &height, "-c", &self.folder.path().display().to_string()];
        let new = ["-f", "/dev/null", "-u", "new-session", "-d"];
        let arguments = [&new[..], &size[..], &[&command]].concat();
        // A server that lost its last terminal takes a moment to go, and takes no new one meanwhile.
        let start = Instant::now();
        while !self.try_tmux(&arguments).status.success() {
            assert!(start.elapsed() < PATIENCE, "tmux {arguments:?}");
            std::thread::sleep(LOOK);
        }
        self.wait_until_ready();
    }

    pub(crate) fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Types a text as it is.
    pub(crate) fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Pastes a text as terminals do, in brackets.
    pub(crate) fn pastes(&self, text: &str) {
        let file = self.folder.path().join("pasted");
        fs::write(&file, text).expect("write");
        self.tmux(&["load-buffer", &file.display().to_string()]);
        self.tmux(&["paste-buffer", "-p"]);
    }

    pub(crate) fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        self.tmux(&["resize-window", "-x", &width, "-y", &height]);
    }

    /// Ends the program as nothing it can prevent.
    pub(crate) fn kill_9(&self) {
        let told = self.tmux(&["list-panes", "-F", "#{pane_pid}"]);
        let pid = String::from_utf8_lossy(&told.stdout).trim().to_owned();
        let sent = Command::new("kill").args(["-9", &pid]).status().expect("kill runs");
        assert!(sent.success(), "the signal was sent to {pid}");
        self.wait_over();
    }

    /// What is on the screen now.
    pub(crate) fn screen(&self) -> String {
        String::from_utf8(self.tmux(&["capture-pane", "-p"]).stdout).expect("UTF-8")
    }

    /// The title that the program gave the terminal, if it did.
    pub(crate) fn title(&self) -> String {
        let told = self.tmux(&["display-message", "-p", "#{pane_title}"]);
        String::from_utf8_lossy(&told.stdout).into_owned()
    }

    /// Waits until the program has ended.
    pub(crate) fn wait_over(&self) {
        let start = Instant::now();
        while self.try_tmux(&["has-session"]).status.success() {
            assert!(start.elapsed() < PATIENCE, "it is still there");
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until a text is on the screen, and returns that screen.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait(&format!("{text:?}"), |screen| screen.contains(text))
    }

    /// Waits until the next message can be sent, and nothing moves any more.
    pub(crate) fn wait_until_ready(&self) -> String {
        let mut last = String::new();
        self.wait("a screen at rest", |screen| {
            let rests =
                screen.lines().any(|line| !line.is_empty() && line.chars().all(|c| c == '─'));
            let same = screen == last;
            screen.clone_into(&mut last);
            rests && same
        })
    }

    pub(crate) fn wait(&self, what: &str, mut is_it: impl FnMut(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if is_it(&screen) {
                return screen;
            }
            assert!(start.elapsed() < PATIENCE, "no {what} on\n{screen}");
            std::thread::sleep(LOOK);
        }
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let ran = self.try_tmux(arguments);
        assert!(ran.status.success(), "tmux {arguments:?}: {ran:?}");
        ran
    }

    fn try_tmux(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.socket]).args(arguments);
        command.output().expect("tmux runs")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.try_tmux(&["kill-server"]);
    }
}

/// Screens in one file, each under a line that says what happened before.
pub(crate) struct Recording {
    name: &'static str,
    bless: bool,
    pictures: String,
}

impl Recording {
    pub(crate) fn new(name: &'static str, bless: bool) -> Self {
        Self { name, bless, pictures: String::new() }
    }

    pub(crate) fn picture(&mut self, what: &str, screen: &str) {
        self.pictures.push_str(&format!("=== {what}\n"));
        for line in screen.lines() {
            self.pictures.push_str(normal(line).trim_end());
            self.pictures.push('\n');
        }
    }

    /// Holds all pictures against the file, or writes it.
    pub(crate) fn compare(self) -> Result<(), String> {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens/golden");
        let path: PathBuf = golden.join(self.name).with_extension("txt");
        if self.bless {
            return fs::write(&path, &self.pictures).map_err(|error| error.to_string());
        }
        let wanted =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        if wanted == self.pictures {
            return Ok(());
        }
        let differs = wanted.lines().zip(self.pictures.lines()).position(|(a, b)| a != b);
        let at = differs.map_or_else(|| "its end".to_owned(), |line| format!("line {}", line + 1));
        Err(format!("{} differs at {at}; seen was\n{}", path.display(), self.pictures))
    }
}

/// A line without what is another every time: speeds, memory, progress, dates.
fn normal(line: &str) -> String {
    let measured = [" tok/s", "reading ", "session "];
    if !measured.iter().any(|word| line.contains(word)) {
        return line.to_owned();
    }
    let mut out = String::new();
    for letter in line.chars() {
        let letter = match letter {
            '0'..='9' | '.' | ',' | '█' | '░' => '#',
            other => other,
        };
        if letter != '#' || !out.ends_with('#') {
            out.push(letter);
        }
    }
    // The rule is as long as what stands in it leaves.
    let kept = out.trim_end_matches(['─', ' ']).len();
    out.truncate(kept);
    let unit = [" KiB", " MiB", " GiB", " B ", " min # s", "- GB/s"];
    unit.iter().fold(out, |out, unit| out.replace(unit, " ~ "))
}
