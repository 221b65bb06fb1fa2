//! What is counted of one transport alone, under the Go peer's names.

use pocket_metrics::Registry;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::LATENCIES;

/// Streamed answers, `WebSocket`s, and gRPC calls.
#[derive(Clone, Debug)]
pub(crate) struct TransportMetrics {
    pub streams_served: IntCounterVec,
    pub stream_bytes: IntCounter,
    pub stream_batches: IntCounter,
    sockets_open: IntGaugeVec,
    sockets: IntCounterVec,
    messages: IntCounterVec,
    socket_relays: IntCounterVec,
    calls: IntCounterVec,
    call_errors: IntCounterVec,
    call_latency: HistogramVec,
}

/// What one socket counts with. It is open until this is dropped.
#[derive(Debug)]
pub(crate) struct SocketMetrics {
    open: IntGauge,
    pub to_backend: IntCounter,
    pub to_gateway: IntCounter,
    pub relays: IntCounter,
}

/// What the calls of one service count with.
#[derive(Clone, Debug)]
pub(crate) struct CallMetrics {
    pub served: IntCounter,
    pub latency: Histogram,
}

impl TransportMetrics {
    /// Registers all of them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let by_service = &["service_id"];
        Ok(Self {
            streams_served: registry.counters(
                "ha_relayer_streaming_relays_served_total",
                "Relays whose answer was a stream, to its end.",
                by_service,
            )?,
            stream_bytes: registry.counter(
                "ha_relayer_streaming_bytes_forwarded_total",
                "Bytes of streamed answers that were sent, signatures included.",
            )?,
            stream_batches: registry.counter(
                "ha_relayer_streaming_batches_signed_total",
                "Batches of streamed answers that were signed and sent.",
            )?,
            sockets_open: registry.gauges(
                "ha_relayer_websocket_connections_active",
                "WebSockets of gateways that are open.",
                by_service,
            )?,
            sockets: registry.counters(
                "ha_relayer_websocket_connections_total",
                "WebSockets of gateways that were opened.",
                by_service,
            )?,
            messages: registry.counters(
                "ha_relayer_websocket_messages_forwarded_total",
                "Messages that were passed on over WebSockets.",
                &["service_id", "direction"],
            )?,
            socket_relays: registry.counters(
                "ha_relayer_websocket_relays_emitted_total",
                "Messages of backends that were signed and charged as relays.",
                by_service,
            )?,
            calls: registry.counters(
                "ha_relayer_grpc_relays_total",
                "Relays over gRPC and gRPC-Web that were answered.",
                by_service,
            )?,
            call_errors: registry.counters(
                "ha_relayer_grpc_relay_errors_total",
                "Relays over gRPC and gRPC-Web that were refused.",
                &["service_id", "reason"],
            )?,
            call_latency: registry.histograms(
                "ha_relayer_grpc_relay_latency_seconds",
                "From a call's message read to its response made.",
                by_service,
                &LATENCIES,
            )?,
        })
    }

    /// Of one socket of a service.
    pub fn socket(&self, service: &str) -> SocketMetrics {
        self.sockets.with_label_values(&[service]).inc();
        let open = self.sockets_open.with_label_values(&[service]);
        open.inc();
        SocketMetrics {
            open,
            to_backend: self.messages.with_label_values(&[service, "gateway_to_backend"]),
            to_gateway: self.messages.with_label_values(&[service, "backend_to_gateway"]),
            relays: self.socket_relays.with_label_values(&[service]),
        }
    }

    /// Of a service's calls.
    pub fn calls(&self, service: &str) -> CallMetrics {
        CallMetrics {
            served: self.calls.with_label_values(&[service]),
            latency: self.call_latency.with_label_values(&[service]),
        }
    }

    /// Counts a call that is refused.
    pub fn call_refused(&self, service: &str, reason: &str) {
        self.call_errors.with_label_values(&[service, reason]).inc();
    }
}

impl Drop for SocketMetrics {
    fn drop(&mut self) {
        self.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_is_open_until_it_is_dropped() {
        let metrics = TransportMetrics::register(&Registry::new()).unwrap();
        let open = || metrics.sockets_open.with_label_values(&["svc"]).get();
        let socket = metrics.socket("svc");
        let other = metrics.socket("svc");
        assert_eq!(open(), 2);
        drop(socket);
        assert_eq!(open(), 1);
        drop(other);
        assert_eq!((open(), metrics.sockets.with_label_values(&["svc"]).get()), (0, 2));
    }
}
