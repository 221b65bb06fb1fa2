//! Where the nodes are, and how long they may take.

use std::time::Duration;

use crate::RetryPolicy;

/// The endpoints of a full node, or of several of one network (spec `chain.md` §1). Neither list may be empty; the two
/// need not be of the same nodes.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// `CometBFT` RPC, `http` or `https`; the WebSocket is the same host with path `/websocket`.
    pub rpc_urls: Vec<String>,
    /// gRPC as `host:port`, or with `http://`, `https://` or `tcp://` before it.
    pub grpc_urls: Vec<String>,
    /// Speak gRPC in plain text. Otherwise TLS with the system's roots, unless the URL says `http://`.
    pub grpc_insecure: bool,
    /// The time one attempt at one query may take.
    pub query_timeout: Duration,
    /// The chain the nodes must be on; `None` takes what the first that answers says.
    pub chain_id: Option<String>,
    /// How often and how fast a query is asked again when the node does not answer.
    pub retry: RetryPolicy,
    /// Of several nodes, one that is more blocks behind the best is not used, and one that is as much before all
    /// others is not believed.
    pub max_lag: i64,
    /// Between two looks at where each of several nodes is.
    pub look_every: Duration,
}

impl NodeConfig {
    /// One node: plain-text gRPC, five seconds a query, any chain.
    pub fn new(rpc_url: impl Into<String>, grpc_url: impl Into<String>) -> Self {
        Self::several([rpc_url], [grpc_url])
    }

    /// Several nodes, as [`new`](Self::new) otherwise.
    pub fn several<R: Into<String>, G: Into<String>>(
        rpc_urls: impl IntoIterator<Item = R>,
        grpc_urls: impl IntoIterator<Item = G>,
    ) -> Self {
        Self {
            rpc_urls: rpc_urls.into_iter().map(Into::into).collect(),
            grpc_urls: grpc_urls.into_iter().map(Into::into).collect(),
            grpc_insecure: true,
            query_timeout: Duration::from_secs(5),
            chain_id: None,
            retry: RetryPolicy::default(),
            max_lag: 3,
            look_every: Duration::from_secs(2),
        }
    }
}
