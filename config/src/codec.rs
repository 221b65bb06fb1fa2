//! How the values of keys are written: one type for each notation.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::str::FromStr;

use pocket_protocol::{AppAddress, ServiceId, SupplierAddress};
use serde_json::{Value as Json, json};

use crate::document::{Node, Value};
use crate::outline::{Scalar, Shape};
use crate::reader::{Fields, Reader};
use crate::suggest::nearest;

pub(crate) use crate::collection::{List, Map, Name, Nested};

/// A notation of values.
pub(crate) trait Codec {
    /// What is read.
    type Value;
    /// A value as it may be written; it is valid.
    const EXAMPLE: &str;

    /// Reads a node that is not blank; `None` when a problem was noted.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self::Value>;

    /// What may be written as the value of the key `name`.
    fn shape(name: &str) -> Shape;

    /// A value as it would be written; nothing for what is no key's default.
    fn written(_value: &Self::Value) -> Json {
        Json::Null
    }

    /// How to add the key `name` where it is missing.
    fn addition(name: &str) -> String {
        format!("add {name}: {}", Self::EXAMPLE)
    }

    /// A value to go on with after a problem; it never leaves the reader.
    fn stand_in() -> Self::Value {
        Self::read(&Node::plain(Self::EXAMPLE), &mut Reader::default()).expect("the example of a notation is valid")
    }
}

/// A section that always reads alike.
pub(crate) trait Section: Sized {
    /// Asks for the section's keys.
    fn read(fields: &mut Fields<'_, '_>) -> Self;
}

/// The text of a scalar, blanks around it removed; other nodes are noted as not `expected`.
pub(crate) fn scalar<'n>(node: &'n Node, reader: &mut Reader, expected: &str, example: &str) -> Option<&'n str> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text.trim()),
        _ => reader.wrong_type(node, expected, example),
    }
}

/// Any text; numbers and truth values are text too.
pub(crate) enum Text {}

impl Codec for Text {
    type Value = String;
    const EXAMPLE: &str = "text";
    fn read(node: &Node, reader: &mut Reader) -> Option<String> {
        match &node.value {
            Value::Scalar { text, .. } => Some(text.clone()),
            _ => reader.wrong_type(node, "text", "a single value"),
        }
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Text)
    }
    fn written(value: &String) -> Json {
        value.as_str().into()
    }
}

/// A path of the file system.
pub(crate) enum Path {}

impl Codec for Path {
    type Value = PathBuf;
    const EXAMPLE: &str = "/path/to/file";
    fn read(node: &Node, reader: &mut Reader) -> Option<PathBuf> {
        scalar(node, reader, "a path", Self::EXAMPLE).map(PathBuf::from)
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Text)
    }
}

/// A truth value, in YAML's spellings.
pub(crate) enum Flag {}

impl Codec for Flag {
    type Value = bool;
    const EXAMPLE: &str = "true";
    fn read(node: &Node, reader: &mut Reader) -> Option<bool> {
        if let Value::Scalar { text, plain: true } = &node.value {
            match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" => return Some(true),
                "false" | "no" | "off" | "n" => return Some(false),
                _ => {}
            }
        }
        reader.wrong_type(node, "true or false", "true or false, without quotes")
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Flag)
    }
    fn written(value: &bool) -> Json {
        (*value).into()
    }
}

/// A whole number between `MIN` and `MAX`.
pub(crate) struct Whole<T, const MIN: u64, const MAX: u64>(PhantomData<T>);

/// A 32-bit count, nought included.
pub(crate) type Count = Whole<u32, 0, { u32::MAX as u64 }>;
/// A number of bytes, blocks or upokt, nought included.
pub(crate) type Amount = Whole<u64, 0, { i64::MAX as u64 }>;

impl<T: TryFrom<u64> + Into<u64> + Copy, const MIN: u64, const MAX: u64> Codec for Whole<T, MIN, MAX> {
    type Value = T;
    const EXAMPLE: &str = "10";

    fn read(node: &Node, reader: &mut Reader) -> Option<T> {
        let number = whole_number(node, reader, "a whole number")?;
        match u64::try_from(number).ok().filter(|number| (MIN..=MAX).contains(number)) {
            Some(number) => T::try_from(number).ok(),
            None if MAX > u64::from(u32::MAX) && number < i128::from(MIN) => {
                reader.impossible(node, format!("{number} is too small"), format!("write {MIN} or more"))
            }
            None => reader.impossible(
                node,
                format!("{number} is out of range"),
                format!("write {MIN} to {MAX}"),
            ),
        }
    }

    fn stand_in() -> T {
        let Ok(value) = T::try_from(MIN) else {
            unreachable!("the least value fits the type")
        };
        value
    }

    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Whole {
            least: MIN as i64,
            most: MAX,
        })
    }

    fn written(value: &T) -> Json {
        (*value).into().into()
    }
}

/// A whole number in decimal, hexadecimal, octal or binary; `_` between digits.
pub(crate) fn whole_number(node: &Node, reader: &mut Reader, expected: &str) -> Option<i128> {
    if let Value::Scalar { text, plain: true } = &node.value {
        let (negative, digits) = match text.trim().strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.trim().trim_start_matches('+')),
        };
        let digits = digits.replace('_', "").to_ascii_lowercase();
        let (digits, radix) = match digits.get(..2) {
            Some("0x") => (&digits[2..], 16),
            Some("0o") => (&digits[2..], 8),
            Some("0b") => (&digits[2..], 2),
            _ => (digits.as_str(), 10),
        };
        let signless = digits.starts_with(|c: char| c.is_ascii_hexdigit());
        if let Some(number) = signless.then(|| i128::from_str_radix(digits, radix).ok()).flatten() {
            return Some(if negative { -number } else { number });
        }
    }
    reader.wrong_type(node, expected, "digits, without quotes and without a unit")
}

/// A number of at least `MIN` thousandths.
pub(crate) struct Number<const MIN: u32>;

impl<const MIN: u32> Codec for Number<MIN> {
    type Value = f64;
    const EXAMPLE: &str = "1.5";
    fn read(node: &Node, reader: &mut Reader) -> Option<f64> {
        let least = f64::from(MIN) / 1000.0;
        let parsed = match &node.value {
            Value::Scalar { text, plain: true } => text.trim().replace('_', "").parse::<f64>().ok(),
            _ => None,
        };
        match parsed.filter(|number| number.is_finite()) {
            Some(number) if number >= least => Some(number),
            Some(number) => reader.impossible(node, format!("{number} is too small"), format!("write {least} or more")),
            None => reader.wrong_type(node, "a number", "digits with a point, such as 1.5, without quotes"),
        }
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Number {
            least: f64::from(MIN) / 1000.0,
        })
    }
    fn written(value: &f64) -> Json {
        (*value).into()
    }
}

/// An enum whose values have names.
pub(crate) trait Named: Copy + PartialEq + 'static {
    /// The names, in the order in which an error lists them.
    const NAMES: &'static [(&'static str, Self)];
    /// Other words that people write, and the name that they mean.
    const MISTAKEN: &'static [(&'static str, &'static str)] = &[];

    /// The value called `name`.
    fn named(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }

    /// What is wrong with `name`, and the remedy.
    fn unknown(name: &str) -> (String, String) {
        let names: Vec<_> = Self::NAMES.iter().map(|(name, _)| *name).collect();
        let meant = Self::MISTAKEN
            .iter()
            .find(|(mistaken, _)| *mistaken == name)
            .map(|(_, meant)| *meant);
        let remedy = match meant.or_else(|| nearest(name, names.iter().copied())) {
            Some(meant) => format!("did you mean {meant:?}? Possible are: {}", names.join(", ")),
            None => format!("possible are: {}", names.join(", ")),
        };
        (format!("{name:?} is not known here"), remedy)
    }
}

/// One of the names of `E`, in any case.
pub(crate) struct Choice<E>(PhantomData<E>);

impl<E: Named> Codec for Choice<E> {
    type Value = E;
    const EXAMPLE: &str = E::NAMES[0].0;
    fn read(node: &Node, reader: &mut Reader) -> Option<E> {
        let name = scalar(node, reader, "a word", Self::EXAMPLE)?;
        E::named(&name.to_ascii_lowercase()).or_else(|| {
            let (what, remedy) = E::unknown(name);
            reader.impossible(node, what, remedy)
        })
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::OneOf(E::NAMES.iter().map(|(name, _)| json!(name)).collect()))
    }
    fn written(value: &E) -> Json {
        E::NAMES
            .iter()
            .find(|(_, known)| known == value)
            .map(|(name, _)| *name)
            .into()
    }
}

/// Text that `T` parses.
pub(crate) struct Parsed<T>(PhantomData<T>);

/// A type of the protocol as a configuration writes it.
pub(crate) trait Written: FromStr<Err: std::fmt::Display> {
    /// A valid text.
    const EXAMPLE: &str;
    /// What to write, in words.
    const REMEDY: &str;
    /// What its texts match.
    const PATTERN: &str;
}

impl Written for AppAddress {
    const EXAMPLE: &str = "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4";
    const REMEDY: &str = "write the application's address, pokt1 and 38 characters";
    const PATTERN: &str = "^pokt1[0-9a-z]{38}$";
}

impl Written for SupplierAddress {
    const EXAMPLE: &str = "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4";
    const REMEDY: &str = "write the supplier's operator address, pokt1 and 38 characters";
    const PATTERN: &str = AppAddress::PATTERN;
}

impl Written for ServiceId {
    const EXAMPLE: &str = "eth";
    const REMEDY: &str = "write the service's id as it is on chain";
    const PATTERN: &str = "^[A-Za-z0-9_-]{1,42}$";
}

impl<T: Written> Codec for Parsed<T> {
    type Value = T;
    const EXAMPLE: &str = T::EXAMPLE;
    fn read(node: &Node, reader: &mut Reader) -> Option<T> {
        let text = scalar(node, reader, "text", T::EXAMPLE)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => reader.impossible(node, format!("{text:?}: {error}"), T::REMEDY),
        }
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Matching(T::PATTERN))
    }
}
