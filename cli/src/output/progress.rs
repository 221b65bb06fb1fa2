use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Between two drawings.
const REDRAW: Duration = Duration::from_millis(100);

/// How far long work is: a line on standard error that is drawn over, and taken away at the end. Not shown where
/// standard error is no terminal.
pub struct Progress {
    what: &'static str,
    is_shown: bool,
    drawn: Option<Instant>,
}

impl Progress {
    /// `what` is counted, as `keys`.
    pub fn of(what: &'static str) -> Self {
        Self {
            what,
            is_shown: io::stderr().is_terminal(),
            drawn: None,
        }
    }

    /// So many are done, of so many if that is known.
    pub fn tell(&mut self, done: u64, of: Option<u64>) {
        if !self.is_shown || self.drawn.is_some_and(|drawn| drawn.elapsed() < REDRAW) {
            return;
        }
        self.drawn = Some(Instant::now());
        let of = of.map_or_else(String::new, |all| format!(" of {all}"));
        draw(&format!("{done}{of} {}", self.what));
    }
}

fn draw(text: &str) {
    // A terminal that went away does not end the work.
    let _ = write!(io::stderr(), "\r{text}\x1b[K");
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            draw("");
        }
    }
}
