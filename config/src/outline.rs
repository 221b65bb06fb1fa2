//! What may be written where: the keys that the reader asks for, with their types and defaults.
//!
//! Nothing is listed twice: an outline comes from running the very code that reads a file, on nothing.

use serde_json::Value as Json;

use crate::codec::Section;
use crate::reader::{Fields, Reader};

/// What a value is made of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// A single value.
    Scalar(Scalar),
    /// Any number of values.
    List(Box<Shape>),
    /// A single value, or several of its kind: as a list, or as a text with commas.
    OneOrMore(Box<Shape>),
    /// Values by names that the operator chooses and this pattern matches.
    Map(&'static str, Box<Shape>),
    /// Values by these names alone.
    Named(Vec<(&'static str, Shape)>),
    /// Fixed keys.
    Section(Outline),
    /// A single value, or a section in its stead.
    Either(Scalar, Outline),
}

/// The keys of a section, in the order in which they are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outline {
    pub keys: Vec<Key>,
    /// Groups of keys of which at least one must be there.
    pub one_of: Vec<Vec<&'static str>>,
}

/// One key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub name: &'static str,
    pub shape: Shape,
    /// What counts when the key is left out, as it would be written; `None` where nothing counts, or other keys decide.
    pub default: Option<Json>,
    pub required: bool,
}

/// The type of a single value. A pattern is a regular expression that the text matches.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    /// Any text.
    Text,
    /// A text that matches.
    Matching(&'static str),
    /// True or false.
    Flag,
    /// A whole number.
    Whole { least: i64, most: u64 },
    /// A number of at least so much.
    Number { least: f64 },
    /// A duration with units.
    Duration,
    /// One of these.
    OneOf(Vec<Json>),
}

/// What a part of a key's path leads to.
pub(crate) struct Inner<'s> {
    /// The part as descriptions spell it: a key, `*` for a name, `[]` for a place in a list.
    pub part: &'static str,
    pub shape: &'s Shape,
}

impl Shape {
    /// What `S` reads when it is the value of the key `name`.
    pub fn of<S: Section>(name: &str) -> Self {
        Self::Section(Outline::of_read(name, |fields| {
            S::read(fields);
        }))
    }

    /// The keys below this, when it has fixed ones.
    pub fn outline(&self) -> Option<&Outline> {
        match self {
            Self::Section(outline) | Self::Either(_, outline) => Some(outline),
            _ => None,
        }
    }

    /// What `part` names: a key, a name of a map, or, as `[…]`, a place in a list.
    pub fn inner(&self, part: &str) -> Option<Inner<'_>> {
        let (part, shape) = match self {
            Self::Scalar(_) => return None,
            Self::List(item) | Self::OneOrMore(item) => ("[]", part.starts_with('[').then_some(&**item)?),
            Self::Map(_, value) => ("*", &**value),
            Self::Named(values) => (
                "*",
                values.iter().find(|(name, _)| *name == part).map(|(_, shape)| shape)?,
            ),
            Self::Section(outline) | Self::Either(_, outline) => {
                let key = outline.key(part)?;
                (key.name, &key.shape)
            }
        };
        Some(Inner { part, shape })
    }
}

impl Outline {
    /// What `read` asks for when its section is the value of the key `name`.
    pub fn of_read(name: &str, read: impl FnOnce(&mut Fields<'_, '_>)) -> Self {
        Reader::default().within(name, |reader| reader.outlined(read)).1
    }

    /// The key called `name`.
    pub fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Whether a section of these keys cannot be left out.
    pub fn is_required(&self) -> bool {
        !self.one_of.is_empty() || self.keys.iter().any(|key| key.required)
    }
}
