//! The codec: frames in and out, fragments put together.

use std::io::{self, Cursor};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_util::codec::{Decoder, Encoder};

/// Largest body of a ping, pong or close.
const CONTROL_BYTES: usize = 125;
/// Room that is made for a frame at once; a larger one makes room as it comes, so that a claim alone costs nothing. A
/// buffer that has grown beyond is not kept.
pub const ROOM: usize = 64 << 10;

/// The type of a message's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Said to be UTF-8, which nobody checks here.
    Text,
    /// Bytes.
    Binary,
}

/// A whole message, or a control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// What the peers have to say to each other.
    Data(Kind, Bytes),
    /// Wants a pong with the same body.
    Ping(Bytes),
    /// Answers a ping.
    Pong(Bytes),
    /// The last message: nothing, or a code of two bytes, big-endian, and a reason in UTF-8.
    Close(Bytes),
}

/// Why no message can be read any more.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Over the limit.
    #[error("message too big")]
    TooBig,
    /// Not what the protocol allows.
    #[error("protocol error")]
    Protocol,
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Which end of the socket we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads masked frames, writes plain ones.
    Server,
    /// The other way round.
    Client,
}

/// Reads and writes messages.
#[derive(Debug)]
pub struct MessageCodec {
    role: Role,
    /// Largest message, in bytes.
    limit: usize,
    /// A header that was read, and the length of the body that follows.
    header: Option<(FrameHeader, usize)>,
    /// The fragments of a message so far.
    partial: Option<(Kind, BytesMut)>,
}

impl MessageCodec {
    /// For one end of a socket; `limit` is the largest message that is read, in bytes.
    pub fn new(role: Role, limit: usize) -> Self {
        Self {
            role,
            limit,
            header: None,
            partial: None,
        }
    }

    /// Bytes of the message whose fragments are coming.
    fn so_far(&self) -> usize {
        self.partial.as_ref().map_or(0, |(_, bytes)| bytes.len())
    }

    fn read_header(&self, from: &mut BytesMut) -> Result<Option<(FrameHeader, usize)>, FrameError> {
        let mut cursor = Cursor::new(&from[..]);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| FrameError::Protocol)? else {
            return Ok(None);
        };
        let read = usize::try_from(cursor.position()).map_err(|_| FrameError::Protocol)?;
        from.advance(read);
        let length = usize::try_from(length).map_err(|_| FrameError::TooBig)?;
        let is_masked = header.mask.is_some();
        if header.rsv1 || header.rsv2 || header.rsv3 || is_masked != (self.role == Role::Server) {
            return Err(FrameError::Protocol);
        }
        match header.opcode {
            OpCode::Control(_) if length > CONTROL_BYTES || !header.is_final => Err(FrameError::Protocol),
            OpCode::Data(_) if length.saturating_add(self.so_far()) > self.limit => Err(FrameError::TooBig),
            _ => Ok(Some((header, length))),
        }
    }

    /// A frame's message, once it is whole.
    fn complete(&mut self, header: &FrameHeader, body: BytesMut) -> Result<Option<Message>, FrameError> {
        let kind = match header.opcode {
            OpCode::Control(Control::Ping) => return Ok(Some(Message::Ping(body.freeze()))),
            OpCode::Control(Control::Pong) => return Ok(Some(Message::Pong(body.freeze()))),
            OpCode::Control(Control::Close) => return Ok(Some(Message::Close(body.freeze()))),
            OpCode::Data(Data::Continue) => None,
            OpCode::Data(Data::Text) => Some(Kind::Text),
            OpCode::Data(Data::Binary) => Some(Kind::Binary),
            _ => return Err(FrameError::Protocol),
        };
        let (kind, bytes) = match (kind, self.partial.take()) {
            (Some(kind), None) => (kind, body),
            (None, Some((kind, mut bytes))) => {
                bytes.extend_from_slice(&body);
                (kind, bytes)
            }
            _ => return Err(FrameError::Protocol),
        };
        if header.is_final {
            return Ok(Some(Message::Data(kind, bytes.freeze())));
        }
        self.partial = Some((kind, bytes));
        Ok(None)
    }
}

impl Decoder for MessageCodec {
    type Item = Message;
    type Error = FrameError;

    fn decode(&mut self, from: &mut BytesMut) -> Result<Option<Message>, FrameError> {
        loop {
            let (header, length) = match self.header.take() {
                Some(read) => read,
                None => match self.read_header(from)? {
                    Some(read) => read,
                    None => return Ok(None),
                },
            };
            if from.len() < length {
                from.reserve((length - from.len()).min(ROOM));
                self.header = Some((header, length));
                return Ok(None);
            }
            let mut body = from.split_to(length);
            if from.is_empty() && length > ROOM {
                // What is left of the buffer would keep all of it while the socket is silent.
                *from = BytesMut::new();
            }
            if let Some(mask) = header.mask {
                apply_mask(&mut body, mask);
            }
            if let Some(message) = self.complete(&header, body)? {
                return Ok(Some(message));
            }
        }
    }
}

impl Encoder<Message> for MessageCodec {
    type Error = FrameError;

    fn encode(&mut self, message: Message, out: &mut BytesMut) -> Result<(), FrameError> {
        let (opcode, body) = match message {
            Message::Data(Kind::Text, body) => (OpCode::Data(Data::Text), body),
            Message::Data(Kind::Binary, body) => (OpCode::Data(Data::Binary), body),
            Message::Ping(body) => (OpCode::Control(Control::Ping), body),
            Message::Pong(body) => (OpCode::Control(Control::Pong), body),
            Message::Close(body) => (OpCode::Control(Control::Close), body),
        };
        // New for each frame and not to be guessed, as RFC 6455 §5.3 asks of a client.
        let mask: Option<[u8; 4]> = (self.role == Role::Client).then(rand::random);
        let header = FrameHeader {
            is_final: true,
            opcode,
            mask,
            ..FrameHeader::default()
        };
        let length = body.len() as u64;
        out.reserve(header.len(length) + body.len());
        header
            .format(length, &mut out.writer())
            .map_err(|_| FrameError::Protocol)?;
        let start = out.len();
        out.extend_from_slice(&body);
        if let Some(mask) = mask {
            apply_mask(&mut out[start..], mask);
        }
        Ok(())
    }
}

/// Masks or unmasks: both are the same.
fn apply_mask(body: &mut [u8], mask: [u8; 4]) {
    let word = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let mut words = body.chunks_exact_mut(8);
    for chunk in &mut words {
        let bytes: [u8; 8] = (&*chunk).try_into().expect("chunks of eight");
        chunk.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ word).to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(first: u8, mask: [u8; 4], body: &[u8]) -> Vec<u8> {
        let length = u8::try_from(body.len()).unwrap();
        let mut bytes = vec![first, 0x80 | length];
        bytes.extend(mask);
        bytes.extend(body.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    const LIMIT: usize = 15 << 20;

    fn codec(role: Role) -> MessageCodec {
        MessageCodec::new(role, LIMIT)
    }

    fn read(bytes: &[u8]) -> Result<Option<Message>, FrameError> {
        codec(Role::Server).decode(&mut BytesMut::from(bytes))
    }

    #[test]
    fn text_that_is_not_utf8_is_a_message() {
        let message = read(&frame(0x81, [1, 2, 3, 4], &[0xff, 0xfe, 0x0a])).unwrap();
        assert_eq!(
            message,
            Some(Message::Data(Kind::Text, Bytes::from_static(&[0xff, 0xfe, 0x0a])))
        );
    }

    #[test]
    fn fragments_are_one_message_and_pings_come_between() {
        let mut bytes = BytesMut::new();
        for (first, body) in [(0x02, &b"ab"[..]), (0x89, b"?"), (0x80, b"cd")] {
            bytes.extend(frame(first, [9, 8, 7, 6], body));
        }
        let mut codec = codec(Role::Server);
        assert_eq!(codec.decode(&mut bytes).unwrap(), Some(Message::Ping("?".into())));
        assert_eq!(
            codec.decode(&mut bytes).unwrap(),
            Some(Message::Data(Kind::Binary, "abcd".into()))
        );
    }

    #[test]
    fn what_the_protocol_forbids_is_refused() {
        let mask = [1; 4];
        let plain = [0x82, 1, b'x'];
        let cases = [
            plain.to_vec(),
            frame(0xc2, mask, b"compressed"),
            frame(0x80, mask, b"continues nothing"),
            frame(0x09, mask, b"half a ping"),
            frame(0x83, mask, b"reserved"),
        ];
        for case in cases {
            assert!(matches!(read(&case), Err(FrameError::Protocol)), "{case:x?}");
        }
    }

    #[test]
    fn frame_to_a_backend_has_a_mask_of_its_own() {
        let masked = || {
            let mut bytes = BytesMut::new();
            let message = Message::Data(Kind::Binary, Bytes::from_static(&[0; 32]));
            codec(Role::Client).encode(message, &mut bytes).unwrap();
            assert_eq!(bytes[1], 0x80 | 32);
            let (mask, body) = bytes[2..].split_at(4);
            assert!(body.chunks(4).all(|chunk| chunk == mask));
            mask.to_vec()
        };
        // Equal once in four thousand million runs.
        assert_ne!(masked(), masked());
    }

    #[test]
    fn large_message_leaves_no_buffer_behind() {
        let mut bytes = BytesMut::new();
        let message = Message::Data(Kind::Binary, vec![7; 1 << 20].into());
        codec(Role::Server).encode(message.clone(), &mut bytes).unwrap();
        assert_eq!(codec(Role::Client).decode(&mut bytes).unwrap(), Some(message));
        assert_eq!(bytes.capacity(), 0);
    }

    #[test]
    fn length_over_the_limit_is_refused_by_its_header() {
        let header = |length: u64| [&[0x82, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
        assert!(matches!(read(&header(LIMIT as u64 + 1)), Err(FrameError::TooBig)));
        assert!(matches!(read(&header(LIMIT as u64)), Ok(None)));
        assert!(read(&header(u64::MAX)).is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_alike_in_pieces(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..200) {
            let mut whole = codec(Role::Server);
            let mut buffer = BytesMut::from(&bytes[..]);
            let first = whole.decode(&mut buffer).ok().flatten();
            let mut pieces = codec(Role::Server);
            let cut = cut.min(bytes.len());
            let mut buffer = BytesMut::from(&bytes[..cut]);
            let mut again = pieces.decode(&mut buffer).ok().flatten();
            if again.is_none() {
                buffer.extend_from_slice(&bytes[cut..]);
                again = pieces.decode(&mut buffer).ok().flatten();
            }
            if first.is_some() {
                prop_assert_eq!(first, again);
            }
        }

        #[test]
        fn written_message_is_read_back(body in prop::collection::vec(any::<u8>(), 0..70_000)) {
            let mut bytes = BytesMut::new();
            let message = Message::Data(Kind::Text, body.into());
            codec(Role::Client).encode(message.clone(), &mut bytes).unwrap();
            prop_assert_eq!(codec(Role::Server).decode(&mut bytes).unwrap(), Some(message));
        }
    }
}
