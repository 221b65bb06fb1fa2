//! The kinds of relay that this client can send.

use std::fmt;

/// What a relay's backend speaks. The relayer chooses the backend by it (spec `relay.md` §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum RpcType {
    /// JSON-RPC 2.0 over HTTP POST.
    JsonRpc,
    /// Any HTTP request.
    Rest,
    /// CometBFT's RPC: JSON-RPC 2.0 over HTTP.
    CometBft,
}

impl RpcType {
    /// The header `Rpc-Type`: the number of the chain's enum.
    pub fn header_value(self) -> &'static str {
        match self {
            Self::JsonRpc => "3",
            Self::Rest => "4",
            Self::CometBft => "5",
        }
    }

    /// The name of the mode on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JsonRpc => "jsonrpc",
            Self::Rest => "rest",
            Self::CometBft => "cometbft",
        }
    }

    /// Whether an answer's body is JSON-RPC, which tells of errors under status 200.
    pub fn is_json_rpc(self) -> bool {
        matches!(self, Self::JsonRpc | Self::CometBft)
    }
}

impl fmt::Display for RpcType {
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
            (RpcType::JsonRpc, OnChain::JsonRpc),
            (RpcType::Rest, OnChain::Rest),
            (RpcType::CometBft, OnChain::CometBft),
        ];
        for (ours, theirs) in pairs {
            assert_eq!(ours.header_value(), (theirs as i32).to_string());
        }
    }

    #[test]
    fn command_line_and_reports_use_one_name() {
        for kind in RpcType::value_variants() {
            assert_eq!(kind.to_possible_value().unwrap().get_name(), kind.as_str());
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
