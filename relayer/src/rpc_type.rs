//! What kind of backend a relay is for.

/// The RPC types that a service can be staked for, and the keys of its backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RpcType {
    /// `1`, `grpc`.
    Grpc,
    /// `2`, `websocket`.
    WebSocket,
    /// `3`, `jsonrpc`; what a relay is that says nothing.
    JsonRpc,
    /// `4`, `rest`.
    Rest,
    /// `5`, `cometbft`.
    CometBft,
}

impl RpcType {
    /// All of them, in the order of the chain's enum.
    pub const ALL: [Self; 5] = [Self::Grpc, Self::WebSocket, Self::JsonRpc, Self::Rest, Self::CometBft];

    /// Reads a digit of the chain's enum or a backend's key; anything else matches no backend (spec `relay.md` §5.2).
    pub fn from_text(text: &[u8]) -> Option<Self> {
        Some(match text {
            b"1" | b"grpc" => Self::Grpc,
            b"2" | b"websocket" => Self::WebSocket,
            b"3" | b"jsonrpc" => Self::JsonRpc,
            b"4" | b"rest" => Self::Rest,
            b"5" | b"cometbft" => Self::CometBft,
            _ => return None,
        })
    }

    /// The key of its backends in the configuration, and the label of metrics.
    pub fn key(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::WebSocket => "websocket",
            Self::JsonRpc => "jsonrpc",
            Self::Rest => "rest",
            Self::CometBft => "cometbft",
        }
    }

    /// Position in [`RpcType::ALL`], for tables by type.
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_digits_are_one_type() {
        for (index, kind) in RpcType::ALL.into_iter().enumerate() {
            assert_eq!(RpcType::from_text((index + 1).to_string().as_bytes()), Some(kind));
            assert_eq!(RpcType::from_text(kind.key().as_bytes()), Some(kind));
            assert_eq!(kind.index(), index);
        }
    }

    #[test]
    fn zero_and_unknown_words_are_no_type() {
        for text in ["0", "6", "", "JSONRPC", "json", " 3"] {
            assert_eq!(RpcType::from_text(text.as_bytes()), None, "{text}");
        }
    }
}
