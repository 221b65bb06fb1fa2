//! WebSocket messages on a byte stream (RFC 6455 §5), without a handshake and without extensions.
//!
//! Frames are read here and not by the library's socket, because that refuses text which is not UTF-8: gateways and
//! relayers send protobuf in text frames (spec `relay.md` §5.12). Touches nothing but the bytes it is given.

mod codec;

pub use codec::{FrameError, Kind, Message, MessageCodec, ROOM, Role};
