//! What gateways may take of the relay port, as the configuration has it now.

use std::sync::Arc;
use std::time::Duration;

use pocket_config::{InboundConfig, RelayerConfig, ResponseCompressionConfig, WebSocketConfig};

use crate::body::BodyTime;

/// Beyond the longest time of a backend, for a request's body.
const BODY_MARGIN: Duration = Duration::from_secs(5);

/// Times and sizes of one port. A connection goes by those that held when it came, a request and a socket by those that
/// held when it began.
#[derive(Clone, Debug)]
pub(crate) struct PortLimits {
    pub inbound: InboundConfig,
    /// How long a request's body may take.
    pub body_time: BodyTime,
    /// How long a gateway may take for an answer over HTTP/2.
    pub answer_time: Duration,
    pub compression: ResponseCompressionConfig,
    /// Shared by the sockets that were opened under it.
    pub sockets: Arc<WebSocketConfig>,
}

impl PortLimits {
    /// As a configuration says.
    pub fn of(config: &RelayerConfig) -> Self {
        Self {
            inbound: config.inbound.clone(),
            body_time: BodyTime {
                whole: config.longest_request_timeout() + BODY_MARGIN,
                stall: config.inbound.stall_timeout,
            },
            answer_time: config.longest_request_timeout() + config.inbound.stall_timeout,
            compression: config.response_compression.clone(),
            sockets: Arc::new(config.web_socket.clone()),
        }
    }
}
