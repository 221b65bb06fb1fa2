//! `services`: what the relayer serves, each with its backends.

use std::collections::BTreeMap;

use pocket_protocol::ServiceId;

use super::backend::{BackendConfig, DefaultBackend, RpcType};
use super::transport::{DEFAULT_TIMEOUT_PROFILE, PoolProfile, TimeoutProfile};
use crate::codec::{Amount, Choice, Count, List, Map, Named, Nested, Section, Text};
use crate::reader::Fields;
use crate::suggest::nearest;

/// One of `services`, with the defaults and profiles that hold for it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceConfig {
    /// `validation_mode`, or `default_validation_mode`.
    pub validation_mode: ValidationMode,
    /// `timeout_profile`: the profile's name; `fast`.
    pub timeout_profile: String,
    /// What that profile says.
    pub timeouts: TimeoutProfile,
    /// `pool_profile`: the profile's name; `None` for `http_transport`'s limits.
    pub pool_profile: Option<String>,
    /// What that profile says.
    pub pool: PoolProfile,
    /// `max_body_size_bytes`, of requests and responses, or `default_max_body_size_bytes`.
    pub max_body_size_bytes: u64,
    /// `max_relays_in_flight`: relays of the service that are worked on at a time; 5000. Ours, not the peer's.
    pub max_relays_in_flight: u32,
    /// `default_backend`: for relays without `Rpc-Type`; `jsonrpc`, whether or not there is one.
    pub default_backend: RpcType,
    /// `fallback_backends`: the types that serve relays of another HTTP type while that has no backend or no healthy
    /// endpoint, first choice first; none.
    pub fallback_backends: Vec<RpcType>,
    /// `backends`, at least one. A relay goes to the one of its type, or to one of `fallback_backends`.
    pub backends: BTreeMap<RpcType, BackendConfig>,
}

/// When a relay is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidationMode {
    /// Before it goes to the backend.
    Eager,
    /// While the backend works on it.
    Optimistic,
}

impl Named for ValidationMode {
    const NAMES: &'static [(&'static str, Self)] = &[("eager", Self::Eager), ("optimistic", Self::Optimistic)];
}

/// A service before defaults and profiles are filled in.
pub(super) struct WrittenService {
    validation_mode: Option<ValidationMode>,
    timeout_profile: Option<String>,
    pool_profile: Option<String>,
    max_body_size_bytes: Option<u64>,
    max_relays_in_flight: u32,
    default_backend: RpcType,
    fallback_backends: Vec<RpcType>,
    backends: BTreeMap<RpcType, BackendConfig>,
}

impl Section for WrittenService {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let service = Self {
            validation_mode: fields.optional::<Choice<ValidationMode>>("validation_mode"),
            timeout_profile: fields.optional::<Text>("timeout_profile"),
            pool_profile: fields.optional::<Text>("pool_profile"),
            max_body_size_bytes: fields
                .optional::<Amount>("max_body_size_bytes")
                .filter(|bytes| *bytes > 0),
            max_relays_in_flight: fields.or_if_zero::<Count>("max_relays_in_flight", 5000),
            default_backend: fields.or::<DefaultBackend>("default_backend", RpcType::JsonRpc),
            fallback_backends: fields.or::<List<Choice<RpcType>>>("fallback_backends", Vec::new()),
            backends: fields.required::<Map<RpcType, Nested<BackendConfig>>>("backends"),
        };
        if !fields.written("backends") || !fields.sound(&["backends"]) {
            return service;
        }
        if service.backends.is_empty() {
            fields.missing(
                &["backends"],
                "names no backend",
                "add one by its type, such as jsonrpc, with its url",
            );
        } else if let Some(other) = service
            .unusable_fallback()
            .filter(|_| fields.sound(&["fallback_backends"]))
        {
            fields.impossible(
                &["fallback_backends"],
                format!("{:?} cannot stand in for others", other.as_str()),
                "list types that are in backends, of jsonrpc, rest and cometbft",
            );
        } else if fields.written("default_backend")
            && fields.sound(&["default_backend"])
            && !service.backends.contains_key(&service.default_backend)
        {
            let known: Vec<_> = service.backends.keys().map(|rpc_type| rpc_type.as_str()).collect();
            fields.impossible(
                &["default_backend"],
                format!("there is no backend {:?}", service.default_backend.as_str()),
                format!("add it to backends, or write one of: {}", known.join(", ")),
            );
        }
        service
    }
}

impl WrittenService {
    /// A fallback that has no backend, or speaks another protocol than HTTP.
    fn unusable_fallback(&self) -> Option<RpcType> {
        let is_http = |kind| matches!(kind, RpcType::JsonRpc | RpcType::Rest | RpcType::CometBft);
        let mut fallbacks = self.fallback_backends.iter().copied();
        fallbacks.find(|kind| !is_http(*kind) || !self.backends.contains_key(kind))
    }
}

/// What services fall back on.
pub(super) struct Defaults<'c> {
    pub validation_mode: ValidationMode,
    pub max_body_size_bytes: u64,
    pub timeout_profiles: &'c BTreeMap<String, TimeoutProfile>,
    pub pool_profiles: &'c BTreeMap<String, PoolProfile>,
    pub pool: PoolProfile,
}

impl WrittenService {
    /// Fills in defaults and profiles; profiles that are not there are noted.
    pub fn complete(self, id: &ServiceId, defaults: &Defaults<'_>, root: &mut Fields<'_, '_>) -> ServiceConfig {
        let timeout_profile = self
            .timeout_profile
            .unwrap_or_else(|| DEFAULT_TIMEOUT_PROFILE.to_owned());
        let timeouts = profile(&timeout_profile, "timeout_profile", defaults.timeout_profiles, id, root)
            .unwrap_or(&defaults.timeout_profiles[DEFAULT_TIMEOUT_PROFILE]);
        let pool = self
            .pool_profile
            .as_ref()
            .and_then(|name| profile(name, "pool_profile", defaults.pool_profiles, id, root))
            .unwrap_or(&defaults.pool);
        ServiceConfig {
            validation_mode: self.validation_mode.unwrap_or(defaults.validation_mode),
            timeouts: timeouts.clone(),
            timeout_profile,
            pool: pool.clone(),
            pool_profile: self.pool_profile,
            max_body_size_bytes: self.max_body_size_bytes.unwrap_or(defaults.max_body_size_bytes),
            max_relays_in_flight: self.max_relays_in_flight,
            default_backend: self.default_backend,
            fallback_backends: self.fallback_backends,
            backends: self.backends,
        }
    }
}

/// The profile called `name`, or a note that `key` of the service `id` names none.
fn profile<'p, P>(
    name: &str,
    key: &str,
    profiles: &'p BTreeMap<String, P>,
    id: &ServiceId,
    root: &mut Fields<'_, '_>,
) -> Option<&'p P> {
    let section = format!("{key}s");
    let found = profiles.get(name);
    if found.is_none() && root.sound(&[&section]) {
        let known: Vec<_> = profiles.keys().map(String::as_str).collect();
        let remedy = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean {meant:?}? Or add it to {section}"),
            None => format!("add it to {section}, or write one of: {}", known.join(", ")),
        };
        root.impossible(
            &["services", id.as_str(), key],
            format!("there is no profile {name:?}"),
            remedy,
        );
    }
    found
}
