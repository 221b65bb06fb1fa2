//! The way of a relay, the same for every transport: received, verified, charged, answered, mined.
//!
//! Each step takes the value that only the step before can make. An eager service verifies before it asks the backend.
//! An optimistic one answers first, if the relay's session is known and nothing is wrong at a glance, and verifies then;
//! but what it mines is verified all the same (spec `relay.md` §6.1).
//!
//! What a warm relay allocates, apart from the HTTP libraries' own: the body if it came in pieces; four texts of its
//! request's metadata; its envelope's method, URL and headers, which become the backend's; that request's path and
//! header table; the answer's envelope; the response's three header texts, hash, signature and bytes; the mined relay
//! and its message for Redis. It asks neither chain nor Redis, and takes no lock but the drain's, the publisher's and
//! those of the caches; services, keys and limits, which a reload replaces, are atomic pointers; its charge and its place among the relays that are worked on are atomic operations.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use pocket_config::ValidationMode;
use pocket_proto::sdk::types::PokthttpRequest;
use pocket_protocol::Height;
use pocket_query::BlockFeed;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{AnsweredRelay, SignedResponse, sign};
use crate::backend::{BackendAnswer, BackendReply, Forward};
use crate::envelope;
use crate::headers::Parties;
use crate::metrics::{Metrics, RelayMetrics, UNKNOWN, observe};
use crate::outbox::{Outbox, PublishSlot};
use crate::port_limits::PortLimits;
use crate::received::{Carrier, ReceivedRelay, Reception};
use crate::refusal::{Invalid, Refusal, Unavailable};
use crate::relay_log::Noted;
use crate::service::Service;
use crate::session_context::SessionContext;
use crate::simulation::Simulation;
use crate::stream::{self, Answering, ServedStream};
use crate::verify::{Trust, VerifiedRelay, Verifier};

/// Between two attempts to verify a relay that was answered, when the chain cannot be asked.
const VERIFY_AGAIN: Duration = Duration::from_secs(1);

/// All that relays pass through.
pub(crate) struct Pipeline {
    pub reception: Reception,
    pub verifier: Verifier,
    pub simulation: Option<Simulation>,
    pub outbox: Outbox,
    /// Replaced when the configuration is read again.
    pub limits: ArcSwap<PortLimits>,
    pub feed: BlockFeed,
    pub metrics: Metrics,
    /// Optimistic relays between their answer and their verification, and streams.
    pub afterwards: TaskTracker,
    /// Of those the streams, to be counted.
    pub streams: TaskTracker,
    /// The last moment for those: what is not verified then is dropped.
    pub give_up: CancellationToken,
}

/// When a relay came to its backend and back: the moments that its times are reckoned from.
#[derive(Clone, Copy, Debug)]
struct Course {
    started: Instant,
    asked: Instant,
    answered: Instant,
}

/// What the client gets.
pub(crate) enum Served {
    /// The signed response, encoded.
    Whole(Bytes),
    /// Signed batches as they come; the relay is counted and mined at their end.
    Stream(ServedStream),
    /// The signed response to a simulated relay, encoded.
    Simulated(Bytes),
}

impl Pipeline {
    /// Serves one relay.
    pub async fn serve(self: &Arc<Self>, carrier: Carrier<'_>, body: Bytes) -> Result<Served, Refusal> {
        if let Some(simulation) = &self.simulation
            && let Some(key_id) = carrier.said().and_then(Simulation::asked)
        {
            // Boxed: rare, and every relay's future would have to be as large.
            return Box::pin(self.serve_simulated(simulation, &key_id, carrier, body)).await;
        }
        let started = Instant::now();
        let mut course = Course {
            started,
            asked: started,
            answered: started,
        };
        let (relay, envelope) = match self.reception.receive(carrier, body, self.height()).await {
            Ok(received) => received,
            Err(unreceived) => {
                let service = unreceived
                    .service
                    .as_ref()
                    .map_or(UNKNOWN, |service| service.id.as_str());
                self.count_refusal(service, unreceived.kind, &unreceived.refusal);
                return Err(unreceived.refusal);
            }
        };
        let (service, kind) = (relay.service.clone(), relay.kind);
        let trust = match carrier.mode(&service) {
            ValidationMode::Eager => Ok(Trust::None),
            ValidationMode::Optimistic => self.verifier.glance(&relay).await,
        };
        let served = match trust {
            Ok(Trust::UntilAnswered(context)) => {
                self.serve_optimistically(relay, envelope, carrier, context, &mut course)
                    .await
            }
            Ok(Trust::None) => self.serve_eagerly(relay, envelope, carrier, &mut course).await,
            Err(refusal) => {
                self.count_invalid(&service, &refusal);
                Err(refusal)
            }
        };
        match &served {
            Ok(Served::Stream(_) | Served::Simulated(_)) => {}
            Ok(Served::Whole(wire)) => {
                if let Some(route) = service.route(kind) {
                    course.count(&route.metrics, wire.len(), matches!(carrier, Carrier::Call(_)));
                }
            }
            Err(refusal) => {
                self.count_refusal(service.id.as_str(), kind.as_str(), refusal);
                if matches!(carrier, Carrier::Call(_)) {
                    let transports = &self.metrics.transports;
                    transports.call_refused(service.id.as_str(), refusal.label());
                }
            }
        }
        served
    }

    async fn serve_eagerly(
        self: &Arc<Self>,
        relay: ReceivedRelay,
        envelope: PokthttpRequest,
        carrier: Carrier<'_>,
        course: &mut Course,
    ) -> Result<Served, Refusal> {
        let verified = self.verify(relay).await.map_err(|failed| failed.1)?;
        // Only now: a forged relay that waits for the chain must not take an honest one's place.
        let slot = self.reserve(&verified.relay.service)?;
        // From here on a relay that is not answered drops its charge, and with that gives it back.
        let charged = verified.charge().await?;
        let (relay, context) = (&charged.verified.relay, &charged.verified.context);
        let forward = forward(relay, envelope, carrier, &context.parties)?;
        let answer = match self.ask(relay, forward, course).await? {
            BackendReply::Whole(answer) => answer,
            BackendReply::Stream(stream) => {
                return stream::begin(self, Answering::Charged(charged), slot, stream).map(Served::Stream);
            }
        };
        let signed = sign_answer(relay, answer)?;
        let service = relay.service.clone();
        let (answered, wire) = AnsweredRelay::of(charged, signed, slot);
        if self.mine(answered) {
            Ok(Served::Whole(wire))
        } else {
            Err(publisher_full(&service))
        }
    }

    async fn serve_optimistically(
        self: &Arc<Self>,
        relay: ReceivedRelay,
        envelope: PokthttpRequest,
        carrier: Carrier<'_>,
        context: Arc<SessionContext>,
        course: &mut Course,
    ) -> Result<Served, Refusal> {
        let slot = self.reserve(&relay.service)?;
        let parties = claimed_parties(&relay)?;
        let forward = forward(&relay, envelope, carrier, &parties)?;
        let answer = match self.ask(&relay, forward, course).await? {
            BackendReply::Whole(answer) => answer,
            BackendReply::Stream(stream) => {
                let trusted = Answering::Trusted(relay, context);
                return stream::begin(self, trusted, slot, stream).map(Served::Stream);
            }
        };
        let signed = sign_answer(&relay, answer)?;
        let wire = signed.wire.clone();
        // On disk before the answer is out.
        let noted = self.note(&relay, &signed, &context);
        let pipeline = self.clone();
        self.afterwards
            .spawn(async move { pipeline.settle(relay, signed, slot, noted).await });
        Ok(Served::Whole(wire))
    }

    /// Verifies and mines a relay that was answered on trust.
    pub async fn settle(&self, relay: ReceivedRelay, signed: SignedResponse, slot: PublishSlot, noted: Option<Noted>) {
        let service = relay.service.clone();
        let dropped = |reason: &str, noted: Option<Noted>| {
            if let Some(noted) = noted {
                noted.strike();
            }
            self.metrics
                .dropped
                .with_label_values(&[service.id.as_str(), reason])
                .inc();
        };
        let mut waiting = relay;
        let verified = loop {
            match self.verify(waiting).await {
                Ok(verified) => break verified,
                Err(failed) => {
                    let (relay, invalid) = *failed;
                    let may_be_good = matches!(invalid, Invalid::ChainUnavailable(_) | Invalid::LookupsSpent(_));
                    if !may_be_good || !relay.in_flight.is_claimable() {
                        tracing::debug!(%invalid, service = service.id.as_str(), "answered relay dropped");
                        return dropped("validation_failed", noted);
                    }
                    waiting = relay;
                }
            }
            if self
                .give_up
                .run_until_cancelled(tokio::time::sleep(VERIFY_AGAIN))
                .await
                .is_none()
            {
                if let Some(noted) = noted {
                    tracing::warn!(
                        service = service.id.as_str(),
                        "answered relay stays in the relay log: the chain cannot be asked"
                    );
                    return noted.leave(waiting.in_flight);
                }
                tracing::error!(
                    service = service.id.as_str(),
                    "answered relay lost: the chain cannot be asked"
                );
                return dropped("chain_unavailable", None);
            }
        };
        // A relay that nobody pays for is not mined: it would take a paid one's place in the claim.
        let charged = match verified.charge().await {
            Ok(charged) => charged,
            Err(refusal) => return dropped(refusal.label(), noted),
        };
        let (answered, _) = AnsweredRelay::of(charged, signed, slot);
        if !self.mine_noted(answered, noted) {
            dropped("publisher_ended", None);
        }
    }

    /// A place in the publisher's queue: without one the relay could be answered and lost.
    pub fn reserve(&self, service: &Service) -> Result<PublishSlot, Refusal> {
        self.outbox.try_reserve().ok_or_else(|| publisher_full(service))
    }

    pub async fn verify(&self, relay: ReceivedRelay) -> Result<VerifiedRelay, Box<(ReceivedRelay, Invalid)>> {
        let started = Instant::now();
        let verdict = self.verifier.verify(relay).await;
        match &verdict {
            Ok(verified) => observe(&verified.relay.route().metrics.validation_latency, started.elapsed()),
            Err(failed) => {
                let labels = [failed.0.service.id.as_str(), failed.1.label()];
                self.metrics.validation_failures.with_label_values(&labels).inc();
            }
        }
        verdict
    }

    async fn ask(&self, relay: &ReceivedRelay, forward: Forward, course: &mut Course) -> Result<BackendReply, Refusal> {
        let route = relay.route();
        course.asked = Instant::now();
        let answer = route.backends.ask(forward).await;
        course.answered = Instant::now();
        let took = course.answered - course.asked;
        match &answer {
            Ok(answer) => {
                observe(&route.metrics.backend_latency, took);
                if answer.status() == http::StatusCode::OK {
                    route.metrics.backend_ok.inc();
                } else {
                    self.count_backend(relay, "success", answer.status().as_str());
                }
            }
            Err(refusal) => {
                observe(&route.metrics.backend_failure_latency, took);
                let status = if let Refusal::BackendStatus(status) = refusal {
                    status.as_str()
                } else {
                    ""
                };
                self.count_backend(relay, refusal.label(), status);
            }
        }
        // A relay that can no longer be claimed is not served for free.
        if answer.is_ok() && !relay.in_flight.is_claimable() {
            return Err(Refusal::Invalid(Invalid::Expired));
        }
        answer
    }

    /// `false` when the relay was to be mined and the publisher has ended.
    pub fn mine(&self, answered: AnsweredRelay) -> bool {
        self.mine_noted(answered, None)
    }

    fn mine_noted(&self, answered: AnsweredRelay, noted: Option<Noted>) -> bool {
        let Some(mined) = answered.mine(noted) else {
            return true;
        };
        let published = mined.published_counter();
        let queued = mined.publish(&self.outbox);
        if queued {
            published.inc();
        }
        queued
    }

    /// Whether a relay would be refused whatever it is. Asked before its body is read: there is no cheaper way to say
    /// no.
    pub fn is_full(&self) -> bool {
        self.reception.services().load.is_full()
    }

    pub fn height(&self) -> Height {
        self.feed.height()
    }

    fn count_backend(&self, relay: &ReceivedRelay, outcome: &str, status: &str) {
        self.metrics
            .backend_requests
            .with_label_values(&[relay.service.id.as_str(), outcome, status])
            .inc();
    }

    /// Counts what was found wrong with a relay at a glance.
    fn count_invalid(&self, service: &Service, refusal: &Refusal) {
        if let Refusal::Invalid(invalid) = refusal {
            let labels = [service.id.as_str(), invalid.label()];
            self.metrics.validation_failures.with_label_values(&labels).inc();
        }
    }

    /// Counts a relay that is not served.
    pub fn count_refusal(&self, service: &str, kind: &str, refusal: &Refusal) {
        self.metrics
            .rejected
            .with_label_values(&[service, kind, refusal.label()])
            .inc();
    }
}

impl Course {
    /// Counts a relay that was answered just now.
    fn count(&self, metrics: &RelayMetrics, size: usize, is_call: bool) {
        let now = Instant::now();
        metrics.served_ok.inc();
        metrics.response_size.observe(size as f64);
        observe(&metrics.relay_latency, now - self.started);
        observe(&metrics.before_backend, self.asked - self.started);
        observe(&metrics.after_backend, now - self.answered);
        if is_call {
            metrics.calls.served.inc();
            observe(&metrics.calls.latency, now - self.started);
        }
    }
}

/// The inner request as it goes to the backend.
pub(crate) fn forward(
    relay: &ReceivedRelay,
    envelope: PokthttpRequest,
    carrier: Carrier<'_>,
    parties: &Parties,
) -> Result<Forward, Refusal> {
    let nothing = HeaderMap::new();
    let outer = carrier.outer_headers().unwrap_or(&nothing);
    let method = match envelope.method.as_str() {
        "" => Method::GET,
        method => Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::Unforwardable)?,
    };
    Ok(Forward {
        method,
        url: envelope.url,
        headers: relay
            .route()
            .backends
            .headers()
            .for_request(envelope.header, outer, parties),
        body: envelope.body_bz,
        may_stream: matches!(carrier, Carrier::Request(_)),
    })
}

/// Supplier and application as a relay names them, before it is verified.
pub(crate) fn claimed_parties(relay: &ReceivedRelay) -> Result<Parties, Refusal> {
    let text = |text: &str| HeaderValue::from_str(text).map_err(|_| Refusal::Undecodable);
    Ok(Parties {
        supplier: text(relay.supplier())?,
        service: relay.service.id_header.clone(),
        application: text(&relay.header().application_address)?,
    })
}

pub(crate) fn publisher_full(service: &Service) -> Refusal {
    Refusal::Unavailable {
        service: service.id.as_str().to_owned(),
        reason: Unavailable::PublisherFull,
    }
}

fn sign_answer(relay: &ReceivedRelay, answer: BackendAnswer) -> Result<SignedResponse, Refusal> {
    let key = relay.signing_key.as_ref().ok_or(Refusal::Unsigned)?;
    let envelope = envelope::encode(&answer);
    // A large body is in memory twice at any moment, not three times.
    drop(answer);
    sign(relay.header(), envelope, key).ok_or(Refusal::Unsigned)
}
