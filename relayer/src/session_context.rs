//! All that a session fixes for its relays, fetched once.
//!
//! A relay of a known session asks neither the chain nor Redis: it finds its context here. What is in it never changes
//! while the session counts, but for the ring, to which gateways may be added: it is read again when a signature has
//! a member that is not in it.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use equivalent::Equivalent;
use http::HeaderValue;
use moka::future::Cache;
use pocket_proto::pocket::service::RelayRequest;
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::rings::{PLACEHOLDER_ADDRESS, ring_addresses};
use pocket_protocol::{ComputeUnits, Height, SupplierAddress, Windows, admission};
use pocket_query::{ChainClient, QueryError};
use pocket_ring::PublicKey;
use prometheus::{IntCounter, IntCounterVec};

use crate::headers::Parties;
use crate::lookups::{Lookups, check_grid};
use crate::meter::{Account, Holder, Meter};
use crate::refusal::Invalid;

/// Most contexts that are kept; the least used go first.
const CONTEXTS: u64 = 65_536;
/// A context that no relay asks for is of a session that is over.
const IDLE: Duration = Duration::from_mins(30);
/// How old a ring must be before it is read again for a stranger's sake.
const RING_REFRESH: Duration = Duration::from_secs(15);
/// A "no" is given again without a look for so long.
const REFUSAL_HOLDS: Duration = Duration::from_secs(2);
/// Most refusals that are kept.
const REFUSALS: u64 = 16_384;

/// What a session and supplier fix.
#[derive(Debug)]
pub(crate) struct SessionContext {
    /// Operator, one of the session's.
    pub supplier: SupplierAddress,
    /// When its relays stop counting.
    pub windows: Windows,
    /// Relays whose hash is below are mined: the value at the session's start.
    pub target: [u8; 32],
    /// Weight of a relay: the value at the session's start.
    pub compute_units: ComputeUnits,
    /// What backends are told.
    pub parties: Parties,
    /// What the application can still pay; `None` when nobody counts.
    pub account: Option<Arc<Account>>,
    /// Counts its relays that are published.
    pub published: IntCounter,
    application: String,
    end: Height,
    ring: ArcSwap<Ring>,
}

/// The keys that may sign for an application.
#[derive(Debug)]
pub(crate) struct Ring {
    pub keys: Vec<PublicKey>,
    /// Whether one of them is the key whose private half everybody knows.
    pub has_placeholder: bool,
    read_at: Instant,
}

impl Ring {
    /// Whether it is not worth reading again.
    pub fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < RING_REFRESH
    }
}

/// A context's name. The session's id alone proves nothing about the other fields of a header, so all of them count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct KeyRef<'a> {
    session: &'a str,
    supplier: &'a str,
    application: &'a str,
    service: &'a str,
    start: i64,
    end: i64,
}

#[derive(Debug)]
struct Key {
    header: SessionHeader,
    supplier: String,
}

impl<'a> KeyRef<'a> {
    fn of(header: &'a SessionHeader, supplier: &'a str) -> Self {
        Self {
            session: &header.session_id,
            supplier,
            application: &header.application_address,
            service: &header.service_id,
            start: header.session_start_block_height,
            end: header.session_end_block_height,
        }
    }
}

impl Key {
    fn as_ref(&self) -> KeyRef<'_> {
        KeyRef::of(&self.header, &self.supplier)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

// A relay looks its session up by its own texts, without copying them.
impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self == key.as_ref()
    }
}

/// The contexts of all sessions that relays have lately asked for.
#[derive(Clone)]
pub(crate) struct SessionContexts {
    chain: ChainClient,
    cache: Cache<Key, Arc<SessionContext>>,
    refused: Cache<Key, Invalid>,
    lookups: Arc<Lookups>,
    meter: Option<Arc<Meter>>,
    published: IntCounterVec,
}

impl SessionContexts {
    pub fn new(chain: ChainClient, meter: Option<Arc<Meter>>, published: IntCounterVec) -> Self {
        Self {
            chain,
            cache: Cache::builder().max_capacity(CONTEXTS).time_to_idle(IDLE).build(),
            refused: Cache::builder()
                .max_capacity(REFUSALS)
                .time_to_live(REFUSAL_HOLDS)
                .build(),
            lookups: Arc::new(Lookups::new()),
            meter,
            published,
        }
    }

    /// The context of a request, if a relay of its session was there before.
    pub async fn known(&self, request: &RelayRequest, header: &SessionHeader) -> Option<Arc<SessionContext>> {
        self.cache.get(&KeyRef::of(header, supplier_of(request))).await
    }

    /// The context of a request whose header is well-formed and plausible. Requests that come while it is being
    /// fetched wait for the same answer.
    pub async fn get(
        &self,
        request: &RelayRequest,
        header: &SessionHeader,
        current: Height,
    ) -> Result<Arc<SessionContext>, Invalid> {
        let supplier = supplier_of(request);
        let name = KeyRef::of(header, supplier);
        if let Some(known) = self.cache.get(&name).await {
            return Ok(known);
        }
        if let Some(refused) = self.refused.get(&name).await {
            return Err(refused);
        }
        let key = Key {
            header: header.clone(),
            supplier: supplier.to_owned(),
        };
        // Boxed: every relay's future would have to be as large as this rare one.
        let fetched = Box::pin(self.cache.try_get_with(key, self.look_up(header, supplier, current)));
        fetched.await.map_err(|invalid| (*invalid).clone())
    }

    async fn look_up(
        &self,
        header: &SessionHeader,
        supplier: &str,
        current: Height,
    ) -> Result<Arc<SessionContext>, Invalid> {
        check_grid(&self.chain, header, current).await?;
        let lookup = self.lookups.begin(header);
        let lookup = lookup.ok_or_else(|| Invalid::LookupsSpent(header.service_id.clone()))?;
        match fetch(
            &self.chain,
            self.meter.as_deref(),
            &self.published,
            header,
            supplier,
            current,
        )
        .await
        {
            Ok(context) => {
                lookup.succeeded(header);
                Ok(Arc::new(context))
            }
            Err(invalid) => {
                if !matches!(invalid, Invalid::ChainUnavailable(_)) {
                    let key = Key {
                        header: header.clone(),
                        supplier: supplier.to_owned(),
                    };
                    self.refused.insert(key, invalid.clone()).await;
                }
                Err(invalid)
            }
        }
    }

    /// The context's ring, read again if what is known of it may be old; `None` when it is not. Strangers may come as
    /// many as they like: the chain client asks for an application's record once in a while.
    pub async fn newer_ring(&self, context: &SessionContext) -> Result<Option<Arc<Ring>>, Invalid> {
        if context.ring.load().is_fresh() {
            return Ok(None);
        }
        let ring = Arc::new(Box::pin(fetch_ring(&self.chain, &context.application, context.end)).await?);
        context.ring.store(ring.clone());
        Ok(Some(ring))
    }
}

fn supplier_of(request: &RelayRequest) -> &str {
    request.meta.as_ref().map_or("", |meta| &meta.supplier_operator_address)
}

impl SessionContext {
    /// Who may sign.
    pub fn ring(&self) -> Arc<Ring> {
        self.ring.load_full()
    }
}

/// Everything about a session that the chain knows, and whether the header agrees (spec `relay.md` §6.3, steps 4 to 7).
async fn fetch(
    chain: &ChainClient,
    meter: Option<&Meter>,
    published: &IntCounterVec,
    header: &SessionHeader,
    supplier: &str,
    current: Height,
) -> Result<SessionContext, Invalid> {
    let (start, end) = (
        Height(header.session_start_block_height),
        Height(header.session_end_block_height),
    );
    let params = chain.shared_params_at(end).await.map_err(|error| unavailable(&error))?;
    let height = admission::target_height(header, current, &params).map_err(|_| Invalid::Expired)?;
    let session = chain
        .session(&header.application_address, &header.service_id, height)
        .await
        .map_err(|error| match error {
            QueryError::NotFound(text) => Invalid::NoSession(text),
            QueryError::Refused { message, .. } => Invalid::NoSession(message),
            other => unavailable(&other),
        })?;
    let on_chain = session
        .header
        .as_ref()
        .ok_or_else(|| Invalid::NoSession("it has no header".to_owned()))?;
    if let Some(field) = admission::differing_field(header, on_chain) {
        return Err(Invalid::HeaderMismatch(field));
    }
    if !session
        .suppliers
        .iter()
        .any(|member| member.operator_address == supplier)
    {
        return Err(Invalid::SupplierNotInSession(supplier.to_owned()));
    }
    let service = header.service_id.as_str();
    let (target, compute_units, ring) = tokio::try_join!(
        async {
            chain
                .difficulty_target_at(service, start)
                .await
                .map_err(|error| unavailable(&error))
        },
        async {
            chain
                .compute_units_at(service, start)
                .await
                .map_err(|error| unavailable(&error))
        },
        fetch_ring(chain, &header.application_address, end),
    )?;
    let text = |text: &str| HeaderValue::from_str(text).map_err(|_| Invalid::HeaderMismatch("service_id"));
    let windows = Windows::of(&params, end);
    let account = match meter {
        Some(meter) => {
            let holder = Holder {
                session: header.session_id.clone(),
                supplier: supplier.to_owned(),
                application: header.application_address.clone(),
                service: service.parse().map_err(|_| Invalid::HeaderMismatch("service_id"))?,
                start,
                end,
                claim_open: windows.claim_open,
            };
            Some(meter.open(holder, current).await)
        }
        None => None,
    };
    Ok(SessionContext {
        supplier: supplier
            .parse()
            .map_err(|_| Invalid::SupplierNotInSession(supplier.to_owned()))?,
        windows,
        target,
        // The chain counts at least one for a service that says nothing.
        compute_units: ComputeUnits(compute_units.0.max(1)),
        parties: Parties {
            supplier: text(supplier)?,
            service: text(service)?,
            application: text(&header.application_address)?,
        },
        account,
        published: published.with_label_values(&[service, supplier]),
        application: header.application_address.clone(),
        end,
        ring: ArcSwap::from_pointee(ring),
    })
}

async fn fetch_ring(chain: &ChainClient, application: &str, end: Height) -> Result<Ring, Invalid> {
    let read_at = Instant::now();
    let record = chain.application(application).await.map_err(|error| match error {
        QueryError::NotFound(text) => Invalid::NoSession(text),
        other => unavailable(&other),
    })?;
    let mut ring = Ring {
        keys: Vec::new(),
        has_placeholder: false,
        read_at,
    };
    for member in ring_addresses(&record, end) {
        if member == PLACEHOLDER_ADDRESS {
            ring.keys.push(PublicKey::PLACEHOLDER);
            ring.has_placeholder = true;
            continue;
        }
        let key = match chain.public_key(&member).await {
            Ok(key) => PublicKey::parse(&key).map_err(|_| Invalid::MemberWithoutKey(member))?,
            Err(QueryError::NotFound(_)) => {
                tracing::warn!(
                    application,
                    member,
                    "ring member has no public key on chain: its relays are refused"
                );
                return Err(Invalid::MemberWithoutKey(member));
            }
            Err(error) => return Err(unavailable(&error)),
        };
        ring.keys.push(key);
    }
    Ok(ring)
}

fn unavailable(error: &QueryError) -> Invalid {
    Invalid::ChainUnavailable(error.to_string())
}
