//! Lines of coloured text, and tables that make them.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// How a piece of text is to be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// Less important.
    Dim,
    /// More important.
    Strong,
    /// All is well.
    Good,
    /// Look at it.
    Warn,
    /// Act.
    Bad,
    /// Chosen.
    Chosen,
}

impl Tone {
    fn escape(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\x1b[2m",
            Self::Strong => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[1;31m",
            Self::Chosen => "\x1b[7m",
        }
    }
}

/// Whether lines are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// For a terminal.
    Yes,
    /// For everything else.
    No,
}

/// A piece of text in one tone. It holds nothing that moves a terminal's cursor, whoever wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    text: String,
    tone: Tone,
}

impl Span {
    /// A text, cleaned of what does not stand for itself.
    pub fn new<'a>(text: impl Into<Cow<'a, str>>, tone: Tone) -> Self {
        let text = text.into();
        let clean = |letter: char| if is_unseen(letter) { '·' } else { letter };
        let text = if text.chars().any(is_unseen) {
            text.chars().map(clean).collect()
        } else {
            text.into_owned()
        };
        Self { text, tone }
    }

    /// In no special tone.
    pub fn plain<'a>(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(text, Tone::Plain)
    }

    fn width(&self) -> usize {
        self.text.width()
    }
}

/// Control characters, and those that turn the direction of what follows or have no width.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A line of the picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<Span>);

impl Line {
    /// Of these pieces.
    pub fn of(spans: impl IntoIterator<Item = Span>) -> Self {
        Self(spans.into_iter().collect())
    }

    /// As text of at most `width` columns; what does not fit is cut, which shows.
    pub fn text(&self, width: usize, colours: Colours) -> String {
        let whole: usize = self.0.iter().map(Span::width).sum();
        let mut room = if whole > width { width.saturating_sub(1) } else { width };
        let mut line = String::new();
        for span in &self.0 {
            let fitting = fitting(&span.text, room);
            room -= fitting.width();
            if colours == Colours::Yes && span.tone != Tone::Plain && !fitting.is_empty() {
                line.extend([span.tone.escape(), fitting, "\x1b[0m"]);
            } else {
                line.push_str(fitting);
            }
            if fitting.len() < span.text.len() {
                break;
            }
        }
        if whole > width && width > 0 {
            line.push('…');
        }
        line.truncate(line.trim_end_matches(' ').len());
        line
    }
}

/// The beginning of a text that is not wider than `room`.
fn fitting(text: &str, room: usize) -> &str {
    let mut width = 0;
    for (at, letter) in text.char_indices() {
        width += letter.width().unwrap_or(0);
        if width > room {
            return &text[..at];
        }
    }
    text
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    name: &'static str,
    is_number: bool,
    is_needed: bool,
}

impl Column {
    /// Of texts.
    pub const fn text(name: &'static str) -> Self {
        Self {
            name,
            is_number: false,
            is_needed: true,
        }
    }

    /// Of numbers, which stand to the right.
    pub const fn number(name: &'static str) -> Self {
        Self {
            is_number: true,
            ..Self::text(name)
        }
    }

    /// Left out where there is too little room.
    pub const fn if_it_fits(self) -> Self {
        Self {
            is_needed: false,
            ..self
        }
    }
}

/// Rows under headings.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub title: String,
    pub columns: Vec<Column>,
    /// As many pieces as columns.
    pub rows: Vec<Vec<Span>>,
    /// What stands there when there are no rows.
    pub empty: &'static str,
}

impl Table {
    const GAP: usize = 2;
    /// A text in the last column may be wrapped to no less.
    const NARROWEST: usize = 24;

    /// The table's lines, its title first, with those columns that fit into `width`. Texts in the last column go on below.
    pub fn lines(&self, width: usize) -> Vec<Line> {
        let mut lines = vec![Line::of([Span::new(self.title.as_str(), Tone::Strong)])];
        if self.rows.is_empty() {
            lines.push(Line::of([Span::new(format!("  {}", self.empty), Tone::Dim)]));
            return lines;
        }
        let shown = self.fitting(width);
        let head = |at: usize| Span::new(self.columns[at].name, Tone::Dim);
        lines.push(self.line(&shown, shown.iter().map(|(at, _)| head(*at))));
        for row in &self.rows {
            let parts = match shown.last() {
                Some((at, width)) if row[*at].width() > *width => wrapped(&row[*at], *width),
                Some((at, _)) => vec![row[*at].clone()],
                None => Vec::new(),
            };
            for (number, part) in parts.into_iter().enumerate() {
                let others = shown.iter().take(shown.len() - 1);
                let others = others.map(|(at, _)| if number == 0 { row[*at].clone() } else { Span::default() });
                lines.push(self.line(&shown, others.chain([part])));
            }
        }
        lines
    }

    /// The columns that fit, with their widths; the last one's is what is left for it.
    fn fitting(&self, width: usize) -> Vec<(usize, usize)> {
        let natural = |at: usize| {
            let cells = self.rows.iter().map(|row| row[at].width());
            cells.max().unwrap_or(0).max(self.columns[at].name.width())
        };
        let mut shown: Vec<(usize, usize)> = (0..self.columns.len()).map(|at| (at, natural(at))).collect();
        loop {
            let before: usize = shown.iter().rev().skip(1).map(|(_, width)| width + Self::GAP).sum();
            let left = width.saturating_sub(before + Self::GAP);
            let Some((at, last)) = shown.last_mut() else { break };
            if !self.columns[*at].is_number && left >= Self::NARROWEST {
                *last = left.min(*last);
            }
            let dropped = shown.iter().rposition(|(at, _)| !self.columns[*at].is_needed);
            match dropped {
                Some(dropped) if shown.last().is_some_and(|(_, last)| *last > left) => shown.remove(dropped),
                _ => break,
            };
        }
        shown
    }

    fn line(&self, shown: &[(usize, usize)], cells: impl Iterator<Item = Span>) -> Line {
        let mut spans = Vec::with_capacity(shown.len() * 3);
        for (number, ((column, width), cell)) in shown.iter().zip(cells).enumerate() {
            let padding = Span::plain(" ".repeat(width.saturating_sub(cell.width())));
            spans.push(Span::plain(" ".repeat(Self::GAP)));
            if self.columns[*column].is_number {
                spans.extend([padding, cell]);
            } else if number + 1 < shown.len() {
                spans.extend([cell, padding]);
            } else {
                spans.push(cell);
            }
        }
        Line(spans)
    }
}

/// A text in pieces that are not wider than `width`, but for words that are.
fn wrapped(span: &Span, width: usize) -> Vec<Span> {
    let mut pieces: Vec<String> = Vec::new();
    for word in span.text.split(' ') {
        match pieces.last_mut() {
            Some(piece) if piece.width() + 1 + word.width() <= width => {
                piece.push(' ');
                piece.push_str(word);
            }
            _ => pieces.push(word.to_owned()),
        }
    }
    let tone = span.tone;
    pieces.into_iter().map(|text| Span { text, tone }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row =
            |name: &str, number: &str, note: &str| vec![Span::plain(name), Span::plain(number), Span::plain(note)];
        Table {
            title: "Things".to_owned(),
            columns: vec![
                Column::text("name"),
                Column::number("number"),
                Column::text("note").if_it_fits(),
            ],
            rows: vec![row("a", "7", "first"), row("longer", "1,000", "")],
            empty: "None.",
        }
    }

    fn text(lines: &[Line], width: usize) -> Vec<String> {
        lines.iter().map(|line| line.text(width, Colours::No)).collect()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_numbers_stand_right() {
        let expected = [
            "Things",
            "  name    number  note",
            "  a            7  first",
            "  longer   1,000",
        ];
        assert_eq!(text(&table().lines(80), 80), expected);
    }

    #[test]
    fn last_column_goes_on_below() {
        let mut table = table();
        table.rows[0][2] = Span::plain("it is a long story that begins here");
        let expected = [
            "Things",
            "  name    number  note",
            "  a            7  it is a long story that",
            "                  begins here",
            "  longer   1,000",
        ];
        assert_eq!(text(&table.lines(44), 44), expected);
    }

    #[test]
    fn columns_that_are_not_needed_go_first_and_the_rest_is_cut() {
        assert_eq!(text(&table().lines(20), 20)[1], "  name    number");
        assert_eq!(text(&table().lines(10), 10)[3], "  longer …");
        assert_eq!(text(&table().lines(0), 0)[3], "");
    }

    #[test]
    fn foreign_text_cannot_move_the_cursor_or_turn_the_line() {
        let span = Span::new("a\x1b[2Jb\n\u{202e}c\u{9b}", Tone::Bad);
        assert_eq!(Line::of([span]).text(80, Colours::No), "a·[2Jb··c·");
    }

    #[test]
    fn wide_letters_count_for_two() {
        let line = Line::of([Span::plain("日本語"), Span::plain("x")]);
        assert_eq!(line.text(7, Colours::No), "日本語x");
        assert_eq!(line.text(6, Colours::No), "日本…");
    }

    #[test]
    fn tones_are_for_terminals() {
        let line = Line::of([Span::new("bad", Tone::Bad)]);
        assert_eq!(line.text(80, Colours::No), "bad");
        assert_eq!(line.text(80, Colours::Yes), "\x1b[1;31mbad\x1b[0m");
    }
}
