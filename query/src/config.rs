//! Where the node is, and how long it may take.

use std::time::Duration;

use crate::RetryPolicy;

/// A full node's endpoints (spec `chain.md` §1).
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// `CometBFT` RPC, `http` or `https`; the WebSocket is the same host with path `/websocket`.
    pub rpc_url: String,
    /// gRPC as `host:port`, or with `http://`, `https://` or `tcp://` before it.
    pub grpc_url: String,
    /// Speak gRPC in plain text. Otherwise TLS with the system's roots, unless the URL says `http://`.
    pub grpc_insecure: bool,
    /// The time one attempt at one query may take.
    pub query_timeout: Duration,
    /// The chain the node must be on; `None` takes whatever the node says.
    pub chain_id: Option<String>,
    /// How often and how fast a query is asked again when the node does not answer.
    pub retry: RetryPolicy,
}

impl NodeConfig {
    /// Plain-text gRPC, five seconds a query, any chain.
    pub fn new(rpc_url: impl Into<String>, grpc_url: impl Into<String>) -> Self {
        Self {
            rpc_url: rpc_url.into(),
            grpc_url: grpc_url.into(),
            grpc_insecure: true,
            query_timeout: Duration::from_secs(5),
            chain_id: None,
            retry: RetryPolicy::default(),
        }
    }
}
