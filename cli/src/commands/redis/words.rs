//! Times and sizes as people read them.

use std::time::Duration;

use serde::Serializer;

/// How long something still is; `never` ends what has no end.
pub fn left(ttl: Option<Duration>) -> String {
    let Some(ttl) = ttl else {
        return "never".to_owned();
    };
    let seconds = ttl.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Seconds for programs; none where there is no end.
#[allow(clippy::ref_option)]
pub fn seconds<S: Serializer>(ttl: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match ttl {
        Some(ttl) => serializer.serialize_f64((ttl.as_secs_f64() * 1000.0).round() / 1000.0),
        None => serializer.serialize_none(),
    }
}

/// `1 key`, `2 keys`; of words in ry `1 entry`, `2 entries`.
pub fn count(number: usize, what: &str) -> String {
    let stem = what.strip_suffix("ry");
    match (number, stem) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{number} {stem}ries"),
        (_, None) => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_unit() {
        let seconds = |seconds| left(Some(Duration::from_secs(seconds)));
        assert_eq!(
            [left(None), seconds(24), seconds(300), seconds(7_300), seconds(700_000)],
            ["never", "24 s", "5 min", "2 h", "8 days"]
        );
    }

    #[test]
    fn numbers_agree_with_their_words() {
        assert_eq!([count(1, "key"), count(2, "key")], ["1 key", "2 keys"]);
        assert_eq!([count(0, "entry"), count(1, "entry")], ["0 entries", "1 entry"]);
    }
}
