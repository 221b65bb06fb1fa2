//! Values of values: lists, mappings, sections.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use pocket_protocol::ServiceId;
use serde_json::{Value as Json, json};

use crate::codec::{Codec, Section, Written};
use crate::document::{Node, Value};
use crate::error::{Origin, ProblemKind};
use crate::outline::Shape;
use crate::reader::Reader;

/// A list of `C`.
pub(crate) struct List<C>(PhantomData<C>);

impl<C: Codec> Codec for List<C> {
    type Value = Vec<C::Value>;
    const EXAMPLE: &str = C::EXAMPLE;
    fn read(node: &Node, reader: &mut Reader) -> Option<Vec<C::Value>> {
        let Value::List(items) = &node.value else {
            return reader.wrong_type(
                node,
                "a list",
                &format!("one \"- {}\" a line below the key", C::EXAMPLE),
            );
        };
        let read = |(index, item): (usize, &Node)| {
            reader.within(format!("[{index}]"), |reader| {
                if item.is_blank() {
                    reader.wrong_type(item, "a value", C::EXAMPLE)
                } else {
                    C::read(item, reader)
                }
            })
        };
        Some(items.iter().enumerate().filter_map(read).collect())
    }
    fn stand_in() -> Vec<C::Value> {
        Vec::new()
    }
    fn shape(name: &str) -> Shape {
        Shape::List(Box::new(C::shape(name)))
    }
    fn written(values: &Vec<C::Value>) -> Json {
        values.iter().map(C::written).collect()
    }
}

/// A name that an operator chooses, as the key of a mapping.
pub(crate) trait Name: Ord + Sized {
    /// What names match.
    const PATTERN: &str = ".";

    /// The name, or what is wrong and the remedy.
    fn parse(text: &str) -> Result<Self, (String, String)>;

    /// All names, where they are few and fixed.
    fn all() -> Option<Vec<&'static str>> {
        None
    }
}

impl Name for String {
    fn parse(text: &str) -> Result<Self, (String, String)> {
        Ok(text.to_owned())
    }
}

impl Name for ServiceId {
    const PATTERN: &str = <Self as Written>::PATTERN;

    fn parse(text: &str) -> Result<Self, (String, String)> {
        text.parse()
            .map_err(|error| (format!("{error}"), Self::REMEDY.to_owned()))
    }
}

/// A mapping from names to `C`.
pub(crate) struct Map<K, C>(PhantomData<(K, C)>);

impl<K: Name, C: Codec> Codec for Map<K, C> {
    type Value = BTreeMap<K, C::Value>;
    const EXAMPLE: &str = "{}";
    fn read(node: &Node, reader: &mut Reader) -> Option<BTreeMap<K, C::Value>> {
        let Value::Map(entries) = &node.value else {
            return reader.wrong_type(node, "a section", "one \"name: value\" a line below the key");
        };
        let mut values = BTreeMap::new();
        for entry in entries {
            // The name may decide how its value reads, so the value of a wrong one is left alone.
            reader.within(entry.name.clone(), |reader| match K::parse(&entry.name) {
                Ok(name) => {
                    let value = if entry.node.is_blank() {
                        reader.wrong_type(&entry.node, "a value", C::EXAMPLE)
                    } else {
                        C::read(&entry.node, reader)
                    };
                    values.extend(value.map(|value| (name, value)));
                }
                Err((what, remedy)) => reader.note(ProblemKind::Impossible, &entry.origin, what, remedy),
            });
        }
        Some(values)
    }
    fn addition(name: &str) -> String {
        format!("add {name}, with its entries on the lines below")
    }
    fn stand_in() -> BTreeMap<K, C::Value> {
        BTreeMap::new()
    }
    fn shape(name: &str) -> Shape {
        match K::all() {
            Some(names) => Shape::Named(names.into_iter().map(|name| (name, C::shape(name))).collect()),
            None => Shape::Map(K::PATTERN, Box::new(C::shape(name))),
        }
    }
    fn written(values: &BTreeMap<K, C::Value>) -> Json {
        debug_assert!(values.is_empty(), "the default of a mapping is an empty one");
        json!({})
    }
}

/// A section as a value of a list or a mapping.
pub(crate) struct Nested<S>(PhantomData<S>);

impl<S: Section> Codec for Nested<S> {
    type Value = S;
    const EXAMPLE: &str = "a section";
    fn read(node: &Node, reader: &mut Reader) -> Option<S> {
        Some(reader.section(node, S::read))
    }
    fn stand_in() -> S {
        Reader::default().section(&Node::null(Origin::Absent), S::read)
    }
    fn shape(name: &str) -> Shape {
        Shape::of::<S>(name)
    }
}
