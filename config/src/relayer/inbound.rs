//! What gateways may take of a relayer: time on their connections, and the bounds of a WebSocket.

use std::time::Duration;

use crate::codec::{Amount, Choice, Count, Named, Section};
use crate::duration::Seconds;
use crate::reader::Fields;

/// `inbound`: connections of gateways. The peer has fixed values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundConfig {
    /// `idle_timeout_seconds`: until the whole head of a request is there, between requests too; 120 s.
    pub idle_timeout: Duration,
    /// `stall_timeout_seconds`: how long a gateway may send nothing of a body that it has begun, or take nothing of an
    /// answer; 30 s.
    pub stall_timeout: Duration,
}

impl Section for InboundConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let mut seconds = |name, default| fields.or_if_zero::<Seconds<0>>(name, Duration::from_secs(default));
        Self {
            idle_timeout: seconds("idle_timeout_seconds", 120),
            stall_timeout: seconds("stall_timeout_seconds", 30),
        }
    }
}

/// `websocket`: both legs of a WebSocket. The peer has the same values, but fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketConfig {
    /// `handshake_signature`: what is done with `Pocket-Signature`; `ignore`.
    pub handshake_signature: HandshakeSignature,
    /// `max_message_size_bytes`: of a message, either way; 15 MiB.
    pub max_message_size_bytes: u64,
    /// `max_messages_per_second`: from one gateway's socket, on average; as many may come at once. `None` (0) for no
    /// limit.
    pub max_messages_per_second: Option<u32>,
    /// `ping_interval_seconds`: between our pings; 27 s.
    pub ping_interval: Duration,
    /// `idle_timeout_seconds`: how long a peer may say nothing, not even a pong; 30 s.
    pub idle_timeout: Duration,
    /// `write_timeout_seconds`: how long a peer may take for one message; 10 s.
    pub write_timeout: Duration,
}

impl Section for WebSocketConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let mut seconds = |name, default| fields.or_if_zero::<Seconds<0>>(name, Duration::from_secs(default));
        let ping_interval = seconds("ping_interval_seconds", 27);
        let idle_timeout = seconds("idle_timeout_seconds", 30);
        let write_timeout = seconds("write_timeout_seconds", 10);
        if ping_interval >= idle_timeout && fields.sound(&["ping_interval_seconds"]) {
            fields.impossible(
                &["ping_interval_seconds"],
                "is not below idle_timeout_seconds: a silent peer would be cut off before it was asked",
                "ping more often, or allow a longer silence",
            );
        }
        Self {
            handshake_signature: fields
                .or::<Choice<HandshakeSignature>>("handshake_signature", HandshakeSignature::Ignore),
            max_message_size_bytes: fields.or_if_zero::<Amount>("max_message_size_bytes", 15 << 20),
            max_messages_per_second: Some(fields.or::<Count>("max_messages_per_second", 0)).filter(|rate| *rate > 0),
            ping_interval,
            idle_timeout,
            write_timeout,
        }
    }
}

/// What is done with the signature of a WebSocket's handshake (spec `relay.md` §5.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeSignature {
    /// It is not looked at: every message is signed by itself.
    Ignore,
    /// One that is there must be right.
    Verify,
    /// It must be there and right.
    Require,
}

impl Named for HandshakeSignature {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("ignore", Self::Ignore),
        ("verify", Self::Verify),
        ("require", Self::Require),
    ];
}
