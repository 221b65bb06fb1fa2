//! How results reach people and programs: a text with colours on a terminal alone, or JSON.
//!
//! A command that has a result makes it a type with [`Serialize`] and [`Display`](fmt::Display) and hands it to
//! [`Output::print`]. Its text may use the styles of this module freely: they are taken out where standard output is no
//! terminal, or where `NO_COLOR` is set. What is not the result (progress, warnings, questions) goes to standard error.

mod progress;
mod table;

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

pub use progress::Progress;
pub use table::{Cell, Table};

/// A heading, or the one number that matters.
pub const BOLD: Style = Style::new().bold();
/// What names the rest.
pub const DIM: Style = Style::new().dimmed();
/// As it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Soon not as it should be.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// Not as it should be.
pub const BAD: Style = AnsiColor::Red.on_default().bold();

/// For whom a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Where results go, and in what form.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    format: Format,
}

impl Output {
    /// As `--output` says.
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// JSON if `wanted`, whatever `--output` says: for options of the Go peer that ask for it too.
    #[must_use]
    pub fn or_json(self, wanted: bool) -> Self {
        if wanted { Self::new(Format::Json) } else { self }
    }

    /// Whether a program reads the result.
    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Prints a result on standard output: its text, or its JSON, indented if a person looks at it all the same.
    pub fn print<T: Serialize + fmt::Display + ?Sized>(self, result: &T) -> io::Result<()> {
        let text = match self.format {
            Format::Text => result.to_string(),
            Format::Json if io::stdout().is_terminal() => serde_json::to_string_pretty(result)?,
            Format::Json => serde_json::to_string(result)?,
        };
        write(text.trim_end_matches('\n'))
    }

    /// Prints one of many results that come one after the other; in JSON each is one line.
    pub fn print_next<T: Serialize + fmt::Display + ?Sized>(self, result: &T) -> io::Result<()> {
        match self.format {
            Format::Text => write(&result.to_string()),
            Format::Json => write(&serde_json::to_string(result)?),
        }
    }
}

/// A reader that went away, as `head` does, is no error.
fn write(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
