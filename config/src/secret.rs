//! Text that must not reach a log.

use std::fmt;

use crate::codec::{Codec, Text};
use crate::document::Node;
use crate::reader::Reader;

/// A password or token. `Debug` shows that there is one, not which.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A key that holds a [`Secret`].
pub(crate) enum SecretText {}

impl Codec for SecretText {
    type Value = Secret;
    const EXAMPLE: &str = "text";
    fn read(node: &Node, reader: &mut Reader) -> Option<Secret> {
        Text::read(node, reader).map(Secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_not_shown_by_debug() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
    }
}
