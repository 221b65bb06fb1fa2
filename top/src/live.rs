//! The live view: asked again and again, moved by keys.

use std::io;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::draw::Tab;
use crate::gather::{Snapshot, Sources, gather};
use crate::keys::Key;
use crate::picture::{Colours, Line, Span, Tone};
use crate::terminal::{Keys, Terminal};

/// Lines that are not the tab's own: the bar, a gap, the keys.
const FRAME_LINES: usize = 3;
/// Lines that a page's key scrolls.
const PAGE: usize = 10;

/// Shows what there is to see until a key ends it, or `cancel`. Standard output must be a terminal.
pub async fn live(sources: &Sources, every: Duration, colours: Colours, cancel: CancellationToken) -> io::Result<()> {
    let mut terminal = Terminal::enter(colours)?;
    let mut keys = Keys::listen();
    let mut resized = signal(SignalKind::window_change())?;
    let mut view = View::new(Snapshot::empty(OffsetDateTime::now_utc()));
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asking = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            key = keys.next() => match key {
                Some(Key::Quit) | None => return Ok(()),
                Some(key) => view.react(key),
            },
            _ = resized.recv() => {}
            // Who does not answer in time is not asked twice at once.
            _ = tick.tick() => if asking.is_empty() {
                let sources = sources.clone();
                asking.spawn(async move { gather(&sources).await });
                continue;
            },
            Some(Ok(snapshot)) = asking.join_next() => view.is_now(snapshot),
        }
        let (columns, rows) = Terminal::size();
        terminal.draw(&view.lines(columns, rows))?;
    }
}

/// What is looked at.
struct View {
    snapshot: Snapshot,
    is_first: bool,
    tab: Tab,
    /// Lines that are scrolled away.
    above: usize,
}

impl View {
    fn new(snapshot: Snapshot) -> Self {
        Self {
            snapshot,
            is_first: true,
            tab: Tab::Overview,
            above: 0,
        }
    }

    fn is_now(&mut self, snapshot: Snapshot) {
        self.snapshot = snapshot;
        self.is_first = false;
    }

    fn react(&mut self, key: Key) {
        let tab = self.tab;
        match key {
            Key::Quit => {}
            Key::Next => self.tab = tab.next(),
            Key::Previous => self.tab = tab.previous(),
            Key::View(number) => self.tab = Tab::ALL.get(number).copied().unwrap_or(tab),
            Key::Down => self.above = self.above.saturating_add(1),
            Key::Up => self.above = self.above.saturating_sub(1),
            Key::PageDown => self.above = self.above.saturating_add(PAGE),
            Key::PageUp => self.above = self.above.saturating_sub(PAGE),
            Key::Home => self.above = 0,
        }
        if self.tab != tab {
            self.above = 0;
        }
    }

    /// The picture, as high as the terminal.
    fn lines(&mut self, columns: usize, rows: usize) -> Vec<Line> {
        let room = rows.saturating_sub(FRAME_LINES);
        let content = if self.is_first {
            vec![Line::of([Span::new("Asking …", Tone::Dim)])]
        } else {
            self.tab.lines(&self.snapshot, columns)
        };
        self.above = self.above.min(content.len().saturating_sub(room));
        let below = content.len().saturating_sub(self.above + room);
        let mut lines = vec![self.tab.bar(self.snapshot.at), Line::default()];
        lines.extend(content.into_iter().skip(self.above).take(room));
        lines.resize(rows.saturating_sub(1), Line::default());
        let more = if below > 0 {
            format!("  {below} more lines")
        } else {
            String::new()
        };
        let keys = format!("q quit   tab, ← → other view   ↑ ↓ scroll{more}");
        lines.push(Line::of([Span::new(keys, Tone::Dim)]));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(view: &mut View, rows: usize) -> Vec<String> {
        let lines = view.lines(80, rows);
        lines.iter().map(|line| line.text(80, Colours::No)).collect()
    }

    fn view() -> View {
        let mut view = View::new(Snapshot::empty(OffsetDateTime::UNIX_EPOCH));
        view.is_now(Snapshot::empty(OffsetDateTime::UNIX_EPOCH));
        view
    }

    #[test]
    fn picture_is_as_high_as_the_terminal() {
        let mut view = view();
        for rows in [3, 4, 10, 40] {
            assert_eq!(texts(&mut view, rows).len(), rows);
        }
        assert!(texts(&mut view, 10)[9].starts_with("q quit"));
    }

    #[test]
    fn tabs_go_round_and_arrows_scroll_as_far_as_there_is_something() {
        let mut view = view();
        view.react(Key::Previous);
        assert_eq!(view.tab, Tab::Ended);
        view.react(Key::Next);
        assert_eq!(view.tab, Tab::Overview);
        for _ in 0..50 {
            view.react(Key::Down);
        }
        let whole = Tab::Overview.lines(&view.snapshot, 80).len();
        let seen = texts(&mut view, FRAME_LINES + 2);
        assert_eq!(view.above, whole - 2);
        assert!(!seen[4].contains("more lines"), "{seen:?}");
        view.react(Key::View(2));
        assert_eq!((view.tab, view.above), (Tab::Sessions, 0));
    }
}
