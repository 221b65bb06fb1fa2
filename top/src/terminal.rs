//! The terminal: taken over while it is drawn on, and given back as it was.

use std::io::{self, Stdout, Write as _, stdin, stdout};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::keys::{self, Key};
use crate::picture::{Colours, Line};

/// Another screen, whose content nobody misses, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// A terminal that is drawn on; dropped, it is as it was.
pub(crate) struct Terminal {
    out: Stdout,
    colours: Colours,
    before: Termios,
}

impl Terminal {
    /// Takes the terminal over: keys come one by one and are not shown. Control and C still interrupts.
    pub fn enter(colours: Colours) -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut ours = before.clone();
        ours.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        // A read gives what there is after a tenth of a second, be it nothing.
        ours.special_codes[SpecialCodeIndex::VMIN] = 0;
        ours.special_codes[SpecialCodeIndex::VTIME] = 1;
        tcsetattr(stdin(), OptionalActions::Now, &ours)?;
        let mut this = Self {
            out: io::stdout(),
            colours,
            before,
        };
        this.out.write_all(ENTER.as_bytes())?;
        Ok(this)
    }

    /// Columns and rows.
    pub fn size() -> (usize, usize) {
        match tcgetwinsize(stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
            _ => (80, 24),
        }
    }

    /// Draws these lines, the first at the top. Nothing flickers: each is drawn over what stood there.
    pub fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let (columns, rows) = Self::size();
        self.out
            .write_all(over(lines, columns, rows, self.colours).as_bytes())?;
        self.out.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing can be done if the terminal is gone.
        let _ = self.out.write_all(LEAVE.as_bytes()).and_then(|()| self.out.flush());
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// What draws lines over whatever a terminal shows.
fn over(lines: &[Line], columns: usize, rows: usize, colours: Colours) -> String {
    let mut text = String::from("\x1b[H");
    for (row, line) in lines.iter().take(rows).enumerate() {
        if row > 0 {
            text.push_str("\r\n");
        }
        text.extend([&*line.text(columns, colours), "\x1b[K"]);
    }
    text.push_str("\x1b[J");
    text
}

/// Keys, for as long as they are waited for.
pub(crate) struct Keys {
    pressed: mpsc::Receiver<Key>,
    stop: CancellationToken,
}

impl Keys {
    /// Starts to wait for them, on a thread that may block for a tenth of a second. The terminal must be taken over.
    pub fn listen() -> Self {
        let (found, pressed) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::task::spawn_blocking(move || {
            let mut bytes = [0; 64];
            while !stopped.is_cancelled() {
                let Ok(count) = rustix::io::read(stdin(), &mut bytes) else {
                    return;
                };
                if keys::of(&bytes[..count]).any(|key| found.blocking_send(key).is_err()) {
                    return;
                }
            }
        });
        Self { pressed, stop }
    }

    /// The next one; `None` when there will be no more.
    pub async fn next(&mut self) -> Option<Key> {
        self.pressed.recv().await
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Span;

    #[test]
    fn lines_are_drawn_over_what_stood_there_and_no_more_than_fit() {
        let lines = ["one", "two", "three"].map(|text| Line::of([Span::plain(text)]));
        assert_eq!(over(&lines, 4, 2, Colours::No), "\x1b[Hone\x1b[K\r\ntwo\x1b[K\x1b[J");
        assert!(over(&lines, 4, 9, Colours::No).ends_with("thr…\x1b[K\x1b[J"));
    }
}
