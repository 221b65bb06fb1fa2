//! Keys, from the bytes that terminals send for them.

/// A key that does something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Quit,
    /// The view to the right.
    Next,
    /// The view to the left.
    Previous,
    /// The view of this number, from 0.
    View(usize),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
}

/// What the bytes of one read stand for; whatever means nothing here is skipped.
pub(crate) fn of(mut bytes: &[u8]) -> impl Iterator<Item = Key> {
    std::iter::from_fn(move || {
        while !bytes.is_empty() {
            let (key, rest) = first(bytes);
            bytes = rest;
            if key.is_some() {
                return key;
            }
        }
        None
    })
}

fn first(bytes: &[u8]) -> (Option<Key>, &[u8]) {
    match bytes {
        [0x1b, b'[' | b'O', rest @ ..] => {
            // Parameters, then the letter that ends it.
            let end = rest
                .iter()
                .position(|byte| (0x40..=0x7e).contains(byte))
                .unwrap_or(rest.len());
            let key = match (rest.get(end), &rest[..end]) {
                (Some(b'A'), _) => Some(Key::Up),
                (Some(b'B'), _) => Some(Key::Down),
                (Some(b'C'), _) => Some(Key::Next),
                (Some(b'D' | b'Z'), _) => Some(Key::Previous),
                (Some(b'H'), _) | (Some(b'~'), b"1" | b"7") => Some(Key::Home),
                (Some(b'~'), b"5") => Some(Key::PageUp),
                (Some(b'~'), b"6") => Some(Key::PageDown),
                _ => None,
            };
            (key, rest.get(end + 1..).unwrap_or_default())
        }
        // Alone it is the key; before something else it is Alt.
        [0x1b] => (Some(Key::Quit), &[]),
        [byte, rest @ ..] => {
            let key = match byte {
                b'q' => Some(Key::Quit),
                b'\t' => Some(Key::Next),
                b'k' => Some(Key::Up),
                b'j' => Some(Key::Down),
                b' ' => Some(Key::PageDown),
                b'1'..=b'4' => Some(Key::View((byte - b'1').into())),
                _ => None,
            };
            (key, rest)
        }
        [] => (None, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        of(bytes).collect()
    }

    #[test]
    fn keys_are_found_one_after_the_other() {
        assert_eq!(
            keys(b"\x1b[A\x1b[Bj\tq"),
            [Key::Up, Key::Down, Key::Down, Key::Next, Key::Quit]
        );
        assert_eq!(keys(b"\x1bOC\x1b[Z3"), [Key::Next, Key::Previous, Key::View(2)]);
        assert_eq!(
            keys(b"\x1b[5~\x1b[6~ \x1b[H\x1b[1~"),
            [Key::PageUp, Key::PageDown, Key::PageDown, Key::Home, Key::Home]
        );
        assert_eq!(keys(b"\x1b"), [Key::Quit]);
    }

    #[test]
    fn what_means_nothing_is_skipped_whole() {
        assert_eq!(keys(b"\x1b[15~x\x1b[1;5Fq"), [Key::Quit]);
        assert_eq!(keys(b"\x1b[12"), []);
        assert_eq!(keys(b""), []);
    }
}
