//! Relays of the local network, answered and mined without a gateway, a relayer or a backend.

use bytes::Bytes;
use pocket_proto::pocket::ha::MinedRelayMessage;
use pocket_proto::pocket::service::{RelayRequest, RelayRequestMetadata, RelayResponse, RelayResponseMetadata};
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::relay::{mined_relay, payload_hash, request_signable_hash, response_signable_hash};
use pocket_ring::{PrivateKey, PublicKey, Signer};

use crate::Actor;

/// Makes relays of one application's session with one supplier: the gateway `gateway1` asks, and what it asks and
/// hears is signed as the chain wants it of a claim's proven leaf.
pub struct RelayMaker {
    header: SessionHeader,
    supplier: Actor,
    signer: Signer,
    compute_units: u64,
}

impl RelayMaker {
    /// For the session of `header`, the application and supplier of these names, and a relay's compute units.
    pub fn new(header: SessionHeader, application: &str, supplier: &str, compute_units: u64) -> Self {
        let gateway =
            PrivateKey::parse(&Actor::named("gateway1").private_key).expect("an actor's private key is a good one");
        let application =
            PublicKey::parse(&Actor::named(application).public_key).expect("an actor's public key is a good one");
        let ring = [application, gateway.public_key()];
        Self {
            header,
            supplier: Actor::named(supplier),
            signer: Signer::new(gateway, &ring).expect("the gateway is in the ring"),
            compute_units,
        }
    }

    /// The mined relay of this question and answer, as a relayer hands it to miners.
    pub fn mined(&self, question: Bytes, answer: Bytes) -> MinedRelayMessage {
        let mut request = RelayRequest {
            meta: Some(RelayRequestMetadata {
                session_header: Some(self.header.clone()),
                signature: Bytes::new(),
                supplier_operator_address: self.supplier.address.clone(),
            }),
            payload: question,
        };
        let signature = self.signer.sign(&request_signable_hash(&request), &mut rand::rng());
        if let Some(meta) = &mut request.meta {
            meta.signature = signature.to_bytes().into();
        }
        let mut response = RelayResponse {
            meta: Some(RelayResponseMetadata {
                session_header: Some(self.header.clone()),
                ..RelayResponseMetadata::default()
            }),
            payload_hash: Bytes::copy_from_slice(&payload_hash(&answer)),
            payload: answer,
            relay_miner_error: None,
        };
        let signature = self.supplier.sign(&response_signable_hash(&response));
        if let Some(meta) = &mut response.meta {
            meta.supplier_operator_signature = Bytes::copy_from_slice(&signature);
        }
        let relay = mined_relay(&request, &response);
        MinedRelayMessage {
            relay_hash: Bytes::copy_from_slice(&relay.hash),
            relay_bytes: relay.bytes,
            compute_units_per_relay: self.compute_units,
            session_id: self.header.session_id.clone(),
            session_end_height: self.header.session_end_block_height,
            supplier_operator_address: self.supplier.address.clone(),
            service_id: self.header.service_id.clone(),
            application_address: self.header.application_address.clone(),
            arrival_block_height: self.header.session_start_block_height,
            published_at_unix_nano: 0,
            session_start_height: self.header.session_start_block_height,
        }
    }
}
