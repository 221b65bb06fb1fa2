//! Relays that are answered before they are verified, on disk in between.
//!
//! A relay of an optimistic service is written to the relay log before its answer goes out, with a mark that it is to be
//! verified. So a relayer that is killed between answer and verification loses nothing: the next one verifies what it
//! finds. Without a relay log, and for relays that are not mined, nothing is written.

use bytes::Bytes;
use pocket_proto::pocket::ha::MinedRelayMessage;
use pocket_proto::pocket::service::Relay;
use pocket_protocol::Height;
use prost::Message as _;

use crate::answer::{SignedResponse, below_target, entry};
use crate::pipeline::Pipeline;
use crate::received::ReceivedRelay;
use crate::refusal::Invalid;
use crate::relay_log::Noted;
use crate::session_context::SessionContext;

/// What verification says of a relay of an earlier process.
pub(crate) enum Verdict {
    /// It may go to Redis.
    Good,
    /// It is not what it should be, or nobody pays for it.
    Bad(String),
    /// The chain cannot be asked.
    Unknown(String),
}

impl Pipeline {
    /// Writes a relay down whose answer is about to go out.
    pub fn note(&self, relay: &ReceivedRelay, signed: &SignedResponse, context: &SessionContext) -> Option<Noted> {
        let log = self.outbox.log()?;
        let mined = below_target(&relay.request, signed.response(), context)?;
        // Three texts are copied: the relay needs its own for its verification.
        log.note(entry(mined, relay.header().clone(), context, relay.arrival))
    }

    /// Verifies and charges a relay that an earlier process wrote down.
    pub async fn verify_again(&self, message: &Bytes) -> Verdict {
        let Some(relay) = self.as_received(message) else {
            return Verdict::Bad("nothing that is served here".to_owned());
        };
        match self.verifier.verify(relay).await {
            Ok(verified) => match verified.charge().await {
                Ok(charged) => {
                    charged.charge.spend();
                    Verdict::Good
                }
                Err(refusal) => Verdict::Bad(refusal.label().to_owned()),
            },
            Err(failed) => match failed.1 {
                unknown @ (Invalid::ChainUnavailable(_) | Invalid::LookupsSpent(_)) => {
                    Verdict::Unknown(unknown.to_string())
                }
                invalid => Verdict::Bad(invalid.to_string()),
            },
        }
    }

    /// The relay as it came; `None` if its service, its key or its session is gone.
    fn as_received(&self, message: &Bytes) -> Option<ReceivedRelay> {
        let message = MinedRelayMessage::decode(message.clone()).ok()?;
        let relay = Relay::decode(message.relay_bytes).ok()?;
        let service = self.reception.services().get(&message.service_id)?.clone();
        Some(ReceivedRelay {
            request: relay.req?,
            kind: service.default_type,
            service,
            signing_key: self.reception.keys.get(&message.supplier_operator_address),
            arrival: Height(message.arrival_block_height),
            // Its own place is with the log.
            in_flight: self.reception.drain.enter_late(Height(message.session_end_height)),
            place: None,
        })
    }
}
