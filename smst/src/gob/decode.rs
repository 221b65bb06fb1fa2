//! Reading a proof. Go matches fields by name; number and order of fields and types are the writer's choice.

use bytes::Bytes;

use super::reader::{DecodeError, Reader};
use super::types::{BYTES, Field, INT, TypeId, Types, WireType};
use crate::{CompactClosestProof, CompactProof};

impl CompactClosestProof {
    /// Reads the bytes of a proof message. What follows the first value is ignored, as Go does.
    pub fn decode(encoded: &[u8]) -> Result<Self, DecodeError> {
        let mut stream = Reader::new(encoded);
        let mut types = Types::default();
        loop {
            let mut message = Reader::new(stream.bytes()?);
            let id = message.int()?;
            if id >= 0 {
                return read_closest_proof(&types, id, &mut message);
            }
            types.define(
                id.checked_neg().ok_or(DecodeError::Malformed("type number"))?,
                &mut message,
            )?;
            if !message.is_empty() {
                return Err(DecodeError::Malformed("type"));
            }
        }
    }
}

/// What a field of ours may be on the wire.
#[derive(Clone, Copy)]
enum Kind {
    Bytes,
    ByteStrings,
    Int,
    Struct(&'static [(&'static str, Kind)]),
}

const CLOSEST_PROOF: &[(&str, Kind)] = &[
    ("Path", Kind::Bytes),
    ("FlippedBits", Kind::ByteStrings),
    ("Depth", Kind::Bytes),
    ("ClosestPath", Kind::Bytes),
    ("ClosestValueHash", Kind::Bytes),
    ("ClosestProof", Kind::Struct(PROOF)),
];

const PROOF: &[(&str, Kind)] = &[
    ("SideNodes", Kind::ByteStrings),
    ("NonMembershipLeafData", Kind::Bytes),
    ("BitMask", Kind::Bytes),
    ("NumSideNodes", Kind::Int),
    ("SiblingData", Kind::Bytes),
];

/// A struct type of the stream whose fields are known to fit ours.
struct Matched<'a> {
    fields: &'a [Field],
    /// For each field of the stream, the index of ours with its name.
    ours: Vec<Option<usize>>,
}

fn read_closest_proof(types: &Types, id: TypeId, reader: &mut Reader<'_>) -> Result<CompactClosestProof, DecodeError> {
    let matched = match_struct(types, id, CLOSEST_PROOF)?;
    if !matched.fields.is_empty() && matched.ours.iter().all(Option::is_none) {
        return Err(DecodeError::WrongType("no field in common"));
    }
    let mut proof = CompactClosestProof::default();
    reader.fields(matched.fields.len(), |index, reader| {
        match matched.ours[index] {
            Some(0) => proof.path = read_bytes(reader)?,
            Some(1) => proof.flipped_bits = read_byte_strings(reader)?,
            Some(2) => proof.depth = read_bytes(reader)?,
            Some(3) => proof.closest_path = read_bytes(reader)?,
            Some(4) => proof.closest_value = read_bytes(reader)?,
            Some(_) => {
                let inner = proof.closest_proof.get_or_insert_default();
                read_proof(types, matched.fields[index].id, reader, inner)?;
            }
            None => types.skip(matched.fields[index].id, reader)?,
        }
        Ok(())
    })?;
    Ok(proof)
}

fn read_proof(types: &Types, id: TypeId, reader: &mut Reader<'_>, proof: &mut CompactProof) -> Result<(), DecodeError> {
    let matched = match_struct(types, id, PROOF)?;
    reader.fields(matched.fields.len(), |index, reader| {
        match matched.ours[index] {
            Some(0) => proof.side_nodes = read_byte_strings(reader)?,
            Some(1) => proof.non_membership_leaf_data = read_bytes(reader)?,
            Some(2) => proof.bit_mask = read_bytes(reader)?,
            Some(3) => proof.num_side_nodes = reader.int()?,
            Some(_) => proof.sibling_data = read_bytes(reader)?,
            None => types.skip(matched.fields[index].id, reader)?,
        }
        Ok(())
    })
}

/// Checks each field of a struct type against ours of the same name, whether it is sent or not.
fn match_struct<'a>(types: &'a Types, id: TypeId, ours: &[(&str, Kind)]) -> Result<Matched<'a>, DecodeError> {
    let Some(WireType::Struct { fields }) = types.get(id) else {
        return Err(DecodeError::WrongType("no struct"));
    };
    let find = |field: &Field| ours.iter().position(|(name, _)| name.as_bytes() == field.name);
    let indices: Vec<_> = fields.iter().map(find).collect();
    for (field, index) in fields.iter().zip(&indices) {
        if let Some(index) = *index {
            check_kind(types, field.id, ours[index].1)?;
        }
    }
    Ok(Matched { fields, ours: indices })
}

fn check_kind(types: &Types, id: TypeId, kind: Kind) -> Result<(), DecodeError> {
    let fits = match kind {
        Kind::Bytes => id == BYTES,
        Kind::ByteStrings => matches!(types.get(id), Some(WireType::Slice { element: BYTES })),
        Kind::Int => id == INT,
        Kind::Struct(fields) => return match_struct(types, id, fields).map(drop),
    };
    if fits {
        Ok(())
    } else {
        Err(DecodeError::WrongType("a field of another type"))
    }
}

fn read_bytes(reader: &mut Reader<'_>) -> Result<Bytes, DecodeError> {
    reader.bytes().map(Bytes::copy_from_slice)
}

fn read_byte_strings(reader: &mut Reader<'_>) -> Result<Vec<Bytes>, DecodeError> {
    let mut strings = Vec::new();
    reader.list(|reader| {
        strings.push(read_bytes(reader)?);
        Ok(())
    })?;
    Ok(strings)
}
