use std::fmt::{self, Display};

use anstyle::Style;

use super::DIM;

/// Between columns.
const GAP: &str = "  ";

/// Rows in columns as wide as their longest cell.
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// A cell: numbers stand at the right of their column, all else at the left.
pub struct Cell {
    text: String,
    style: Style,
    is_number: bool,
}

impl Table {
    /// No rows yet.
    pub fn new(head: impl Into<Vec<&'static str>>) -> Self {
        Self {
            head: head.into(),
            rows: Vec::new(),
        }
    }

    /// The next row, with a cell for each column.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        let cells = cells.into();
        debug_assert_eq!(cells.len(), self.head.len());
        self.rows.push(cells);
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.head.iter().map(|name| name.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        widths
    }
}

impl Cell {
    /// The same in a style.
    #[must_use]
    pub fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }

    /// A text, or a dash for none.
    pub fn or_dash(text: Option<impl Display>) -> Self {
        text.map_or_else(|| Self::from("-").styled(DIM), |text| Self::from(text.to_string()))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self {
            text,
            style: Style::new(),
            is_number: false,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self {
            text: number.to_string(),
            style: Style::new(),
            is_number: true,
        }
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self {
            text: number.to_string(),
            ..Self::from(0_u64)
        }
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let last = widths.len().saturating_sub(1);
        // A heading stands over its numbers.
        let is_number = |column: usize| self.rows.first().is_some_and(|row| row[column].is_number);
        for (column, (name, width)) in self.head.iter().zip(&widths).enumerate() {
            let gap = if column == 0 { "" } else { GAP };
            match (is_number(column), column == last) {
                (true, _) => write!(f, "{gap}{DIM}{name:>width$}{DIM:#}")?,
                (false, true) => write!(f, "{gap}{DIM}{name}{DIM:#}")?,
                (false, false) => write!(f, "{gap}{DIM}{name:<width$}{DIM:#}")?,
            }
        }
        for row in &self.rows {
            writeln!(f)?;
            for (column, (Cell { text, style, is_number }, width)) in row.iter().zip(&widths).enumerate() {
                let gap = if column == 0 { "" } else { GAP };
                match (is_number, column == last) {
                    (true, _) => write!(f, "{gap}{style}{text:>width$}{style:#}")?,
                    // No blanks at a line's end.
                    (false, true) => write!(f, "{gap}{style}{text}{style:#}")?,
                    (false, false) => write!(f, "{gap}{style}{text:<width$}{style:#}")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::GOOD;
    use super::*;

    #[test]
    fn columns_are_aligned_whatever_their_style() {
        let mut table = Table::new(["NAME", "COUNT", "STATE"]);
        table.row([Cell::from("a"), 7_u64.into(), Cell::from("fine").styled(GOOD)]);
        table.row([Cell::from("longer"), 1234_u64.into(), Cell::or_dash(None::<&str>)]);
        let plain = anstream::adapter::strip_str(&table.to_string()).to_string();
        let expected = "NAME    COUNT  STATE\na           7  fine\nlonger   1234  -";
        assert_eq!(plain, expected);
        assert_ne!(table.to_string(), plain, "styles are in the text until it is printed");
    }
}
