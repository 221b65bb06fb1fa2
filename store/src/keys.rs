mod patterns;

use std::borrow::Cow;

use pocket_protocol::{Height, SessionId, SupplierAddress};

pub use patterns::CacheKind;

/// The prefixes of all keys, as the `redis.namespace` section of both configs names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Root of every key.
    pub base: String,
    /// Cached chain entities.
    pub cache: String,
    /// Pub/sub channels.
    pub events: String,
    /// Streams of mined relays.
    pub streams: String,
    /// A miner's state.
    pub miner: String,
    /// The supplier registry.
    pub supplier: String,
    /// Relay metering.
    pub meter: String,
    /// Consumer group, after the base and a hyphen.
    pub consumer_group: String,
}

impl Default for Namespace {
    fn default() -> Self {
        Self {
            base: "ha".into(),
            cache: "cache".into(),
            events: "events".into(),
            streams: "relays".into(),
            miner: "miner".into(),
            supplier: "supplier".into(),
            meter: "meter".into(),
            consumer_group: "miners".into(),
        }
    }
}

/// Builds every Redis key; no other place formats one. Names are the Go peer's where it has the
/// same fact (spec: claims-and-proofs.md §14, smst.md §9, relay.md §7.4).
///
/// In a Cluster every script and pipeline has to find all its keys in one slot, so there the part that they have in
/// common is put in braces, Redis' hash tag: the supplier's address in all keys that a supplier's work needs together,
/// `{ha:miner}` and `{ha:relayer}` in those of the fleet.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    namespace: Namespace,
    tagged: bool,
}

impl Keys {
    /// Keys under the given prefixes.
    pub fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            tagged: false,
        }
    }

    /// The same with hash tags.
    #[must_use]
    pub fn tagged(self) -> Self {
        Self { tagged: true, ..self }
    }

    /// Stream of a supplier's mined relays.
    pub fn stream(&self, supplier: &str) -> String {
        let supplier = self.tag(supplier);
        format!("{}:{}:{supplier}", self.namespace.base, self.namespace.streams)
    }

    /// The consumer group that all miners read streams with.
    pub fn consumer_group(&self) -> String {
        format!("{}-{}", self.namespace.base, self.namespace.consumer_group)
    }

    /// Hash with one session's record.
    pub fn session(&self, supplier: &SupplierAddress, session: &SessionId) -> String {
        self.miner(&format!("sessions:{}:{session}", self.tag(supplier.as_str())))
    }

    /// Set of a supplier's session ids.
    pub fn session_index(&self, supplier: &SupplierAddress) -> String {
        self.miner(&format!("sessions:{}:index", self.tag(supplier.as_str())))
    }

    /// Set of a supplier's session ids in one state.
    pub fn session_state(&self, supplier: &SupplierAddress, state: &str) -> String {
        self.miner(&format!("sessions:{}:state:{state}", self.tag(supplier.as_str())))
    }

    /// Hash of a tree's nodes: lower-case hex of the 48-byte digest to the stored bytes.
    pub fn tree_nodes(&self, supplier: &SupplierAddress, session: &SessionId) -> String {
        self.tree(supplier, session, "nodes")
    }

    /// The claimed root, 48 bytes, written at sealing.
    pub fn tree_root(&self, supplier: &SupplierAddress, session: &SessionId) -> String {
        self.tree(supplier, session, "root")
    }

    /// The root of the tree as far as it is stored, 48 bytes.
    pub fn tree_live_root(&self, supplier: &SupplierAddress, session: &SessionId) -> String {
        self.tree(supplier, session, "live_root")
    }

    /// Decimal `count:sum`, written at sealing.
    pub fn tree_stats(&self, supplier: &SupplierAddress, session: &SessionId) -> String {
        self.tree(supplier, session, "stats")
    }

    /// Lease on a supplier.
    pub fn supplier_lease(&self, supplier: &SupplierAddress) -> String {
        self.miner(&format!("claim:{}", self.tag(supplier.as_str())))
    }

    /// Lease on what one miner of a fleet does for all.
    pub fn leader_lease(&self) -> String {
        self.fleet(&self.namespace.miner, "global_leader")
    }

    /// Counter whose value makes every acquisition of a lease distinct.
    pub fn lease_epoch(&self, lease: &str) -> String {
        format!("{lease}:epoch")
    }

    /// Set of live miners.
    pub fn active_miners(&self) -> String {
        self.fleet(&self.namespace.miner, "active")
    }

    /// Heartbeat of one miner.
    pub fn miner_instance(&self, instance: &str) -> String {
        self.fleet(&self.namespace.miner, &format!("instance:{instance}"))
    }

    /// A supplier's registry entry, JSON.
    pub fn supplier(&self, operator: &str) -> String {
        format!("{}:{}:{operator}", self.namespace.base, self.namespace.supplier)
    }

    /// Channel on which changes of the registry are told.
    pub fn supplier_updates(&self) -> String {
        format!("{}:{}:supplier_update", self.namespace.base, self.namespace.events)
    }

    /// Channel on which the leader tells new blocks.
    pub fn blocks(&self) -> String {
        format!("{}:{}:blocks", self.namespace.base, self.namespace.events)
    }

    /// Submission record of a claim and its proof, JSON, for operators and tools.
    pub fn submission(&self, supplier: &SupplierAddress, session_end: Height, session: &SessionId) -> String {
        format!(
            "{}:tx:track:{supplier}:{}:{session}",
            self.namespace.base, session_end.0
        )
    }

    /// What is written to learn whether one may. Ours alone.
    pub fn trial(&self, name: &str) -> String {
        format!("{}:trial:{name}", self.namespace.base)
    }

    /// Set of the relayers that write watermarks. Ours alone.
    pub fn watermark_index(&self) -> String {
        self.fleet("relayer", "watermarks")
    }

    /// One relayer's watermark, JSON. Ours alone.
    pub fn watermark(&self, instance: &str) -> String {
        self.fleet("relayer", &format!("watermark:{instance}"))
    }

    /// What of a session's budget is spoken for: an integer, upokt (spec relay.md §6.6). The meter has a prefix of its
    /// own in the relayer's configuration, `relay_meter.redis_key_prefix`.
    pub fn meter_consumed(&self, prefix: &str, session: &str, supplier: &str) -> String {
        format!("{prefix}:meter:{session}:{}:consumed", self.tag(supplier))
    }

    /// What a session's budget was computed from, JSON.
    pub fn meter_record(&self, prefix: &str, session: &str, supplier: &str) -> String {
        format!("{prefix}:meter:{session}:{}:meta", self.tag(supplier))
    }

    /// Channel on which relayers are told that a session's meter is done with.
    pub fn meter_cleanup(&self, prefix: &str) -> String {
        format!("{prefix}:meter:cleanup")
    }

    /// Set of the sessions that are metered.
    pub fn meter_sessions(&self) -> String {
        format!("{}:{}:active_sessions", self.namespace.base, self.namespace.meter)
    }

    /// Part of an application's stake that one session may use, JSON; of a service, or of all that have none.
    pub fn service_factor(&self, service: Option<&str>) -> String {
        let base = &self.namespace.base;
        service.map_or_else(
            || format!("{base}:service_factor:default"),
            |service| format!("{base}:service_factor:service:{service}"),
        )
    }

    /// Channel on which relayers are told that a factor changed.
    pub fn service_factor_updates(&self) -> String {
        format!(
            "{}:{}:cache:service_factor:invalidate",
            self.namespace.base, self.namespace.events
        )
    }

    /// The shared module's live parameters, protobuf, for relayers of the Go peer.
    pub fn shared_params(&self) -> String {
        format!("{}:{}:shared_params", self.namespace.base, self.namespace.cache)
    }

    /// Channel on which they are told to read them anew.
    pub fn shared_params_updates(&self) -> String {
        let (base, events) = (&self.namespace.base, &self.namespace.events);
        format!("{base}:{events}:cache:shared_params:invalidate")
    }

    /// Mark of a simulated relay that was seen, by the hex SHA-256 of its signature.
    pub fn simulated(&self, signature_hash: &str) -> String {
        format!("{}:sim:replay:{signature_hash}", self.namespace.base)
    }

    fn miner(&self, rest: &str) -> String {
        format!("{}:{}:{rest}", self.namespace.base, self.namespace.miner)
    }

    /// A key that is used together with others of the whole fleet.
    fn fleet(&self, room: &str, rest: &str) -> String {
        let room = format!("{}:{room}", self.namespace.base);
        format!("{}:{rest}", self.tag(&room))
    }

    /// What keys of one slot have in common.
    fn tag<'a>(&self, part: &'a str) -> Cow<'a, str> {
        if self.tagged {
            format!("{{{part}}}").into()
        } else {
            part.into()
        }
    }

    fn tree(&self, supplier: &SupplierAddress, session: &SessionId, part: &str) -> String {
        let supplier = self.tag(supplier.as_str());
        format!("{}:smst:{supplier}:{session}:{part}", self.namespace.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_go_peers() {
        let keys = Keys::default();
        let supplier = SupplierAddress::of_public_key(&[2; 33]);
        let session = SessionId::from("5e55");
        let at = |key: String| key.replace(supplier.as_str(), "S");
        assert_eq!(at(keys.stream(supplier.as_str())), "ha:relays:S");
        assert_eq!(keys.consumer_group(), "ha-miners");
        assert_eq!(at(keys.session(&supplier, &session)), "ha:miner:sessions:S:5e55");
        assert_eq!(at(keys.session_index(&supplier)), "ha:miner:sessions:S:index");
        assert_eq!(
            at(keys.session_state(&supplier, "active")),
            "ha:miner:sessions:S:state:active"
        );
        assert_eq!(at(keys.tree_nodes(&supplier, &session)), "ha:smst:S:5e55:nodes");
        assert_eq!(at(keys.tree_live_root(&supplier, &session)), "ha:smst:S:5e55:live_root");
        assert_eq!(at(keys.supplier_lease(&supplier)), "ha:miner:claim:S");
        assert_eq!(
            at(keys.submission(&supplier, Height(9), &session)),
            "ha:tx:track:S:9:5e55"
        );
        assert_eq!(at(keys.supplier(supplier.as_str())), "ha:supplier:S");
        assert_eq!(keys.blocks(), "ha:events:blocks");
        assert_eq!(keys.meter_consumed("ha", "5e55", "S"), "ha:meter:5e55:S:consumed");
        assert_eq!(keys.meter_record("own", "5e55", "S"), "own:meter:5e55:S:meta");
        assert_eq!(keys.meter_cleanup("ha"), "ha:meter:cleanup");
        assert_eq!(keys.meter_sessions(), "ha:meter:active_sessions");
        assert_eq!(keys.service_factor(None), "ha:service_factor:default");
        assert_eq!(keys.service_factor(Some("eth")), "ha:service_factor:service:eth");
        assert_eq!(
            keys.service_factor_updates(),
            "ha:events:cache:service_factor:invalidate"
        );
        assert_eq!(keys.shared_params(), "ha:cache:shared_params");
        assert_eq!(keys.shared_params_updates(), "ha:events:cache:shared_params:invalidate");
        assert_eq!(keys.simulated("ab"), "ha:sim:replay:ab");
    }

    #[test]
    fn keys_that_are_used_together_have_one_tag_in_a_cluster() {
        let keys = Keys::default().tagged();
        let supplier = SupplierAddress::of_public_key(&[2; 33]);
        let session = SessionId::from("5e55");
        let tag = |key: &str| key[key.find('{').unwrap()..=key.find('}').unwrap()].to_owned();
        let of_supplier = [
            keys.stream(supplier.as_str()),
            keys.session(&supplier, &session),
            keys.session_index(&supplier),
            keys.session_state(&supplier, "active"),
            keys.tree_nodes(&supplier, &session),
            keys.tree_root(&supplier, &session),
            keys.tree_live_root(&supplier, &session),
            keys.tree_stats(&supplier, &session),
            keys.supplier_lease(&supplier),
            keys.lease_epoch(&keys.supplier_lease(&supplier)),
            keys.meter_consumed("ha", "5e55", supplier.as_str()),
            keys.meter_record("ha", "5e55", supplier.as_str()),
        ];
        for key in of_supplier {
            assert_eq!(tag(&key), format!("{{{supplier}}}"), "{key}");
        }
        assert_eq!(keys.active_miners(), "{ha:miner}:active");
        assert_eq!(keys.miner_instance("a"), "{ha:miner}:instance:a");
        assert_eq!(keys.lease_epoch(&keys.leader_lease()), "{ha:miner}:global_leader:epoch");
        assert_eq!(keys.watermark_index(), "{ha:relayer}:watermarks");
        assert_eq!(keys.watermark("a"), "{ha:relayer}:watermark:a");
    }
}
