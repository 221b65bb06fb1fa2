//! Simulated relays (spec `relay.md` §6.7): an operator's own, signed as real ones but by keys that the configuration
//! pins, to try a running relayer from end to end without a session on chain. They are never charged and never mined,
//! and have metrics of their own.

mod admission;
mod metrics;
mod not_admitted;
mod serve;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;
use pocket_config::{RpcType, SimulationConfig, SimulationIdentity};
use pocket_protocol::{AppAddress, Height, ServiceId};
use pocket_ring::{Limits, PublicKey, Verifier};
use pocket_store::Store;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use not_admitted::NotAdmitted;

use crate::drain::{Drain, InFlight};
use crate::rate::Bucket;
pub(crate) use metrics::SimulationMetrics;

/// Who a simulated relay says it is of. Without it a relay is an ordinary one.
const KEY_ID: HeaderName = HeaderName::from_static("pocket-simulation-key-id");
/// Bytes of large tables for pinned keys: a few keys, rarely used.
const TABLE_BYTES: usize = 8 << 20;

/// A simulated identity that cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[error("simulation.identities: {key_id}: {what}")]
pub struct SimulationError {
    /// The identity.
    pub key_id: String,
    /// What is wrong with it.
    pub what: &'static str,
}

/// All that simulated relays need; there is one only when the operator wants them.
pub(crate) struct Simulation {
    identities: HashMap<String, Identity>,
    slots: Arc<Semaphore>,
    /// How far a relay's time may be from ours.
    window: Duration,
    store: Store,
    rings: Verifier,
    /// Apart from that of the real relays, and never closed.
    drain: Arc<Drain>,
    metrics: SimulationMetrics,
}

/// Whose simulated relays are served.
struct Identity {
    is_enabled: bool,
    not_after: Option<OffsetDateTime>,
    application: AppAddress,
    ring: Vec<PublicKey>,
    /// Empty for all.
    services: Vec<ServiceId>,
    // Locked once a simulated relay.
    rate: Mutex<Bucket>,
}

impl Identity {
    fn new(config: &SimulationIdentity) -> Result<Self, &'static str> {
        let key = |text: &str| {
            let bytes = decode_key(text).ok_or("a key is not 66 hexadecimal digits")?;
            let key = PublicKey::parse(&bytes).map_err(|_| "a key is no point of the curve")?;
            // Everybody knows its private half.
            if key.to_bytes() == PublicKey::PLACEHOLDER.to_bytes() {
                return Err("the placeholder of rings without gateways is pinned as a key");
            }
            Ok((key, bytes))
        };
        let (application, application_bytes) = key(&config.app_public_key_hex)?;
        let mut ring = vec![application];
        for gateway in &config.gateway_public_keys_hex {
            ring.push(key(gateway)?.0);
        }
        let not_after = config
            .not_after
            .as_deref()
            .filter(|text| !text.is_empty())
            .map(|text| OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "not_after is no RFC 3339 time"))
            .transpose()?;
        let rate = f64::from(config.max_relays_per_second);
        Ok(Self {
            is_enabled: config.enabled,
            not_after,
            application: AppAddress::of_public_key(&application_bytes),
            ring,
            services: config.allowed_services.clone(),
            rate: Mutex::new(Bucket::new(rate, rate, Instant::now())),
        })
    }
}

fn decode_key(text: &str) -> Option<[u8; 33]> {
    let mut bytes = [0; 33];
    if text.len() != 66 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

impl Simulation {
    /// Prepares all identities; `None` when simulated relays are not served.
    pub fn new(
        config: &SimulationConfig,
        store: Store,
        metrics: SimulationMetrics,
    ) -> Result<Option<Self>, crate::RelayerError> {
        if !config.enabled {
            return Ok(None);
        }
        let mut identities = HashMap::new();
        for identity in &config.identities {
            let prepared = Identity::new(identity).map_err(|what| SimulationError {
                key_id: identity.key_id.clone(),
                what,
            })?;
            if prepared.not_after.is_some_and(|end| end < OffsetDateTime::now_utc()) {
                tracing::warn!(
                    key_id = identity.key_id,
                    "a simulated identity has expired: its relays are refused"
                );
            }
            identities.insert(identity.key_id.clone(), prepared);
        }
        Ok(Some(Self {
            identities,
            slots: Arc::new(Semaphore::new(config.max_concurrent as usize)),
            window: config.freshness_window,
            store,
            rings: Verifier::new(Limits {
                table_bytes: TABLE_BYTES,
            }),
            drain: Arc::default(),
            metrics,
        }))
    }

    /// The identity that a request names, if it asks for a simulated relay.
    pub fn asked(headers: &HeaderMap) -> Option<Bytes> {
        let key_id = headers.get(KEY_ID)?;
        (!key_id.is_empty()).then(|| Bytes::copy_from_slice(key_id.as_bytes()))
    }

    /// A place in the drain of simulated relays, which holds up nobody.
    fn in_flight(&self) -> Option<InFlight> {
        self.drain.enter(Height(i64::MAX))
    }

    /// Begins a simulated relay; its outcome is counted when it is over.
    fn begin(&self) -> Result<Trial, NotAdmitted> {
        let slot = self
            .slots
            .clone()
            .try_acquire_owned()
            .map_err(|_| NotAdmitted::NoSlot)?;
        Ok(Trial {
            metrics: self.metrics.clone(),
            kind: RpcType::JsonRpc,
            service: String::new(),
            supplier: String::new(),
            result: "backend_error",
            started: Instant::now(),
            _slot: slot,
        })
    }
}

/// A simulated relay on its way. Dropped, it is counted.
pub(crate) struct Trial {
    metrics: SimulationMetrics,
    kind: RpcType,
    service: String,
    supplier: String,
    result: &'static str,
    started: Instant,
    _slot: OwnedSemaphorePermit,
}

impl Trial {
    /// The relay was answered.
    pub fn succeeded(mut self) {
        self.result = "success";
    }

    /// The answer could not be signed.
    pub fn unsigned(mut self) {
        self.result = "sign_failed";
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let labels = [self.kind.as_str(), &self.service, &self.supplier, self.result];
        self.metrics.relays.with_label_values(&labels).inc();
        let labels = [self.kind.as_str(), self.service.as_str()];
        let time = self.started.elapsed().as_secs_f64();
        self.metrics.duration.with_label_values(&labels).observe(time);
    }
}
