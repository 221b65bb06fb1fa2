//! Whether a relay is believed (spec `relay.md` §6.3).

use std::sync::Arc;

use parking_lot::Mutex;
use pocket_config::RpcType;
use pocket_keys::SigningKey;
use pocket_proto::pocket::service::RelayRequest;
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::relay::request_signable_hash;
use pocket_protocol::{Height, admission};
use pocket_query::ChainClient;
use pocket_ring::{Limits, RingSignature, VerifyError};

use crate::drain::Drain;
use crate::meter::{Charge, ChargedRelay, Meter};
use crate::metrics::Metrics;
use crate::received::ReceivedRelay;
use crate::refusal::{Invalid, Refusal};
use crate::service::Service;
use crate::session_context::{Ring, SessionContext, SessionContexts};
use crate::simulation::Trial;

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
/// `relay.md` §5.12). Only [`ChargedRelay::into_subscription`] makes one.
pub(crate) struct Subscription {
    pub request: RelayRequest,
    pub service: Arc<Service>,
    pub signing_key: Arc<SigningKey>,
    pub end: Height,
    kind: RpcType,
    origin: Origin,
}

/// What a subscription's answers become.
enum Origin {
    /// Relays.
    Session {
        context: Arc<SessionContext>,
        /// The request's own charge, for the first answer; it goes back if there is none.
        // Locked once an answer.
        prepaid: Mutex<Option<Charge>>,
    },
    /// Nothing: it is simulated. Counted with the first answer.
    Simulated(Mutex<Option<Trial>>),
}

impl VerifiedRelay {
    /// Charges the relay to its application.
    pub async fn charge(self) -> Result<ChargedRelay, Refusal> {
        let charge = match &self.context.account {
            Some(account) => account.charge().await?,
            None => Charge::none(),
        };
        Ok(ChargedRelay { verified: self, charge })
    }
}

impl ChargedRelay {
    /// Gives the relay's place in the drain back: each answer takes one for itself.
    pub fn into_subscription(self) -> Option<Subscription> {
        let Self { verified, charge } = self;
        let end = Height(verified.relay.header().session_end_block_height);
        Some(Subscription {
            end,
            request: verified.relay.request,
            service: verified.relay.service,
            signing_key: verified.relay.signing_key?,
            kind: verified.relay.kind,
            origin: Origin::Session {
                context: verified.context,
                prepaid: Mutex::new(Some(charge)),
            },
        })
    }
}

impl Subscription {
    /// Of a simulated request that was admitted.
    pub fn simulated(relay: ReceivedRelay, trial: Trial) -> Option<Self> {
        Some(Self {
            end: Height(relay.header().session_end_block_height),
            request: relay.request,
            service: relay.service,
            signing_key: relay.signing_key?,
            kind: relay.kind,
            origin: Origin::Simulated(Mutex::new(Some(trial))),
        })
    }

    /// A simulated request has its first answer, or one more.
    pub fn simulation_was_answered(&self) {
        if let Origin::Simulated(trial) = &self.origin
            && let Some(trial) = trial.lock().take()
        {
            trial.succeeded();
        }
    }

    /// Whether the request is simulated.
    pub fn is_simulated(&self) -> bool {
        matches!(self.origin, Origin::Simulated(_))
    }

    /// The relay that the next answer makes, charged. `arrival` is the height now. The drain says whether the session
    /// takes relays still.
    pub async fn relay(&self, arrival: Height, drain: &Arc<Drain>) -> Result<ChargedRelay, Refusal> {
        let Origin::Session { context, prepaid } = &self.origin else {
            return Err(Refusal::Unsigned);
        };
        let prepaid = prepaid.lock().take();
        let charge = match (prepaid, &context.account) {
            (Some(charge), _) => charge,
            (None, Some(account)) => account.charge().await?,
            (None, None) => Charge::none(),
        };
        let verified = VerifiedRelay {
            relay: ReceivedRelay {
                in_flight: drain.enter(self.end).ok_or(Invalid::Expired)?,
                // A relay owns its request; four texts are copied.
                request: self.request.clone(),
                service: self.service.clone(),
                kind: self.kind,
                signing_key: Some(self.signing_key.clone()),
                arrival,
                // What was asked for is answered: the queue to Redis bounds it.
                place: None,
            },
            context: context.clone(),
            _verified: (),
        };
        Ok(ChargedRelay { verified, charge })
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
    pub fn new(chain: ChainClient, meter: Option<Arc<Meter>>, metrics: Metrics) -> Self {
        Self {
            contexts: SessionContexts::new(chain, meter, metrics.published.clone()),
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

    /// What can be told of a relay without asking the chain and without arithmetic on curves, in a few microseconds:
    /// whether it may be answered on trust, to be verified afterwards.
    pub async fn glance(&self, relay: &ReceivedRelay) -> Result<Trust, Refusal> {
        let request = &relay.request;
        let (header, signature) = parse(relay)?;
        // Trust needs a chain that can be asked afterwards, and a session that it knows.
        let known = self
            .contexts
            .known(request, header)
            .await
            .filter(|_| relay.arrival.0 > 0);
        let Some(context) = known else { return Ok(Trust::None) };
        if is_expired(&context, relay.arrival) {
            return Err(Invalid::Expired.into());
        }
        let ring = context.ring();
        let is_member = |key: &[u8; 33]| ring.keys.iter().any(|member| member.to_bytes() == *key);
        if let Some(index) = signature.keys().position(|key| !is_member(key)) {
            if ring.is_fresh() {
                return Err(Invalid::Ring(VerifyError::Stranger(index).to_string()).into());
            }
            return Ok(Trust::None);
        }
        if context.account.as_ref().is_some_and(|account| account.is_exhausted()) {
            return Err(Refusal::StakeExhausted);
        }
        Ok(Trust::UntilAnswered(context))
    }

    async fn check(&self, relay: &ReceivedRelay) -> Result<Arc<SessionContext>, Invalid> {
        let request = &relay.request;
        // Parsed before the chain is asked anything: a forged request fails here for a microsecond.
        let (header, signature) = parse(relay)?;
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
        if !matches!(verdict, Err(VerifyError::Stranger(_))) {
            self.metrics.ring_verifications.inc();
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

/// How far a relay is believed before it is verified.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// It is verified first.
    None,
    /// It is answered first; what its session fixes is known.
    UntilAnswered(Arc<SessionContext>),
}

/// The header and signature of a relay that is one for us.
fn parse(relay: &ReceivedRelay) -> Result<(&SessionHeader, RingSignature), Invalid> {
    let header = admission::basic_request(&relay.request).map_err(|error| Invalid::Basic(error.to_string()))?;
    if relay.signing_key.is_none() {
        return Err(Invalid::ForeignSupplier(relay.supplier().to_owned()));
    }
    let signature = RingSignature::parse(&relay.signature()).map_err(|error| Invalid::Ring(error.to_string()))?;
    if signature.keys().len() > LARGEST_RING {
        return Err(Invalid::Ring(format!("more than {LARGEST_RING} members")));
    }
    Ok((header, signature))
}

/// Whether the session's grace was over when the relay came. A height of 0 is not known yet.
///
/// There is no earlier cut-off for rewards (spec `relay.md` §6.5): the session is sealed only when its last accepted
/// relay is in Redis, and the chain counts every relay of a claim.
fn is_expired(context: &SessionContext, arrival: Height) -> bool {
    arrival.0 > 0 && arrival > context.windows.grace_end
}
