//! The kinds of relay that this client can send.

use std::fmt;

/// What a relay's backend speaks, and so what carries the relay. The relayer chooses the backend by it (spec `relay.md`
/// §5.2).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Mode {
    /// JSON-RPC 2.0 over HTTP POST.
    JsonRpc,
    /// Any HTTP request.
    Rest,
    /// `CometBFT`'s RPC: JSON-RPC 2.0 over HTTP.
    CometBft,
    /// JSON-RPC 2.0 over a WebSocket, a message a relay.
    WebSocket,
    /// A gRPC call, unary or with a stream of answers.
    Grpc,
    /// An HTTP request that is answered with a stream: server-sent events or NDJSON.
    Stream,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 6] = [
        Self::JsonRpc,
        Self::Rest,
        Self::CometBft,
        Self::WebSocket,
        Self::Grpc,
        Self::Stream,
    ];

    /// The header `Rpc-Type`: the number of the chain's enum. A stream is a REST relay to the chain.
    pub fn header_value(self) -> &'static str {
        match self {
            Self::Grpc => "1",
            Self::WebSocket => "2",
            Self::JsonRpc => "3",
            Self::Rest | Self::Stream => "4",
            Self::CometBft => "5",
        }
    }

    /// The name of the mode on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JsonRpc => "jsonrpc",
            Self::Rest => "rest",
            Self::CometBft => "cometbft",
            Self::WebSocket => "websocket",
            Self::Grpc => "grpc",
            Self::Stream => "stream",
        }
    }

    /// Whether an answer's body is JSON-RPC, which tells of errors under status 200.
    pub fn is_json_rpc(self) -> bool {
        matches!(self, Self::JsonRpc | Self::CometBft | Self::WebSocket)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;
    use pocket_proto::pocket::shared::RpcType as OnChain;

    use super::*;

    #[test]
    fn header_is_the_chains_number() {
        let pairs = [
            (Mode::Grpc, OnChain::Grpc),
            (Mode::WebSocket, OnChain::Websocket),
            (Mode::JsonRpc, OnChain::JsonRpc),
            (Mode::Rest, OnChain::Rest),
            (Mode::Stream, OnChain::Rest),
            (Mode::CometBft, OnChain::CometBft),
        ];
        for (ours, theirs) in pairs {
            assert_eq!(ours.header_value(), (theirs as i32).to_string());
        }
    }

    #[test]
    fn command_line_and_reports_use_one_name() {
        assert_eq!(Mode::value_variants(), Mode::ALL);
        for mode in Mode::ALL {
            assert_eq!(mode.to_possible_value().unwrap().get_name(), mode.as_str());
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.as_str());
        }
    }
}
