//! Protobuf fields of foreign bytes, read one by one without copying.

/// The bytes are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no protobuf message")]
pub struct Malformed;

/// Groups inside groups beyond this are refused.
const MAX_GROUP_DEPTH: usize = 100;

/// A field's value; those of kinds that no message here uses are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Skipped,
}

/// Iterates over the top-level fields of a message; ends after the first fault.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let (number, kind) = self.tag()?;
        Ok((number, self.value(number, kind, 0)?))
    }

    fn tag(&mut self) -> Result<(u32, u8), Malformed> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
        if number == 0 || number > i32::MAX as u32 {
            return Err(Malformed);
        }
        Ok((number, (tag & 7) as u8))
    }

    fn value(&mut self, number: u32, kind: u8, depth: usize) -> Result<Value<'a>, Malformed> {
        match kind {
            0 => self.varint().map(Value::Varint),
            1 => self.take(8).map(|_| Value::Skipped),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                self.take(length).map(Value::Bytes)
            }
            3 if depth < MAX_GROUP_DEPTH => self.skip_group(number, depth + 1),
            5 => self.take(4).map(|_| Value::Skipped),
            _ => Err(Malformed),
        }
    }

    fn skip_group(&mut self, group: u32, depth: usize) -> Result<Value<'a>, Malformed> {
        loop {
            match self.tag()? {
                (number, 4) if number == group => return Ok(Value::Skipped),
                (number, kind) => self.value(number, kind, depth)?,
            };
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                if index == 9 && byte > 1 {
                    return Err(Malformed);
                }
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &[u8]) -> Result<Vec<(u32, Value<'_>)>, Malformed> {
        Fields::of(message).collect()
    }

    #[test]
    fn fields_are_read_in_order() {
        let message = [0x08, 0x96, 0x01, 0x12, 0x01, b'a', 0x1d, 0, 0, 0, 0];
        assert_eq!(
            read(&message),
            Ok(vec![
                (1, Value::Varint(150)),
                (2, Value::Bytes(b"a")),
                (3, Value::Skipped)
            ])
        );
    }

    #[test]
    fn group_is_skipped_with_what_is_in_it() {
        assert_eq!(
            read(&[0x0b, 0x08, 0x01, 0x0c, 0x10, 0x01]),
            Ok(vec![(1, Value::Skipped), (2, Value::Varint(1))])
        );
        assert_eq!(read(&[0x0b, 0x08, 0x01, 0x14]), Err(Malformed));
        assert_eq!(read(&[0x0c]), Err(Malformed));
        assert_eq!(read(&[0x0b; 1000]), Err(Malformed));
    }

    #[test]
    fn cut_or_overflowing_message_is_refused() {
        for message in [&[0x0a][..], &[0x0a, 2, 1], &[0x00], &[0x08, 0x80], &[0x0f, 0]] {
            assert_eq!(read(message), Err(Malformed), "{message:?}");
        }
        let mut overflow = [0xff; 11];
        (overflow[0], overflow[10]) = (0x08, 0x02);
        assert_eq!(read(&overflow), Err(Malformed));
        overflow[10] = 1;
        assert_eq!(read(&overflow), Ok(vec![(1, Value::Varint(u64::MAX))]));
    }
}
