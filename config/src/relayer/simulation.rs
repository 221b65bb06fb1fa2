//! `simulation`: relays of pinned identities, for tests of a running relayer without a session on chain.

use std::collections::BTreeSet;
use std::time::Duration;

use pocket_protocol::ServiceId;

use crate::codec::{Count, Flag, List, Nested, Parsed, Section, Text, Whole};
use crate::duration::Seconds;
use crate::reader::Fields;

/// `simulation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulationConfig {
    /// `enabled`; false.
    pub enabled: bool,
    /// `max_concurrent`: simulated relays in flight; 32.
    pub max_concurrent: u32,
    /// `freshness_window_seconds`: how old a simulated relay may be; 30 s.
    pub freshness_window: Duration,
    /// `identities`; at least one when enabled.
    pub identities: Vec<SimulationIdentity>,
}

/// One of `simulation.identities`. Its keys are checked only when simulation is enabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulationIdentity {
    /// `key_id`: what a simulated relay names; different for each.
    pub key_id: String,
    /// `enabled`: only then relays of this identity are served; false.
    pub enabled: bool,
    /// `not_after`: an RFC 3339 time after which they are refused; never.
    pub not_after: Option<String>,
    /// `max_rps`: its relays a second; 5.
    pub max_relays_per_second: u32,
    /// `app_pubkey_hex`: the application's compressed secp256k1 key, 33 bytes.
    pub app_public_key_hex: String,
    /// `gateway_pubkeys_hex`: the ring's other keys, at least one.
    pub gateway_public_keys_hex: Vec<String>,
    /// `allowed_services`; empty for all.
    pub allowed_services: Vec<ServiceId>,
}

impl Section for SimulationIdentity {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            key_id: fields.or::<Text>("key_id", String::new()),
            enabled: fields.or::<Flag>("enabled", false),
            not_after: fields.optional::<Text>("not_after"),
            max_relays_per_second: fields.or_if_zero::<Whole<u32, 0, 1_000_000>>("max_rps", 5),
            app_public_key_hex: fields.or::<Text>("app_pubkey_hex", String::new()),
            gateway_public_keys_hex: fields.or::<List<Text>>("gateway_pubkeys_hex", Vec::new()),
            allowed_services: fields.or::<List<Parsed<ServiceId>>>("allowed_services", Vec::new()),
        }
    }
}

impl Section for SimulationConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let config = Self {
            enabled: fields.or::<Flag>("enabled", false),
            max_concurrent: fields.or_if_zero::<Count>("max_concurrent", 32),
            freshness_window: fields.or_if_zero::<Seconds<0>>("freshness_window_seconds", Duration::from_secs(30)),
            identities: fields.or::<List<Nested<SimulationIdentity>>>("identities", Vec::new()),
        };
        if config.enabled && fields.sound(&["identities"]) {
            config.check(fields);
        }
        config
    }
}

impl SimulationConfig {
    fn check(&self, fields: &mut Fields<'_, '_>) {
        if self.identities.is_empty() {
            fields.missing(&["identities"], "is empty", "add an identity, or set enabled: false");
        }
        let mut names = BTreeSet::new();
        for (index, identity) in self.identities.iter().enumerate() {
            let mut wrong = |what: String, remedy: &str| {
                fields.impossible(&["identities"], format!("entry {}: {what}", index + 1), remedy);
            };
            if identity.key_id.is_empty() {
                wrong("key_id is missing".into(), "add key_id");
            } else if !names.insert(&identity.key_id) {
                wrong(
                    format!("the key_id {:?} is another's", identity.key_id),
                    "give it one of its own",
                );
            }
            let public_key = "write a compressed secp256k1 key, 66 hexadecimal digits that start with 02 or 03";
            if !is_public_key(&identity.app_public_key_hex) {
                wrong("app_pubkey_hex is no public key".into(), public_key);
            }
            if identity.gateway_public_keys_hex.is_empty() {
                wrong("gateway_pubkeys_hex is empty".into(), "add a gateway's public key");
            } else if !identity.gateway_public_keys_hex.iter().all(|key| is_public_key(key)) {
                wrong("gateway_pubkeys_hex holds what is no public key".into(), public_key);
            }
        }
    }
}

/// Whether the text has the form of a compressed key; whether it is on the curve is seen where it is used.
fn is_public_key(text: &str) -> bool {
    text.len() == 66
        && (text.starts_with("02") || text.starts_with("03"))
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
