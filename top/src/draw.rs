//! What stands where: everything one below the other, or one tab at a time.

use time::OffsetDateTime;

use crate::Snapshot;
use crate::picture::{Colours, Line, Span, Tone};
use crate::tables;

/// A part of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    Overview,
    Services,
    Sessions,
    Ended,
}

impl Tab {
    pub const ALL: [Self; 4] = [Self::Overview, Self::Services, Self::Sessions, Self::Ended];

    fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Services => "Services",
            Self::Sessions => "Sessions",
            Self::Ended => "Ended",
        }
    }

    /// The one after it, and after the last the first.
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// The one before it.
    pub fn previous(self) -> Self {
        Self::ALL[(self as usize + Self::ALL.len() - 1) % Self::ALL.len()]
    }

    /// What it shows.
    pub fn lines(self, snapshot: &Snapshot, width: usize) -> Vec<Line> {
        let parts = match self {
            Self::Overview => vec![
                tables::sums(snapshot),
                tables::risks(snapshot).lines(width),
                tables::processes(snapshot).lines(width),
                tables::redis(snapshot),
            ],
            Self::Services => vec![
                tables::services(snapshot).lines(width),
                tables::backends(snapshot).lines(width),
            ],
            Self::Sessions => vec![
                tables::sessions(snapshot).lines(width),
                tables::suppliers(snapshot).lines(width),
            ],
            Self::Ended => vec![tables::ends(snapshot).lines(width)],
        };
        let mut lines = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            if !lines.is_empty() {
                lines.push(Line::default());
            }
            lines.extend(part);
        }
        lines
    }

    /// The bar of all tabs, this one chosen.
    pub fn bar(self, at: OffsetDateTime) -> Line {
        let mut spans = vec![Span::new("relay-miner top", Tone::Strong), Span::plain("  ")];
        for tab in Self::ALL {
            let tone = if tab == self { Tone::Chosen } else { Tone::Plain };
            spans.extend([Span::new(format!(" {} ", tab.name()), tone), Span::plain(" ")]);
        }
        spans.push(Span::new(clock(at), Tone::Dim));
        Line::of(spans)
    }
}

fn clock(at: OffsetDateTime) -> String {
    format!("{:02}:{:02}:{:02} UTC", at.hour(), at.minute(), at.second())
}

/// Everything there is to see, as text of `width` columns.
pub fn frame(snapshot: &Snapshot, width: usize, colours: Colours) -> String {
    let title = format!("relay-miner top, {} {}", snapshot.at.date(), clock(snapshot.at));
    let mut lines = vec![Line::of([Span::new(title, Tone::Dim)])];
    for tab in Tab::ALL {
        lines.push(Line::default());
        lines.extend(tab.lines(snapshot, width));
    }
    let texts: Vec<String> = lines.iter().map(|line| line.text(width, colours)).collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests;
