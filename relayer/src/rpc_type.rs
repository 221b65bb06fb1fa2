//! What kind of backend a relay is for.

use pocket_config::RpcType;

/// All types, in the order of the chain's enum.
pub(crate) const ALL: [RpcType; 5] = [
    RpcType::Grpc,
    RpcType::WebSocket,
    RpcType::JsonRpc,
    RpcType::Rest,
    RpcType::CometBft,
];

/// Reads `Rpc-Type`: a digit of the chain's enum or a backend's key; anything else matches no backend (spec
/// `relay.md` §5.2).
pub(crate) fn from_header(value: &[u8]) -> Option<RpcType> {
    Some(match value {
        b"1" | b"grpc" => RpcType::Grpc,
        b"2" | b"websocket" => RpcType::WebSocket,
        b"3" | b"jsonrpc" => RpcType::JsonRpc,
        b"4" | b"rest" => RpcType::Rest,
        b"5" | b"cometbft" => RpcType::CometBft,
        _ => return None,
    })
}

/// Position in [`ALL`], for tables by type.
pub(crate) fn index(kind: RpcType) -> usize {
    kind as usize - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_digits_are_one_type() {
        for (position, kind) in ALL.into_iter().enumerate() {
            assert_eq!(from_header((position + 1).to_string().as_bytes()), Some(kind));
            assert_eq!(from_header(kind.as_str().as_bytes()), Some(kind));
            assert_eq!(index(kind), position);
        }
    }

    #[test]
    fn zero_and_unknown_words_are_no_type() {
        for text in ["0", "6", "", "JSONRPC", "json", " 3"] {
            assert_eq!(from_header(text.as_bytes()), None, "{text}");
        }
    }
}
