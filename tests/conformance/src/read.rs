//! Reading the fields of a case. A missing or malformed field is an error that names it.

use serde_json::Value;

/// The text of a field.
pub fn text<'a>(case: &'a Value, key: &str) -> Result<&'a str, String> {
    case[key]
        .as_str()
        .ok_or_else(|| format!("field {key} is missing or no text"))
}

/// The bytes of a hex field.
pub fn bytes(case: &Value, key: &str) -> Result<Vec<u8>, String> {
    hex::decode(text(case, key)?).map_err(|error| format!("field {key}: {error}"))
}

/// The bytes of a hex field of known length.
pub fn array<const N: usize>(case: &Value, key: &str) -> Result<[u8; N], String> {
    bytes(case, key)?
        .try_into()
        .map_err(|found: Vec<u8>| format!("field {key} has {} bytes, not {N}", found.len()))
}

/// A number, written as a JSON number or as decimal text.
pub fn number<T: std::str::FromStr>(case: &Value, key: &str) -> Result<T, String> {
    let value = &case[key];
    let written = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    written
        .parse()
        .map_err(|_| format!("field {key}: {written} is not a number of the wanted kind"))
}

/// A boolean field.
pub fn flag(case: &Value, key: &str) -> Result<bool, String> {
    case[key]
        .as_bool()
        .ok_or_else(|| format!("field {key} is missing or no boolean"))
}

/// An error that shows both sides unless they are equal.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: T, theirs: T) -> Result<(), String> {
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{what}: ours {ours:?}, expected {theirs:?}"))
    }
}
