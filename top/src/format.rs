//! Numbers as a person reads them.

/// With a comma every three digits.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Something per second.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second == 0.0 {
        "0".to_owned()
    } else if per_second < 10.0 {
        format!("{per_second:.1}")
    } else {
        count(per_second.round() as u64)
    }
}

/// Milliseconds.
pub(crate) fn ms(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value < 10.0 => format!("{value:.1} ms"),
        Some(value) if value < 10_000.0 => format!("{value:.0} ms"),
        Some(value) => format!("{:.1} s", value / 1000.0),
    }
}

/// Seconds.
pub(crate) fn time(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Upokt; in POKT where that is more than a tenth.
pub(crate) fn money(upokt: Option<u64>) -> String {
    match upokt {
        None => "–".to_owned(),
        Some(upokt) if upokt < 100_000 => format!("{} upokt", count(upokt)),
        Some(upokt) => {
            let hundredths = upokt / 10_000;
            format!("{}.{:02} POKT", count(hundredths / 100), hundredths % 100)
        }
    }
}

/// Bytes.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (number as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit > 0 && value < 10.0 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// The beginning and the end of what is too long for a column.
pub(crate) fn short(text: &str) -> String {
    let length = text.chars().count();
    if length <= 18 {
        return text.to_owned();
    }
    let begin: String = text.chars().take(9).collect();
    let end: String = text.chars().skip(length - 5).collect();
    format!("{begin}…{end}")
}

/// A name in snake case as words.
pub(crate) fn words(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn units_fit_the_size() {
        assert_eq!([0.0, 0.26, 12.6, 20_000.0].map(rate), ["0", "0.3", "13", "20,000"]);
        assert_eq!(
            [Some(0.25), Some(12.4), Some(12_340.0), None].map(ms),
            ["0.2 ms", "12 ms", "12.3 s", "–"]
        );
        assert_eq!([5, 130, 7200, 200_000].map(time), ["5 s", "2 min", "2 h", "2 d"]);
        assert_eq!(
            [Some(42), Some(1_234_567), None].map(money),
            ["42 upokt", "1.23 POKT", "–"]
        );
        assert_eq!([7, 2048, 20 << 20].map(bytes), ["7 B", "2.0 KiB", "20 MiB"]);
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(short("svc"), "svc");
        assert_eq!(short("pokt1abcdefghijklmnopqrstuvwxyz"), "pokt1abcd…vwxyz");
    }
}
