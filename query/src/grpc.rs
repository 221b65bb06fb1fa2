//! The one gRPC connection to a node.

use std::time::Duration;

use pocket_protocol::Height;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::error::chain_of;
use crate::{NodeConfig, QueryError};

/// The longest answer that is read, in bytes (spec `chain.md` §1).
pub(crate) const LONGEST_ANSWER: usize = 10 << 20;

/// Connects at the first query, and again after each loss.
pub(crate) fn channel(url: &str, config: &NodeConfig) -> Result<Channel, QueryError> {
    let url = url.trim().trim_end_matches('/');
    let (tls, host) = match url.split_once("://") {
        Some(("https", host)) => (true, host),
        Some(("http", host)) => (false, host),
        Some(("tcp", host)) => (!config.grpc_insecure, host),
        Some((scheme, _)) => return Err(QueryError::Malformed(format!("gRPC does not run over {scheme}"))),
        None => (!config.grpc_insecure, url),
    };
    let scheme = if tls { "https" } else { "http" };
    let malformed = |error: tonic::transport::Error| QueryError::Malformed(format!("{url}: {}", chain_of(&error)));
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{host}"))
        .map_err(malformed)?
        .connect_timeout(config.query_timeout)
        .http2_keep_alive_interval(Duration::from_mins(1))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    if tls {
        endpoint = endpoint
            .tls_config(ClientTlsConfig::new().with_native_roots())
            .map_err(malformed)?;
    }
    Ok(endpoint.connect_lazy())
}

/// The height of the state that an answer was read from, if the node says so.
pub(crate) fn answered_at(metadata: &MetadataMap) -> Option<Height> {
    let text = metadata.get("x-cosmos-block-height")?.to_str().ok()?;
    text.parse().ok().map(Height)
}
