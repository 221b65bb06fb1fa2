use std::io::{self, Write};

use pocket_protocol::Height;

use crate::show::Scene;

const BAR_WIDTH: usize = 24;

/// Shows a run while it goes on: redrawn in place on a terminal, a line a block otherwise.
pub struct View<W> {
    out: W,
    is_terminal: bool,
    relays: u64,
    first: Option<Height>,
    drawn_lines: usize,
    shown: Height,
}

impl<W: Write> View<W> {
    /// For a run of so many relays.
    pub fn new(out: W, is_terminal: bool, relays: u64) -> Self {
        Self {
            out,
            is_terminal,
            relays,
            first: None,
            drawn_lines: 0,
            shown: Height(0),
        }
    }

    /// Shows the scene.
    pub fn show(&mut self, scene: &Scene) -> io::Result<()> {
        if self.is_terminal {
            return self.redraw(scene);
        }
        if scene.height > self.shown {
            self.shown = scene.height;
            writeln!(self.out, "{}", line(scene))?;
        }
        Ok(())
    }

    fn redraw(&mut self, scene: &Scene) -> io::Result<()> {
        let picture = self.picture(scene);
        if self.drawn_lines > 0 {
            // Back to the picture's first line.
            write!(self.out, "\x1b[{}A", self.drawn_lines)?;
        }
        for line in &picture {
            // A line that became shorter leaves nothing of the old one behind.
            writeln!(self.out, "{line}\x1b[K")?;
        }
        self.drawn_lines = picture.len();
        self.out.flush()
    }

    fn picture(&mut self, scene: &Scene) -> Vec<String> {
        let first = *self.first.get_or_insert(scene.height);
        let (tally, session) = (&scene.tally, &scene.session);
        let (done, all) = (scene.height.0 - first.0, (scene.curtain.0 - first.0).max(1));
        let filled = (done.max(0) as usize * BAR_WIDTH / all as usize).min(BAR_WIDTH);
        let bar = format!("{}{}", "█".repeat(filled), "░".repeat(BAR_WIDTH - filled));
        let row = |name: &str, value: String| format!("  \x1b[2m{name:<9}\x1b[0m{value}");
        let refused = match tally.refused {
            0 => String::new(),
            refused => format!(", {refused} without an answer"),
        };
        vec![
            row("block", format!("{} of {}  {bar}", scene.height, scene.curtain)),
            row(
                "session",
                format!("{}, blocks {} to {}", session.number, session.start, session.end),
            ),
            row(
                "relays",
                format!("{} of {} answered{refused}", tally.answered, self.relays),
            ),
            row("mined", format!("{}", tally.mined)),
            row(
                "claims",
                format!(
                    "{} accepted, {} settled, {} relays",
                    tally.claims, tally.settled, tally.claimed
                ),
            ),
            row("proofs", format!("{} accepted", tally.proofs_accepted)),
            row("earned", format!("\x1b[1m{}\x1b[0m", tally.earned)),
        ]
    }
}

fn line(scene: &Scene) -> String {
    let tally = &scene.tally;
    format!(
        "block {:>4}  answered {:>6}  mined {:>6}  claims {:>3}  proofs {:>3}  settled {:>3}  earned {}",
        scene.height, tally.answered, tally.mined, tally.claims, tally.proofs_accepted, tally.settled, tally.earned
    )
}

#[cfg(test)]
mod tests {
    use pocket_protocol::{SessionBounds, Upokt};

    use super::*;
    use crate::Tally;

    fn scene(height: i64) -> Scene {
        Scene {
            height: Height(height),
            session: SessionBounds {
                number: 1,
                start: Height(1),
                end: Height(10),
            },
            sessions: 1,
            curtain: Height(20),
            tally: Tally {
                answered: 7,
                earned: Upokt(490),
                ..Tally::default()
            },
            by_type: crate::TypeTallies::new(),
        }
    }

    fn shown(is_terminal: bool, heights: &[i64]) -> String {
        let mut out = Vec::new();
        let mut view = View::new(&mut out, is_terminal, 9);
        for height in heights {
            view.show(&scene(*height)).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn file_gets_one_line_a_block_and_no_control_characters() {
        let text = shown(false, &[4, 4, 5]);
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("earned 490") && !text.contains('\x1b'), "{text}");
    }

    #[test]
    fn terminal_is_drawn_over() {
        let (once, twice) = (shown(true, &[4]), shown(true, &[4, 5]));
        let lines = once.lines().count();
        assert!(once.contains("7 of 9 answered"), "{once}");
        assert_eq!(twice.lines().count(), 2 * lines);
        assert!(twice.contains(&format!("\x1b[{lines}A")), "{twice}");
    }
}
