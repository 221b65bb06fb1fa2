//! Asking before something is deleted.

use std::io::{self, Write as _};

/// Shows `question` on standard error and reads a line of standard input; whether it is `answer`.
pub fn confirmed(question: &str, answer: &str) -> io::Result<bool> {
    let mut error = anstream::stderr();
    write!(error, "{question}\nType {answer} to go on: ")?;
    error.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim() == answer)
}
