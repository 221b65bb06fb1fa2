//! A relay as the network has them.

use bytes::Bytes;
use pocket_proto::pocket::service::{RelayRequest, RelayRequestMetadata, RelayResponse, RelayResponseMetadata};
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::relay::payload_hash;

/// A request and its signed response, both with a payload of so many bytes. The signatures have the
/// right length; nothing verifies them.
pub fn relay(payload: usize) -> (RelayRequest, RelayResponse) {
    let header = SessionHeader {
        application_address: "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4".into(),
        service_id: "svc1".into(),
        session_id: "2f21730453bee5dfdb1529b3c5a902d58c1d5091fee0c45672b2bf42d8d9f8c7".into(),
        session_start_block_height: 714_901,
        session_end_block_height: 714_960,
    };
    let payload = Bytes::from(vec![b'x'; payload]);
    let request = RelayRequest {
        meta: Some(RelayRequestMetadata {
            session_header: Some(header.clone()),
            signature: Bytes::from(vec![1; 199]),
            supplier_operator_address: "pokt1v6ja23y6xg0h3wjkfxnz44qkct5tqjq8gsd4s7".into(),
        }),
        payload: payload.clone(),
    };
    let response = RelayResponse {
        meta: Some(RelayResponseMetadata {
            session_header: Some(header),
            supplier_operator_signature: Bytes::from(vec![2; 64]),
        }),
        payload_hash: payload_hash(&payload).to_vec().into(),
        payload,
        relay_miner_error: None,
    };
    (request, response)
}
