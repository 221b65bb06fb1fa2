//! What is hashed and signed of a relay, in the chain's canonical encoding (spec `relay.md` §2, §3.1, §4.2, §7.1).
//!
//! Hashes cover what a decoder re-creates, not the received bytes: fields in order, minimal varints,
//! defaults left out, but `meta` always written. No function here copies a payload, except into the
//! bytes of a mined relay, which hold it.

mod parts;

use bytes::Bytes;
use pocket_proto::pocket::service::{Relay, RelayRequest, RelayResponse};
use sha2::{Digest as _, Sha256};

use crate::wire::{Fields, Value};
use parts::{Meta, RelayParts, RequestParts, ResponseParts, encoded};

/// What the application's ring signs: SHA-256 of the request without its signature.
pub fn request_signable_hash(request: &RelayRequest) -> [u8; 32] {
    let mut hasher = Sha256::new();
    RequestParts {
        meta: Meta::of_request(request).unsigned(),
        payload: &request.payload,
    }
    .hash_into(&mut hasher);
    hasher.finalize().into()
}

/// SHA-256 of the response without the supplier's signature, and without its payload if it has a
/// payload hash. The supplier signs [the hash of this hash](response_digest_to_sign).
pub fn response_signable_hash(response: &RelayResponse) -> [u8; 32] {
    signable_hash(response, response.payload_hash.is_empty())
}

/// The [`response_signable_hash`] of a response decoded from `wire`. It differs for a payload hash
/// that is there but empty, which decoding forgets: that one, too, takes the payload's place.
pub fn received_response_signable_hash(response: &RelayResponse, wire: &[u8]) -> [u8; 32] {
    let has_payload_hash = Fields::of(wire).any(|field| matches!(field, Ok((4, Value::Bytes(_)))));
    signable_hash(response, !has_payload_hash)
}

fn signable_hash(response: &RelayResponse, with_payload: bool) -> [u8; 32] {
    let payload: &[u8] = if with_payload { &response.payload } else { &[] };
    let parts = ResponseParts {
        meta: Meta::of_response(response).unsigned(),
        payload,
        ..ResponseParts::of(response)
    };
    let mut hasher = Sha256::new();
    parts.hash_into(&mut hasher);
    hasher.finalize().into()
}

/// The bytes whose SHA-256 is the [`response_signable_hash`].
pub fn response_signable_bytes(response: &RelayResponse) -> Bytes {
    let payload: &[u8] = if response.payload_hash.is_empty() {
        &response.payload
    } else {
        &[]
    };
    let parts = ResponseParts {
        meta: Meta::of_response(response).unsigned(),
        payload,
        ..ResponseParts::of(response)
    };
    encoded(|out| parts.write(out), parts.len())
}

/// The digest under the supplier's ECDSA signature: SHA-256 of the signable hash, so hashed twice.
pub fn response_digest_to_sign(response: &RelayResponse) -> [u8; 32] {
    Sha256::digest(response_signable_hash(response)).into()
}

/// SHA-256 of a response's payload. An empty payload has none: the chain's signer refuses it.
pub fn payload_hash(payload: &[u8]) -> [u8; 32] {
    Sha256::digest(payload).into()
}

/// A relay as it enters the session's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinedRelay {
    /// The canonical encoding; the leaf's value.
    pub bytes: Bytes,
    /// Its SHA-256; the leaf's key, and what difficulty is measured by.
    pub hash: [u8; 32],
}

/// The relay of a complete request and its signed response, whose payload is left out.
pub fn mined_relay(request: &RelayRequest, response: &RelayResponse) -> MinedRelay {
    let bytes = RelayParts::dehydrated(request, response).encode();
    let hash = Sha256::digest(&bytes).into();
    MinedRelay { bytes, hash }
}

/// The hash of the [mined relay](mined_relay), without making its bytes: enough to see that a relay
/// misses the target.
pub fn relay_hash(request: &RelayRequest, response: &RelayResponse) -> [u8; 32] {
    let mut hasher = Sha256::new();
    RelayParts::dehydrated(request, response).hash_into(&mut hasher);
    hasher.finalize().into()
}

/// A request as the Go encoder writes it.
pub fn encode_request(request: &RelayRequest) -> Bytes {
    encoded(
        |out| RequestParts::of(request).write(out),
        RequestParts::of(request).len(),
    )
}

/// The bytes whose SHA-256 is the [`request_signable_hash`].
pub fn request_signable_bytes(request: &RelayRequest) -> Bytes {
    let parts = RequestParts {
        meta: Meta::of_request(request).unsigned(),
        payload: &request.payload,
    };
    encoded(|out| parts.write(out), parts.len())
}

/// A response as the Go encoder writes it.
pub fn encode_response(response: &RelayResponse) -> Bytes {
    encoded(
        |out| ResponseParts::of(response).write(out),
        ResponseParts::of(response).len(),
    )
}

/// A relay as the Go encoder writes it. Request and response are left out if they are absent.
pub fn encode_relay(relay: &Relay) -> Bytes {
    RelayParts {
        request: relay.req.as_ref().map(RequestParts::of),
        response: relay.res.as_ref().map(ResponseParts::of),
    }
    .encode()
}

#[cfg(test)]
mod tests {
    use pocket_proto::pocket::service::{RelayMinerError, RelayRequestMetadata, RelayResponseMetadata};
    use pocket_proto::pocket::session::SessionHeader;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn sha256(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    fn header() -> impl Strategy<Value = SessionHeader> {
        (
            "[a-z0-9]{0,50}",
            "[a-z]{0,10}",
            "[0-9a-f]{0,64}",
            any::<i64>(),
            any::<i64>(),
        )
            .prop_map(
                |(application_address, service_id, session_id, start, end)| SessionHeader {
                    application_address,
                    service_id,
                    session_id,
                    session_start_block_height: start,
                    session_end_block_height: end,
                },
            )
    }

    fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from)
    }

    prop_compose! {
        fn request()(
            session_header in prop::option::of(header()), signature in bytes(2000),
            supplier_operator_address in "[a-z0-9]{0,50}", payload in bytes(300),
        ) -> RelayRequest {
            RelayRequest {
                meta: Some(RelayRequestMetadata { session_header, signature, supplier_operator_address }),
                payload,
            }
        }
    }

    prop_compose! {
        fn response()(
            session_header in prop::option::of(header()), supplier_operator_signature in bytes(70),
            payload in bytes(300), payload_hash in bytes(40), code in prop::option::of(any::<u32>()),
        ) -> RelayResponse {
            RelayResponse {
                meta: Some(RelayResponseMetadata { session_header, supplier_operator_signature }),
                payload,
                relay_miner_error: code.map(|code| RelayMinerError { code, message: "m".into(), ..Default::default() }),
                payload_hash,
            }
        }
    }

    #[test]
    fn empty_request_still_has_its_meta() {
        assert_eq!(encode_request(&RelayRequest::default())[..], [0x0a, 0x00]);
        let both = Relay {
            req: Some(RelayRequest::default()),
            res: Some(RelayResponse::default()),
        };
        assert_eq!(encode_relay(&both)[..], [0x0a, 2, 0x0a, 0, 0x12, 2, 0x0a, 0]);
        assert!(encode_relay(&Relay::default()).is_empty());
    }

    #[test]
    fn payload_hash_that_is_there_but_empty_takes_the_payloads_place() {
        let wire = [0x0a, 0x00, 0x12, 0x01, b'p', 0x22, 0x00];
        let response = RelayResponse::decode(&wire[..]).unwrap();
        assert_eq!(received_response_signable_hash(&response, &wire), sha256(&[0x0a, 0x00]));
        assert_eq!(
            received_response_signable_hash(&response, &wire[..5]),
            sha256(&wire[..5])
        );
    }

    proptest! {
        #[test]
        fn encodings_are_prosts_and_decode_again(request in request(), response in response()) {
            let relay = Relay { req: Some(request.clone()), res: Some(response.clone()) };
            prop_assert_eq!(&encode_request(&request)[..], &request.encode_to_vec()[..]);
            prop_assert_eq!(&encode_response(&response)[..], &response.encode_to_vec()[..]);
            prop_assert_eq!(&encode_relay(&relay)[..], &relay.encode_to_vec()[..]);
            prop_assert_eq!(Relay::decode(encode_relay(&relay)).unwrap(), relay);
        }

        #[test]
        fn hashes_are_those_of_the_encodings(request in request(), response in response()) {
            let mut unsigned = request.clone();
            unsigned.meta.as_mut().unwrap().signature.clear();
            prop_assert_eq!(request_signable_hash(&request), sha256(&unsigned.encode_to_vec()));
            prop_assert_eq!(&request_signable_bytes(&request)[..], &unsigned.encode_to_vec()[..]);

            let mut unsigned = response.clone();
            unsigned.meta.as_mut().unwrap().supplier_operator_signature.clear();
            if !unsigned.payload_hash.is_empty() {
                unsigned.payload.clear();
            }
            prop_assert_eq!(response_signable_hash(&response), sha256(&unsigned.encode_to_vec()));
            prop_assert_eq!(&response_signable_bytes(&response)[..], &unsigned.encode_to_vec()[..]);
            let wire = response.encode_to_vec();
            prop_assert_eq!(received_response_signable_hash(&response, &wire), response_signable_hash(&response));
        }

        #[test]
        fn mined_relay_is_the_encoding_without_the_responses_payload(request in request(), response in response()) {
            let dehydrated = RelayResponse { payload: Bytes::new(), ..response.clone() };
            let bytes = Relay { req: Some(request.clone()), res: Some(dehydrated) }.encode_to_vec();
            let mined = mined_relay(&request, &response);
            prop_assert_eq!(&mined.bytes[..], &bytes[..]);
            prop_assert_eq!(mined.hash, sha256(&bytes));
            prop_assert_eq!(relay_hash(&request, &response), mined.hash);
        }
    }
}
