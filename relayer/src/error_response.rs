//! The signed word that a relay failed (spec `relay.md` §4.4), where a protocol has no better one.

use bytes::Bytes;
use pocket_keys::SigningKey;
use pocket_proto::pocket::service::{RelayMinerError, RelayResponse, RelayResponseMetadata};
use pocket_proto::pocket::session::SessionHeader;
use pocket_proto::sdk::types::{Header, PokthttpResponse};
use pocket_protocol::relay::{encode_response, payload_hash, response_digest_to_sign};
use prost::Message as _;

/// A signed response that says `code`, a status of HTTP, and `text`. It is never mined.
pub(crate) fn sign_error(header: &SessionHeader, code: u32, text: &str, key: &SigningKey) -> Bytes {
    let json = Header {
        key: "Content-Type".to_owned(),
        values: vec!["application/json".to_owned()],
    };
    let envelope = PokthttpResponse {
        status_code: code,
        header: [("Content-Type".to_owned(), json)].into(),
        body_bz: serde_json::json!({ "error": text }).to_string().into(),
    };
    let payload = Bytes::from(envelope.encode_to_vec());
    let mut response = RelayResponse {
        meta: Some(RelayResponseMetadata {
            session_header: Some(header.clone()),
            supplier_operator_signature: Bytes::new(),
        }),
        payload_hash: Bytes::copy_from_slice(&payload_hash(&payload)),
        payload,
        // Inside the signed bytes: set before signing.
        relay_miner_error: Some(RelayMinerError {
            code,
            description: text.to_owned(),
            ..RelayMinerError::default()
        }),
    };
    let signature = key.sign_digest(&response_digest_to_sign(&response));
    if let Some(meta) = &mut response.meta {
        meta.supplier_operator_signature = Bytes::copy_from_slice(&signature);
    }
    encode_response(&response)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spec `relay.md` §11.7.
    #[test]
    fn expiry_is_signed_as_the_spec_has_it() {
        let header = SessionHeader {
            application_address: "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4".to_owned(),
            service_id: "svc1".to_owned(),
            session_id: "simv1:1700000000:0011223344556677".to_owned(),
            session_start_block_height: 1,
            session_end_block_height: 2,
        };
        let key = hex::decode("1a11ef074d9b51e46886dc9a1df11e7b986611d0f336bdcf1f0adce3e037ab11").unwrap();
        let key = SigningKey::from_bytes(&key).unwrap();
        let expected = concat!(
            "0a9e010a5a0a2b706f6b74316d7271743566377168387578733237636a6d397437763965373461397676646e71356a7661341204",
            "737663311a2173696d76313a313730303030303030303a3030313132323333343435353636373720012802124",
            "0c14c79cf86b5509a832f24b2c518a39a29b151e1d8e80f7204f907c9b6393ef047778b00dc4e072c19fbd7268b80aa486c51af9",
            "a3651f1cd5636a2e87bb06e851252089a0312300a0c436f6e74656e742d5479706512200a0c436f6e74656e742d5479706512106",
            "170706c69636174696f6e2f6a736f6e1a1b7b226572726f72223a2273657373696f6e2065787069726564227d1a14109a031a0f73",
            "657373696f6e20657870697265642220052514c77102300ff295d8f877322f7bbaababcf69b18091e820ae194ed24c4f",
        );
        assert_eq!(hex::encode(sign_error(&header, 410, "session expired", &key)), expected);
    }
}
