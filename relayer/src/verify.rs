//! Whether a relay is believed (spec `relay.md` §6.3).

use std::sync::Arc;

use pocket_config::RpcType;
use pocket_keys::SigningKey;
use pocket_proto::pocket::service::RelayRequest;
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::relay::request_signable_hash;
use pocket_protocol::{Height, admission};
use pocket_query::ChainClient;
use pocket_ring::{Limits, RingSignature, VerifyError};

use crate::drain::InFlight;
use crate::metrics::Metrics;
use crate::received::ReceivedRelay;
use crate::refusal::Invalid;
use crate::service::Service;
use crate::session_context::{Ring, SessionContext, SessionContexts};

/// Most members of a ring, repetitions counted. Applications may delegate to seven gateways; a larger ring of members
/// that repeat would be a way to make us work.
const LARGEST_RING: usize = 64;

/// A relay whose session, supplier, timing and ring are right. Only [`Verifier::verify`] makes one.
pub(crate) struct VerifiedRelay {
    pub relay: ReceivedRelay,
    pub context: Arc<SessionContext>,
    // No one outside can make one.
    _verified: (),
}

/// A request that was believed and may be answered any number of times, each time as a relay of its own (spec
/// `relay.md` §5.12). Only [`VerifiedRelay::into_subscription`] makes one.
pub(crate) struct Subscription {
    pub request: RelayRequest,
    pub service: Arc<Service>,
    pub signing_key: Arc<SigningKey>,
    pub end: Height,
    kind: RpcType,
    context: Arc<SessionContext>,
}

impl VerifiedRelay {
    /// Gives the relay's place in the drain back: each answer takes one for itself.
    pub fn into_subscription(self) -> Option<Subscription> {
        let end = Height(self.relay.header().session_end_block_height);
        Some(Subscription {
            end,
            request: self.relay.request,
            service: self.relay.service,
            signing_key: self.relay.signing_key?,
            kind: self.relay.kind,
            context: self.context,
        })
    }
}

impl Subscription {
    /// The relay that the next answer makes. `in_flight` is its place in the drain: the session takes relays still.
    pub fn relay(&self, arrival: Height, in_flight: InFlight) -> VerifiedRelay {
        VerifiedRelay {
            relay: ReceivedRelay {
                // A relay owns its request; four texts are copied.
                request: self.request.clone(),
                service: self.service.clone(),
                kind: self.kind,
                signing_key: Some(self.signing_key.clone()),
                arrival,
                in_flight,
            },
            context: self.context.clone(),
            _verified: (),
        }
    }

    /// The request's session header; reception has seen that it is there.
    pub fn header(&self) -> &SessionHeader {
        let meta = self.request.meta.as_ref();
        meta.and_then(|meta| meta.session_header.as_ref())
            .expect("a relay is received only with a session header")
    }
}

/// Checks relays against the chain.
pub(crate) struct Verifier {
    contexts: SessionContexts,
    rings: Arc<pocket_ring::Verifier>,
    metrics: Metrics,
}

impl Verifier {
    pub fn new(chain: ChainClient, metrics: Metrics) -> Self {
        Self {
            contexts: SessionContexts::new(chain),
            rings: Arc::new(pocket_ring::Verifier::new(Limits::default())),
            metrics,
        }
    }

    /// The tables behind ring verification, for the task that builds the large ones.
    pub fn rings(&self) -> &Arc<pocket_ring::Verifier> {
        &self.rings
    }

    /// Believes a relay, or gives it back with what is wrong. The relay holds its place in the drain already, so what
    /// is found out about its timing stays true.
    pub async fn verify(&self, relay: ReceivedRelay) -> Result<VerifiedRelay, Box<(ReceivedRelay, Invalid)>> {
        match self.check(&relay).await {
            Ok(context) => Ok(VerifiedRelay {
                relay,
                context,
                _verified: (),
            }),
            Err(invalid) => Err(Box::new((relay, invalid))),
        }
    }

    async fn check(&self, relay: &ReceivedRelay) -> Result<Arc<SessionContext>, Invalid> {
        let request = &relay.request;
        let header = admission::basic_request(request).map_err(|error| Invalid::Basic(error.to_string()))?;
        if relay.signing_key.is_none() {
            return Err(Invalid::ForeignSupplier(relay.supplier().to_owned()));
        }
        // Parsed before the chain is asked anything: a forged request fails here for a microsecond.
        let signature = RingSignature::parse(&relay.signature()).map_err(|error| Invalid::Ring(error.to_string()))?;
        if signature.keys().len() > LARGEST_RING {
            return Err(Invalid::Ring(format!("more than {LARGEST_RING} members")));
        }
        let context = self.contexts.get(request, header, relay.arrival).await?;
        if is_expired(&context, relay.arrival) {
            return Err(Invalid::Expired);
        }
        let message = request_signable_hash(request);
        let mut ring = context.ring();
        let mut verdict = self.rings.verify(&message, &signature, &ring.keys);
        if matches!(verdict, Err(VerifyError::Stranger(_)))
            && let Some(newer) = self.contexts.newer_ring(&context).await?
        {
            verdict = self.rings.verify(&message, &signature, &newer.keys);
            ring = newer;
        }
        verdict.map_err(|error| Invalid::Ring(error.to_string()))?;
        self.count_placeholder(&ring, header.service_id.as_str());
        Ok(context)
    }

    fn count_placeholder(&self, ring: &Ring, service: &str) {
        if ring.has_placeholder {
            self.metrics.placeholder_rings.with_label_values(&[service]).inc();
        }
    }
}

/// Whether the session's grace was over when the relay came. A height of 0 is not known yet.
///
/// There is no earlier cut-off for rewards (spec `relay.md` §6.5): the session is sealed only when its last accepted
/// relay is in Redis, and the chain counts every relay of a claim.
fn is_expired(context: &SessionContext, arrival: Height) -> bool {
    arrival.0 > 0 && arrival > context.windows.grace_end
}
