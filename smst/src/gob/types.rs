//! The type definitions in front of a gob value.

use std::collections::HashMap;

use super::reader::{DecodeError, Reader};

/// Number of a type: below 64 those that Go defines, above those of the stream.
pub type TypeId = i64;

pub const INT: TypeId = 2;
pub const BYTES: TypeId = 5;

/// How deep values that nobody reads may be nested.
const MAX_DEPTH: usize = 64;

/// A type that the stream defines.
#[derive(Debug)]
pub enum WireType {
    Array {
        element: TypeId,
        length: i64,
    },
    Slice {
        element: TypeId,
    },
    Struct {
        fields: Vec<Field>,
    },
    Map {
        key: TypeId,
        element: TypeId,
    },
    /// A value that is written as an opaque byte string.
    Opaque,
}

/// A field of a struct.
#[derive(Debug, Default)]
pub struct Field {
    pub name: Vec<u8>,
    pub id: TypeId,
}

/// The types that a stream has defined so far.
#[derive(Debug, Default)]
pub struct Types(HashMap<TypeId, WireType>);

impl Types {
    /// Reads the definition of type `id`.
    pub fn define(&mut self, id: TypeId, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if id < 64 || self.0.contains_key(&id) {
            return Err(DecodeError::Malformed("type number"));
        }
        let mut defined = None;
        reader.fields(7, |alternative, reader| {
            // A definition sets one alternative. Go would take the first that is set.
            let wire = read_alternative(alternative, reader)?;
            defined.get_or_insert(wire);
            Ok(())
        })?;
        self.0.insert(id, defined.ok_or(DecodeError::Malformed("type"))?);
        Ok(())
    }

    pub fn get(&self, id: TypeId) -> Option<&WireType> {
        self.0.get(&id)
    }

    /// Reads a value that nobody wants.
    pub fn skip(&self, id: TypeId, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.skip_nested(id, reader, 0)
    }

    fn skip_nested(&self, id: TypeId, reader: &mut Reader<'_>, depth: usize) -> Result<(), DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError::Malformed("nesting"));
        }
        let below = |id, reader: &mut Reader<'_>| self.skip_nested(id, reader, depth + 1);
        match (id, self.get(id)) {
            // bool, int, uint, float
            (1..=4, _) => reader.uint().map(drop),
            // byte string, string
            (5 | 6, _) | (_, Some(WireType::Opaque)) => reader.bytes().map(drop),
            // complex
            (7, _) => reader.uint().and_then(|_| reader.uint()).map(drop),
            (_, Some(&WireType::Slice { element })) => reader.list(|reader| below(element, reader)),
            (_, Some(&WireType::Array { element, length })) => {
                let mut elements = 0;
                reader.list(|reader| {
                    elements += 1;
                    below(element, reader)
                })?;
                if elements == length {
                    Ok(())
                } else {
                    Err(DecodeError::Malformed("array"))
                }
            }
            (_, Some(&WireType::Map { key, element })) => reader.list(|reader| {
                below(key, reader)?;
                below(element, reader)
            }),
            (_, Some(WireType::Struct { fields })) => {
                reader.fields(fields.len(), |index, reader| below(fields[index].id, reader))
            }
            (_, None) => Err(DecodeError::Malformed("type number")),
        }
    }
}

/// One alternative of Go's description of a type; each starts with name and number, which nobody needs.
fn read_alternative(alternative: usize, reader: &mut Reader<'_>) -> Result<WireType, DecodeError> {
    let (mut first, mut second, mut fields) = (0, 0, Vec::new());
    let count = [3, 2, 2, 3, 1, 1, 1][alternative];
    reader.fields(count, |index, reader| {
        match (index, alternative) {
            (0, _) => {
                read_field(reader)?;
            }
            (1, 2) => reader.list(|reader| {
                fields.push(read_field(reader)?);
                Ok(())
            })?,
            (1, _) => first = reader.int()?,
            _ => second = reader.int()?,
        }
        Ok(())
    })?;
    Ok(match alternative {
        0 => WireType::Array {
            element: first,
            length: second,
        },
        1 => WireType::Slice { element: first },
        2 => WireType::Struct { fields },
        3 => WireType::Map {
            key: first,
            element: second,
        },
        _ => WireType::Opaque,
    })
}

/// A name and a type number.
fn read_field(reader: &mut Reader<'_>) -> Result<Field, DecodeError> {
    let mut field = Field::default();
    reader.fields(2, |index, reader| {
        if index == 0 {
            field.name = reader.bytes()?.to_vec();
        } else {
            field.id = reader.int()?;
        }
        Ok(())
    })?;
    Ok(field)
}
