//! Text that must not reach a log.

use std::fmt;

use crate::codec::{Codec, Text};
use crate::document::{Node, Value};
use crate::outline::{Outline, Scalar, Shape};
use crate::reader::{Fields, Reader};

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
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Text)
    }
}

/// A [`Secret`], or a section with the `file` that holds it.
pub(crate) enum SecretOrFile {}

impl SecretOrFile {
    fn of_file(fields: &mut Fields<'_, '_>) -> Option<Secret> {
        fields.one_of(&["file"]);
        let secret = fields.content_of::<SecretText>("file");
        if !fields.written("file") {
            fields.missing(
                &["file"],
                "is missing",
                "write the text itself, or file: with the path of a file that holds it",
            );
        }
        secret
    }
}

impl Codec for SecretOrFile {
    type Value = Secret;
    const EXAMPLE: &str = "text";
    fn read(node: &Node, reader: &mut Reader) -> Option<Secret> {
        if matches!(node.value, Value::Map(_)) {
            reader.section(node, Self::of_file)
        } else {
            SecretText::read(node, reader)
        }
    }
    fn shape(name: &str) -> Shape {
        let file = Outline::of_read(name, |fields| {
            Self::of_file(fields);
        });
        Shape::Either(Scalar::Text, file)
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
