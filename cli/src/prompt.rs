//! Asking for a password at the terminal, without showing it.

use std::io::{self, IsTerminal as _, Read, Write as _};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Longest password that is taken.
const MOST: usize = 1024;

/// Whether somebody can be asked.
pub fn is_possible() -> bool {
    io::stdin().is_terminal()
}

/// Asks on standard error and reads a line from the terminal at standard input. Ctrl-C gives up.
pub fn ask(question: &str) -> io::Result<Zeroizing<String>> {
    let mut stderr = io::stderr();
    write!(stderr, "{question}")?;
    stderr.flush()?;
    let answer = {
        let _hidden = Hidden::begin()?;
        read_line(Terminal)
    };
    writeln!(stderr)?;
    answer
}

/// Standard input without the buffer of the standard library, which would keep what went through it.
struct Terminal;

impl Read for Terminal {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(io::stdin(), bytes)?)
    }
}

/// A terminal that shows nothing of what is typed, until dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        // Character by character, and Ctrl-C as one of them: a signal would leave the terminal hidden.
        hidden.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Reads to the end of the line, with the keys that every terminal has for mistakes.
fn read_line(mut from: impl Read) -> io::Result<Zeroizing<String>> {
    // Never grows: growing would leave copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MOST));
    let mut byte = Zeroizing::new([0]);
    loop {
        if from.read(&mut *byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match byte[0] {
            b'\n' | b'\r' => break,
            // Ctrl-C; Ctrl-D on an empty line.
            0x03 => return Err(io::Error::new(io::ErrorKind::Interrupted, "given up")),
            0x04 if line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            // Backspace takes a character back, Ctrl-U all of them.
            0x08 | 0x7f => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            0x15 => line.clear(),
            _ if line.len() == MOST => return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long")),
            byte => line.push(byte),
        }
    }
    match std::str::from_utf8(&line) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_can_be_taken_back() {
        let read = |typed: &str| read_line(typed.as_bytes()).map(|line| line.to_string());
        assert_eq!(read("horse\nmore").unwrap(), "horse");
        assert_eq!(read("hx\u{7f}orse\r").unwrap(), "horse");
        assert_eq!(read("a\u{e9}\u{7f}\u{7f}\u{7f}horse\n").unwrap(), "horse");
        assert_eq!(read("wrong\u{15}horse\n").unwrap(), "horse");
        assert_eq!(read("hor\u{3}").unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert_eq!(read("\u{4}").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read("hor").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(read(&"x".repeat(MOST + 1)).is_err());
    }
}
