//! YAML whose errors tell a place, never the text at it.

use std::path::Path;

use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::KeyFault;

/// Reads a file as YAML, of which JSON is a part. The file's text is wiped afterwards.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, KeyFault> {
    parse(&Zeroizing::new(std::fs::read_to_string(path)?))
}

/// The parser's own message may quote the input, so only its place is kept.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, KeyFault> {
    serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location();
        KeyFault::Syntax {
            line: place.map_or(0, |place| place.line()),
            column: place.map_or(0, |place| place.column()),
        }
    })
}
