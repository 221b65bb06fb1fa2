//! What can be wrong with a configuration: every problem names its key, where it was written, and what to do.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A place in the file, both counted from 1.
    File {
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
    /// A value given beside the file: `environment variable REDIS_URL`, `flag --redis-url`.
    Given(Arc<str>),
    /// Nowhere: the file does not mention it.
    Absent,
}

/// The kinds of problem, for callers that count or test them; the sentence is in [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The text is not YAML, or uses what a configuration may not (several documents, endless nesting).
    Syntax,
    /// A key that this file does not have.
    UnknownKey,
    /// A key written twice in one section.
    DuplicateKey,
    /// A required key that is missing or empty.
    Missing,
    /// A value of another type than the key's.
    WrongType,
    /// A value of the right type that cannot be: out of range, malformed, or against another key.
    Impossible,
    /// `${NAME}` names a variable that is not set, or is malformed.
    Variable,
}

/// One thing to repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind it is.
    pub kind: ProblemKind,
    /// The full key, such as `services.eth.backends.jsonrpc.url`; empty for the file as a whole.
    pub key: String,
    /// Where the value (or, when it is missing, its section) was written.
    pub origin: Origin,
    /// What is wrong, without a full stop.
    pub what: String,
    /// What to do about it, without a full stop.
    pub remedy: String,
}

impl fmt::Display for Problem {
    /// `12:5: services.eth.backends: unknown backend "ws"; did you mean "websocket"?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File { line, column } => write!(f, "{line}:{column}: ")?,
            Origin::Given(source) => write!(f, " {source}: ")?,
            Origin::Absent => f.write_str(" ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// All problems of one file, in the order of the file as far as they have a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file's name, as it was given.
    pub file: String,
    /// At least one.
    pub found: Vec<Problem>,
}

impl fmt::Display for Problems {
    /// One problem a line, each starting with `file:line:column:` as compilers write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.found.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{problem}", self.file)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file was read and has to be repaired.
    #[error(transparent)]
    Invalid(#[from] Problems),
}

impl ConfigError {
    /// The problems found in the text; none when it could not be read.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Invalid(problems) => &problems.found,
        }
    }
}
