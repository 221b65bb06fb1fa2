//! One value, or several where the Go peer knows one: a YAML list, or text with commas as a variable has it.

use std::marker::PhantomData;

use crate::codec::Codec;
use crate::document::{Node, Value};
use crate::outline::Shape;
use crate::reader::Reader;

/// One `C` or several different ones, in the order in which they are written; never none.
pub(crate) struct OneOrMore<C>(PhantomData<C>);

impl<C: Codec<Value: PartialEq>> Codec for OneOrMore<C> {
    type Value = Vec<C::Value>;
    const EXAMPLE: &str = C::EXAMPLE;

    fn read(node: &Node, reader: &mut Reader) -> Option<Vec<C::Value>> {
        match &node.value {
            Value::List(items) => several::<C>(node, items, reader),
            Value::Scalar { text, plain } if text.contains(',') => {
                let piece = |text: &str| Node {
                    value: Value::Scalar {
                        text: text.trim().to_owned(),
                        plain: *plain,
                    },
                    origin: node.origin.clone(),
                };
                several::<C>(node, &text.split(',').map(piece).collect::<Vec<_>>(), reader)
            }
            _ => C::read(node, reader).map(|value| vec![value]),
        }
    }

    fn shape(name: &str) -> Shape {
        Shape::OneOrMore(Box::new(C::shape(name)))
    }
}

fn several<C: Codec<Value: PartialEq>>(node: &Node, items: &[Node], reader: &mut Reader) -> Option<Vec<C::Value>> {
    if items.is_empty() {
        return reader.impossible(
            node,
            "is an empty list",
            format!("write one or more, such as {}", C::EXAMPLE),
        );
    }
    let mut values = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        reader.within(format!("[{index}]"), |reader| {
            if item.is_blank() {
                reader.wrong_type::<()>(item, "a value", C::EXAMPLE);
            } else if let Some(value) = C::read(item, reader) {
                if values.contains(&value) {
                    reader.impossible::<()>(item, "is written twice", "leave one of them out");
                }
                values.push(value);
            }
        });
    }
    (values.len() == items.len()).then_some(values)
}
