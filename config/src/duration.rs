//! Durations: whole seconds or milliseconds where the key names the unit, else with units, as in `1h30m`.

use std::time::Duration;

use serde_json::Value as Json;

use crate::codec::{Codec, scalar, whole_number};
use crate::document::{Node, Value};
use crate::outline::{Scalar, Shape};
use crate::reader::Reader;

/// Ten years: longer is a slip of the unit.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

/// A key that ends in `_seconds`: a whole number of at least `MIN`.
pub(crate) struct Seconds<const MIN: u64>;
/// A key that ends in `_ms`: a whole number of milliseconds.
pub(crate) struct Milliseconds;
/// A key that ends in `_seconds` where a negative number means "off".
pub(crate) struct SecondsOrOff;
/// A key without a unit: `90s`, `1h30m`, `1.5h`; nought without one.
pub(crate) struct WithUnits;

/// The whole number at `node` times `unit`, which the key's name carries.
fn counted(node: &Node, reader: &mut Reader, least: u64, unit: Duration, unit_name: &str) -> Option<Duration> {
    if let Value::Scalar { text, .. } = &node.value
        && let Some(duration) = with_units(text.trim())
        && text.ends_with(|c: char| c.is_ascii_alphabetic())
    {
        let number = duration.as_nanos() / unit.as_nanos();
        let what = format!("expected a whole number of {unit_name}, found {text}");
        reader.note(
            crate::error::ProblemKind::WrongType,
            &node.origin,
            what,
            format!("write {number}"),
        );
        return None;
    }
    let number = whole_number(node, reader, &format!("a whole number of {unit_name}"))?;
    let most = LONGEST.as_nanos() / unit.as_nanos();
    match u64::try_from(number) {
        Ok(count) if count < least => reader.impossible(
            node,
            format!("{number} {unit_name} is too short"),
            format!("write {least} or more"),
        ),
        Ok(count) if u128::from(count) <= most => Some(Duration::from_nanos(count * unit.as_nanos() as u64)),
        Ok(_) => reader.impossible(
            node,
            format!("{number} {unit_name} is too long"),
            format!("write at most {most}"),
        ),
        Err(_) => reader.impossible(
            node,
            format!("{number} {unit_name} is negative"),
            format!("write {least} or more"),
        ),
    }
}

impl<const MIN: u64> Codec for Seconds<MIN> {
    type Value = Duration;
    const EXAMPLE: &str = "30";
    fn read(node: &Node, reader: &mut Reader) -> Option<Duration> {
        counted(node, reader, MIN, Duration::from_secs(1), "seconds")
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Whole {
            least: MIN as i64,
            most: LONGEST.as_secs(),
        })
    }
    fn written(value: &Duration) -> Json {
        value.as_secs().into()
    }
}

impl Codec for Milliseconds {
    type Value = Duration;
    const EXAMPLE: &str = "1000";
    fn read(node: &Node, reader: &mut Reader) -> Option<Duration> {
        counted(node, reader, 0, Duration::from_millis(1), "milliseconds")
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Whole {
            least: 0,
            most: LONGEST.as_secs() * 1000,
        })
    }
    fn written(value: &Duration) -> Json {
        (value.as_millis() as u64).into()
    }
}

impl Codec for SecondsOrOff {
    /// `None` for a negative number.
    type Value = Option<Duration>;
    const EXAMPLE: &str = "60";
    fn read(node: &Node, reader: &mut Reader) -> Option<Option<Duration>> {
        match &node.value {
            Value::Scalar { text, plain: true } if text.starts_with('-') => {
                whole_number(node, reader, "a whole number of seconds").map(|_| None)
            }
            _ => Seconds::<0>::read(node, reader).map(Some),
        }
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Whole {
            least: i64::MIN,
            most: LONGEST.as_secs(),
        })
    }
    fn written(value: &Option<Duration>) -> Json {
        value.map_or(Json::from(-1), |duration| duration.as_secs().into())
    }
}

impl Codec for WithUnits {
    type Value = Duration;
    const EXAMPLE: &str = "2h";
    fn read(node: &Node, reader: &mut Reader) -> Option<Duration> {
        let text = scalar(node, reader, "a duration", Self::EXAMPLE)?;
        match with_units(text) {
            Some(duration) if duration <= LONGEST => Some(duration),
            Some(_) => reader.impossible(node, format!("{text} is too long"), "write at most ten years"),
            None if text.parse::<f64>().is_ok() => reader.impossible(
                node,
                format!("the duration {text} has no unit"),
                format!("write {text}s for seconds; units are ns, us, ms, s, m and h"),
            ),
            None => reader.wrong_type(node, "a duration", "a number with a unit, such as 90s, 30m or 1h30m"),
        }
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Duration)
    }
    fn written(value: &Duration) -> Json {
        let seconds = value.as_secs();
        match seconds {
            _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
            _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
            _ => format!("{seconds}s"),
        }
        .into()
    }
}

/// Go's notation: decimal numbers with units, added up; a lone `0` needs none.
fn with_units(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        total = total.checked_add(nanoseconds(number, unit)?)?;
        rest = after;
    }
    let seconds = u64::try_from(total / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, (total % 1_000_000_000) as u32))
}

/// `1.5` and `h` as nanoseconds; what is below one is cut off.
fn nanoseconds(number: &str, unit: &str) -> Option<u128> {
    let unit: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |text: &str| {
        if text.is_empty() {
            Some(0)
        } else {
            text.parse::<u128>().ok()
        }
    };
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let part = digits(fraction)?.checked_mul(unit)? / 10_u128.pow(fraction.len() as u32);
    digits(whole)?.checked_mul(unit)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        assert_eq!(with_units("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(with_units("1.5h"), Some(Duration::from_mins(90)));
        assert_eq!(with_units(".5s"), Some(Duration::from_millis(500)));
        assert_eq!(with_units("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(with_units("0"), Some(Duration::ZERO));
    }

    #[test]
    fn number_without_unit_is_no_duration() {
        for text in ["", "90", "-1h", "1x", "h", ".s", "1h30", "1..5s", "2 h"] {
            assert_eq!(with_units(text), None, "{text:?}");
        }
    }

    #[test]
    fn duration_beyond_all_numbers_is_refused() {
        assert_eq!(with_units(&format!("{}h", "9".repeat(40))), None);
        assert_eq!(with_units(&format!("{}h", u64::MAX)), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9a-zµ. ]{0,24}") {
            let _ = with_units(&text);
        }

        #[test]
        fn milliseconds_are_read_back(millis in 0_u64..1_000_000_000_000) {
            proptest::prop_assert_eq!(with_units(&format!("{millis}ms")), Some(Duration::from_millis(millis)));
        }
    }
}
