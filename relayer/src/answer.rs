//! The signed response to a relay, and the mined relay that it becomes.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use pocket_keys::SigningKey;
use pocket_proto::pocket::ha::MinedRelayMessage;
use pocket_proto::pocket::service::{RelayRequest, RelayResponse, RelayResponseMetadata};
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::Height;
use pocket_protocol::difficulty::{BASE_TARGET, is_mined};
use pocket_protocol::relay::{self, payload_hash};
use prometheus::IntCounter;
use prost::Message as _;

use crate::drain::InFlight;
use crate::meter::ChargedRelay;
use crate::outbox::{Outbox, PublishSlot};
use crate::relay_log::Noted;
use crate::session_context::SessionContext;
use crate::verify::VerifiedRelay;

/// A signed response. Only [`sign`] and [`sign_stream`] make one.
pub(crate) struct SignedResponse {
    /// What the client gets; nothing for a stream, whose batches it has.
    pub wire: Bytes,
    response: RelayResponse,
}

impl SignedResponse {
    /// What a tree holds of it.
    pub fn response(&self) -> &RelayResponse {
        &self.response
    }
}

/// Signs an envelope as the response of a session (spec `relay.md` §4.2). `None` for an empty envelope, which nobody
/// can sign.
pub(crate) fn sign(header: &SessionHeader, envelope: Bytes, key: &SigningKey) -> Option<SignedResponse> {
    if envelope.is_empty() {
        return None;
    }
    let hash = payload_hash(&envelope);
    let response = signed(header, envelope, hash, key);
    // The one buffer that goes to the socket; the payload is copied into it.
    let wire = relay::encode_response(&response);
    Some(SignedResponse { wire, response })
}

/// Signs a whole stream for mining, by the hash of all its batches' bodies (spec `relay.md` §7.1). The chain looks at
/// the hash alone.
pub(crate) fn sign_stream(header: &SessionHeader, hash: [u8; 32], key: &SigningKey) -> SignedResponse {
    SignedResponse {
        wire: Bytes::new(),
        response: signed(header, Bytes::new(), hash, key),
    }
}

fn signed(header: &SessionHeader, payload: Bytes, hash: [u8; 32], key: &SigningKey) -> RelayResponse {
    let mut response = RelayResponse {
        meta: Some(RelayResponseMetadata {
            // Three texts a response: the message owns them.
            session_header: Some(header.clone()),
            supplier_operator_signature: Bytes::new(),
        }),
        payload,
        relay_miner_error: None,
        payload_hash: Bytes::copy_from_slice(&hash),
    };
    let signature = key.sign_digest(&relay::response_digest_to_sign(&response));
    if let Some(meta) = &mut response.meta {
        meta.supplier_operator_signature = Bytes::copy_from_slice(&signature);
    }
    response
}

/// A relay that is charged and answered. Only [`AnsweredRelay::of`] makes one, from a proof of each.
pub(crate) struct AnsweredRelay {
    charged: ChargedRelay,
    response: RelayResponse,
    slot: PublishSlot,
}

impl AnsweredRelay {
    /// Joins a charged relay with its signed response, and with the place in the publisher's queue that was reserved
    /// before the backend was asked. Gives the bytes for the client too.
    pub fn of(charged: ChargedRelay, signed: SignedResponse, slot: PublishSlot) -> (Self, Bytes) {
        let answered = Self {
            charged,
            response: signed.response,
            slot,
        };
        (answered, signed.wire)
    }

    /// Mines the relay if its hash is below the target (spec `relay.md` §7). What is mined is the response that the
    /// client got. `noted` is what was written down of it before.
    pub fn mine(self, noted: Option<Noted>) -> Option<MinedRelay> {
        let ChargedRelay { verified, charge } = self.charged;
        // Mined or not: the price of a relay is that of all that are answered, on average.
        charge.spend();
        let VerifiedRelay { relay, context, .. } = verified;
        let metrics = &relay.route().metrics;
        let message = if let Some(noted) = &noted {
            metrics.mined.inc();
            noted.message.clone()
        } else {
            let Some(mined) = below_target(&relay.request, &self.response, &context) else {
                metrics.skipped.inc();
                return None;
            };
            metrics.mined.inc();
            let header = relay.request.meta.and_then(|meta| meta.session_header);
            entry(mined, header.unwrap_or_default(), &context, relay.arrival)
        };
        Some(MinedRelay {
            message,
            context,
            in_flight: relay.in_flight,
            slot: self.slot,
            noted,
        })
    }
}

/// The relay as a tree holds it, if its hash is below the target.
pub(crate) fn below_target(
    request: &RelayRequest,
    response: &RelayResponse,
    context: &SessionContext,
) -> Option<relay::MinedRelay> {
    // At a harder target nearly every relay misses: its bytes are not made at all.
    if context.target != BASE_TARGET && !is_mined(&relay::relay_hash(request, response), &context.target) {
        return None;
    }
    let mined = relay::mined_relay(request, response);
    is_mined(&mined.hash, &context.target).then_some(mined)
}

/// What Redis gets of a relay: an encoded `MinedRelayMessage`.
pub(crate) fn entry(
    mined: relay::MinedRelay,
    header: SessionHeader,
    context: &SessionContext,
    arrival: Height,
) -> Bytes {
    let message = MinedRelayMessage {
        relay_hash: Bytes::copy_from_slice(&mined.hash),
        relay_bytes: mined.bytes,
        compute_units_per_relay: context.compute_units.0,
        session_id: header.session_id,
        session_end_height: header.session_end_block_height,
        supplier_operator_address: context.supplier.as_str().to_owned(),
        service_id: header.service_id,
        application_address: header.application_address,
        arrival_block_height: arrival.0,
        published_at_unix_nano: now_nanos(),
        session_start_height: header.session_start_block_height,
    };
    message.encode_to_vec().into()
}

/// A relay that enters its session's tree. Only [`AnsweredRelay::mine`] makes one.
pub(crate) struct MinedRelay {
    message: Bytes,
    context: Arc<SessionContext>,
    in_flight: InFlight,
    slot: PublishSlot,
    noted: Option<Noted>,
}

impl MinedRelay {
    /// The series that counts it once it is published.
    pub fn published_counter(&self) -> IntCounter {
        self.context.published.clone()
    }

    /// Hands the relay to the publisher, which keeps its session open until Redis has it. Never waits; `false` only
    /// after the publisher has ended.
    pub fn publish(self, outbox: &Outbox) -> bool {
        let supplier = self.context.supplier.clone();
        match self.noted {
            None => outbox.publish(self.slot, supplier, self.message, self.in_flight),
            Some(noted) => outbox.publish_noted(self.slot, supplier, noted, self.in_flight),
        }
    }
}

fn now_nanos() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
