//! The primitives of a gob stream.

/// Bytes that are no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early, or a length leads past their end.
    #[error("the proof is cut off")]
    CutOff,
    /// A number, length, type or field that Go refuses.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// The value is of a type that is no proof.
    #[error("not a proof: {0}")]
    WrongType(&'static str),
}

/// Reads from the front of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn take(&mut self, length: u64) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(length).map_err(|_| DecodeError::CutOff)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(DecodeError::CutOff)?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn uint(&mut self) -> Result<u64, DecodeError> {
        let first = self.take(1)?[0];
        if first < 128 {
            return Ok(first.into());
        }
        let length = first.wrapping_neg();
        if length > 8 {
            return Err(DecodeError::Malformed("integer"));
        }
        let bytes = self.take(length.into())?;
        Ok(bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    pub fn int(&mut self) -> Result<i64, DecodeError> {
        let number = self.uint()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.uint()?;
        self.take(length)
    }

    /// A list whose elements `read` reads.
    pub fn list(&mut self, mut read: impl FnMut(&mut Self) -> Result<(), DecodeError>) -> Result<(), DecodeError> {
        for _ in 0..self.uint()? {
            if self.is_empty() {
                return Err(DecodeError::CutOff);
            }
            read(self)?;
        }
        Ok(())
    }

    /// A struct of `count` fields, whose values `read` reads, given the field's index. As in Go, the end of the bytes
    /// ends a struct too.
    pub fn fields(
        &mut self,
        count: usize,
        mut read: impl FnMut(usize, &mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut next = 0u64;
        while !self.is_empty() {
            let distance = self.uint()?;
            if distance == 0 {
                break;
            }
            next = next.saturating_add(distance);
            if next > count as u64 {
                return Err(DecodeError::Malformed("field number"));
            }
            read(next as usize - 1, self)?;
        }
        Ok(())
    }
}
