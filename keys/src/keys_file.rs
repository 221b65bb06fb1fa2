//! A file that lists private keys: `keys:` and below it hex texts, `0x` optional.

use std::path::Path;

use serde::Deserialize;

use crate::secret_text::SecretText;
use crate::{KeyFault, SigningKey, yaml};

#[derive(Deserialize)]
struct KeysFile {
    #[serde(default)]
    keys: Option<Vec<SecretText>>,
}

/// The keys of a list, and a fault for each entry that is none. An empty list is a fault.
pub(crate) fn load(path: &Path) -> (Vec<SigningKey>, Vec<KeyFault>) {
    match yaml::read(path) {
        Ok(file) => read(file),
        Err(fault) => (Vec::new(), vec![fault]),
    }
}

fn read(file: KeysFile) -> (Vec<SigningKey>, Vec<KeyFault>) {
    let texts = file.keys.unwrap_or_default();
    let (mut keys, mut faults) = (Vec::new(), Vec::new());
    if texts.is_empty() {
        faults.push(KeyFault::Missing("keys"));
    }
    for (index, text) in texts.iter().enumerate() {
        match SigningKey::from_hex(text.expose()) {
            Ok(key) => keys.push(key),
            Err(error) => faults.push(KeyFault::KeyAt { index, error }),
        }
    }
    (keys, faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Vec<SigningKey>, Vec<KeyFault>) {
        yaml::parse(text).map_or_else(|fault| (Vec::new(), vec![fault]), read)
    }

    #[test]
    fn keys_are_read_quoted_and_bare_even_if_all_digits() {
        let digits = "1".repeat(64);
        let text = format!("keys:\n  - \"0x{digits}\"\n  - {digits}\n  - 0x{digits}\nunknown: 1\n");
        let (keys, faults) = parse(&text);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(keys.len(), 3);
        assert!(keys.iter().all(|key| key.address() == keys[0].address()));
    }

    #[test]
    fn json_is_read_too() {
        let (keys, faults) = parse(&format!("{{\"keys\": [\"{}\"]}}", "ab".repeat(32)));
        assert_eq!((keys.len(), faults.len()), (1, 0));
    }

    #[test]
    fn bad_entry_is_named_by_its_index_and_the_others_are_kept() {
        let (keys, faults) = parse(&format!("keys: [\"{}\", \"beef\"]", "ab".repeat(32)));
        assert_eq!(keys.len(), 1);
        assert!(matches!(faults[..], [KeyFault::KeyAt { index: 1, .. }]), "{faults:?}");
    }

    #[test]
    fn file_without_keys_is_a_fault() {
        for text in ["keys: []", "keys:", "other: 1"] {
            assert!(matches!(parse(text).1[..], [KeyFault::Missing("keys")]), "{text}");
        }
    }

    #[test]
    fn syntax_error_tells_the_place_and_not_the_key() {
        let secret = "c5".repeat(32);
        let (keys, faults) = parse(&format!("keys:\n  - [\"{secret}\"]\n"));
        assert!(keys.is_empty());
        assert!(matches!(faults[..], [KeyFault::Syntax { line: 2, .. }]), "{faults:?}");
        assert!(!format!("{faults:?} {}", faults[0]).contains(&secret[..8]));
    }
}
