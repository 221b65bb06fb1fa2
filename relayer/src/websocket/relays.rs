//! Relays over a socket: a request opens a subscription, each answer to it is a relay (spec `relay.md` §5.12).

use std::time::Duration;

use bytes::Bytes;
use pocket_protocol::ServiceId;

use crate::answer::{AnsweredRelay, sign};
use crate::error_response::sign_error;
use crate::pipeline::{Pipeline, publisher_full};
use crate::refusal::Refusal;
use crate::verify::Subscription;

/// How long a full queue to Redis holds a socket back. Its backend is not read meanwhile, so nothing piles up; a
/// longer outage ends the socket.
const HOLD_BACK: Duration = Duration::from_secs(10);

impl Pipeline {
    /// Believes a request frame, whatever the service's validation mode.
    pub async fn subscribe(&self, service: &ServiceId, frame: Bytes) -> Result<Subscription, Refusal> {
        let relay = self.reception.receive_frame(service, frame, self.height()).await?;
        let verified = self.verify(relay).await.map_err(|failed| failed.1)?;
        verified.charge().await?.into_subscription().ok_or(Refusal::Unsigned)
    }

    /// Charges, signs and mines one answer, as soon as the queue to Redis has a place. `None` for an empty one, which
    /// nobody can sign. Dropped while it waits, it has done nothing.
    pub async fn answer_subscription(&self, open: &Subscription, payload: Bytes) -> Result<Option<Bytes>, Refusal> {
        if payload.is_empty() {
            return Ok(None);
        }
        if open.is_simulated() {
            let signed = sign(open.header(), payload, &open.signing_key).ok_or(Refusal::Unsigned)?;
            open.simulation_was_answered();
            return Ok(Some(signed.wire));
        }
        let slot = tokio::time::timeout(HOLD_BACK, self.outbox.reserve());
        let slot = slot.await.map_err(|_| publisher_full(&open.service))?;
        // A key that was taken away signs nothing more, though its subscription is still open.
        if !self.reception.keys.holds(open.signing_key.address()) {
            return Err(Refusal::Unsigned);
        }
        // After the wait: nothing below waits, and a session is not kept open by a full queue.
        let relay = open.relay(self.height(), &self.reception.drain).await?;
        let signed = sign(open.header(), payload, &open.signing_key).ok_or(Refusal::Unsigned)?;
        let metrics = &relay.verified.relay.route().metrics;
        metrics.served_ok.inc();
        metrics.response_size.observe(signed.wire.len() as f64);
        let (answered, wire) = AnsweredRelay::of(relay, signed, slot);
        if self.mine(answered) {
            Ok(Some(wire))
        } else {
            Err(publisher_full(&open.service))
        }
    }
}

/// The signed word that a session is over (spec `relay.md` §4.4).
pub(crate) fn session_expired(open: &Subscription) -> Bytes {
    sign_error(open.header(), 410, "session expired", &open.signing_key)
}
