//! Writing a proof.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{CompactClosestProof, CompactProof};

/// The three type definitions of the stream (spec `smst.md` §6.2): the proof (type 64), lists of byte strings (65), and
/// the inner proof (66).
const TYPE_DEFINITIONS: &[u8; 286] = b"\
    \xff\x87\x7f\x03\x01\x01\x1fSparseCompactMerkleClosestProof\x01\xff\x80\x00\x01\x06\
    \x01\x04Path\x01\x0a\x00\
    \x01\x0bFlippedBits\x01\xff\x82\x00\
    \x01\x05Depth\x01\x0a\x00\
    \x01\x0bClosestPath\x01\x0a\x00\
    \x01\x10ClosestValueHash\x01\x0a\x00\
    \x01\x0cClosestProof\x01\xff\x84\x00\x00\x00\
    \x17\xff\x81\x02\x01\x01\x09[][]uint8\x01\xff\x82\x00\x01\x0a\x00\x00\
    \x7c\xff\x83\x03\x01\x01\x18SparseCompactMerkleProof\x01\xff\x84\x00\x01\x05\
    \x01\x09SideNodes\x01\xff\x82\x00\
    \x01\x15NonMembershipLeafData\x01\x0a\x00\
    \x01\x07BitMask\x01\x0a\x00\
    \x01\x0cNumSideNodes\x01\x04\x00\
    \x01\x0bSiblingData\x01\x0a\x00\x00\x00";

impl CompactClosestProof {
    /// The bytes of a proof message.
    pub fn encode(&self) -> Bytes {
        let mut payload = Struct::new(BytesMut::from(&[0xff, 0x80][..]));
        payload.bytes(1, &self.path);
        payload.list(2, &self.flipped_bits);
        payload.bytes(3, &self.depth);
        payload.bytes(4, &self.closest_path);
        payload.bytes(5, &self.closest_value);
        if let Some(proof) = &self.closest_proof {
            payload.number(6);
            proof.write(&mut payload.out);
        }
        let payload = payload.close();
        let mut message = BytesMut::with_capacity(TYPE_DEFINITIONS.len() + 9 + payload.len());
        message.put_slice(TYPE_DEFINITIONS);
        put_uint(&mut message, payload.len() as u64);
        message.put(payload);
        message.freeze()
    }
}

impl CompactProof {
    fn write(&self, out: &mut BytesMut) {
        let mut fields = Struct::new(std::mem::take(out));
        fields.list(1, &self.side_nodes);
        fields.bytes(2, &self.non_membership_leaf_data);
        fields.bytes(3, &self.bit_mask);
        if self.num_side_nodes != 0 {
            fields.number(4);
            put_int(&mut fields.out, self.num_side_nodes);
        }
        fields.bytes(5, &self.sibling_data);
        *out = fields.close();
    }
}

/// A struct being written: empty fields are left out, and each field has the distance to the one before.
struct Struct {
    out: BytesMut,
    last: u64,
}

impl Struct {
    fn new(out: BytesMut) -> Self {
        Self { out, last: 0 }
    }

    fn number(&mut self, field: u64) {
        put_uint(&mut self.out, field - self.last);
        self.last = field;
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        if !value.is_empty() {
            self.number(field);
            put_bytes(&mut self.out, value);
        }
    }

    fn list(&mut self, field: u64, values: &[Bytes]) {
        if !values.is_empty() {
            self.number(field);
            put_uint(&mut self.out, values.len() as u64);
            for value in values {
                put_bytes(&mut self.out, value);
            }
        }
    }

    fn close(mut self) -> BytesMut {
        self.out.put_u8(0);
        self.out
    }
}

fn put_bytes(out: &mut BytesMut, value: &[u8]) {
    put_uint(out, value.len() as u64);
    out.put_slice(value);
}

fn put_int(out: &mut BytesMut, value: i64) {
    put_uint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// One byte below 128; else the negated number of bytes, and the bytes, big-endian.
fn put_uint(out: &mut BytesMut, value: u64) {
    if value < 128 {
        out.put_u8(value as u8);
        return;
    }
    let zeros = (value.leading_zeros() / 8) as usize;
    out.put_u8((zeros as u8).wrapping_sub(8));
    out.put_slice(&value.to_be_bytes()[zeros..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsigned_integers_are_as_short_as_they_can_be() {
        for (value, encoded) in [
            (0, "00"),
            (127, "7f"),
            (128, "ff80"),
            (300, "fe012c"),
            (u64::MAX, "f8ffffffffffffffff"),
        ] {
            let mut out = BytesMut::new();
            put_uint(&mut out, value);
            assert_eq!(hex::encode(out), encoded);
        }
    }

    #[test]
    fn negative_integers_are_odd() {
        let mut out = BytesMut::new();
        put_int(&mut out, -64);
        put_int(&mut out, 4);
        assert_eq!(out[..], [0x7f, 8]);
    }
}
