//! Names and patterns of keys that only operators' tools look at.

use pocket_protocol::SessionId;

use super::Keys;

/// What a Go peer caches of the chain. This program keeps such answers in memory alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheKind {
    /// Applications by address.
    Application,
    /// Services by id.
    Service,
    /// Accounts' public keys by address.
    Account,
    /// The supplier registry, which relayers of both programs go by.
    Supplier,
    /// Shared parameters.
    SharedParams,
    /// Session parameters.
    SessionParams,
    /// Proof parameters.
    ProofParams,
}

impl CacheKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Application,
        Self::Service,
        Self::Account,
        Self::Supplier,
        Self::SharedParams,
        Self::SessionParams,
        Self::ProofParams,
    ];

    /// Its name in keys and channels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Service => "service",
            Self::Account => "account",
            Self::Supplier => "supplier",
            Self::SharedParams => "shared_params",
            Self::SessionParams => "session_params",
            Self::ProofParams => "proof_params",
        }
    }

    /// Whether there is one entry only, which has no name.
    pub fn is_single(self) -> bool {
        matches!(self, Self::SharedParams | Self::SessionParams | Self::ProofParams)
    }
}

/// For a pattern: the text that stands for any text.
const ANY: &str = "*";

impl Keys {
    /// Pattern of all keys.
    pub fn all(&self) -> String {
        format!("{}:*", self.namespace.base)
    }

    /// Patterns of all keys: in a Cluster those of the fleet start with a brace.
    pub fn all_patterns(&self) -> Vec<String> {
        let mut patterns = vec![self.all()];
        if self.tagged {
            patterns.push(format!("{{{}:*", self.namespace.base));
        }
        patterns
    }

    /// Pattern of all streams.
    pub fn streams(&self) -> String {
        format!("{}:{}:*", self.namespace.base, self.namespace.streams)
    }

    /// Pattern of all suppliers' session indexes.
    pub fn session_indexes(&self) -> String {
        self.miner("sessions:*:index")
    }

    /// Pattern of the node hashes of all suppliers' trees of a session.
    pub fn session_trees(&self, session: &SessionId) -> String {
        format!("{}:smst:*:{session}:nodes", self.namespace.base)
    }

    /// Pattern of all keys of trees.
    pub fn trees(&self) -> String {
        format!("{}:smst:*", self.namespace.base)
    }

    /// Pattern of all keys of session records.
    pub fn sessions(&self) -> String {
        self.miner("sessions:*")
    }

    /// Pattern of the leases on suppliers, with the counters beside them.
    pub fn supplier_leases(&self) -> String {
        self.miner("claim:*")
    }

    /// Pattern of the registry's entries.
    pub fn suppliers(&self) -> String {
        self.supplier(ANY)
    }

    /// Pattern of submission records, of one supplier or of all.
    pub fn submissions(&self, supplier: Option<&str>) -> String {
        let supplier = supplier.map_or_else(String::new, |supplier| format!("{supplier}:"));
        format!("{}:tx:track:{supplier}*", self.namespace.base)
    }

    /// Set of the hashes of relays of a session that a Go peer has taken in.
    pub fn dedup(&self, session: &SessionId) -> String {
        self.miner(&format!("dedup:session:{session}"))
    }

    /// Pattern of all meters of a session, or of all sessions, below the meter's prefix.
    pub fn meters(&self, prefix: &str, session: Option<&str>) -> String {
        format!("{prefix}:meter:{}:*", session.unwrap_or(ANY))
    }

    /// Pattern of the factors that miners told.
    pub fn service_factors(&self) -> String {
        format!("{}:service_factor:*", self.namespace.base)
    }

    /// A Go peer's cached answer of the chain; `*` as its name is the pattern of all of a kind.
    pub fn cached(&self, kind: CacheKind, name: &str) -> String {
        let cache = self.cache();
        match kind {
            CacheKind::Supplier => self.supplier(name),
            kind if kind.is_single() => format!("{cache}:{}", kind.as_str()),
            kind => format!("{cache}:{}:{name}", kind.as_str()),
        }
    }

    /// Set of the names that a Go peer has cached of a kind, if it keeps one.
    pub fn cached_names(&self, kind: CacheKind) -> Option<String> {
        matches!(kind, CacheKind::Application | CacheKind::Service | CacheKind::Supplier)
            .then(|| format!("{}:known:{}s", self.cache(), kind.as_str()))
    }

    /// Pattern of all that a Go peer caches but for the registry.
    pub fn all_cached(&self) -> String {
        format!("{}:*", self.cache())
    }

    /// What locks start with under which Go peers fill their cache.
    pub fn cache_locks(&self) -> String {
        format!("{}:lock:", self.cache())
    }

    /// Channel on which Go peers are told that something cached is no longer so.
    pub fn cache_invalidation(&self, kind: CacheKind) -> String {
        format!(
            "{}:{}:cache:{}:invalidate",
            self.namespace.base,
            self.namespace.events,
            kind.as_str()
        )
    }

    /// The same for suppliers' parameters, whose channel has another form.
    pub fn supplier_params_invalidation(&self) -> String {
        format!(
            "{}:{}:{}:invalidate:supplier_params",
            self.namespace.base, self.namespace.events, self.namespace.cache
        )
    }

    fn cache(&self) -> String {
        format!("{}:{}", self.namespace.base, self.namespace.cache)
    }

    /// A supplier's address and the rest, from a key below `head` that has them: `head` + supplier + `:` + rest. Hash
    /// tags are taken off.
    pub fn supplier_in<'k>(head: &str, key: &'k str) -> Option<(&'k str, &'k str)> {
        let (supplier, rest) = key.strip_prefix(head)?.split_once(':')?;
        Some((supplier.trim_matches(['{', '}']), rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_only_the_go_peer_writes_are_its_own() {
        let keys = Keys::default();
        assert_eq!(
            keys.cached(CacheKind::Application, "pokt1a"),
            "ha:cache:application:pokt1a"
        );
        assert_eq!(keys.cached(CacheKind::SharedParams, "*"), "ha:cache:shared_params");
        assert_eq!(keys.cached(CacheKind::Supplier, "pokt1a"), "ha:supplier:pokt1a");
        assert_eq!(
            keys.cached_names(CacheKind::Service).unwrap(),
            "ha:cache:known:services"
        );
        assert_eq!(
            keys.cache_invalidation(CacheKind::Account),
            "ha:events:cache:account:invalidate"
        );
        assert_eq!(
            keys.supplier_params_invalidation(),
            "ha:events:cache:invalidate:supplier_params"
        );
        assert_eq!(keys.dedup(&SessionId::from("5e55")), "ha:miner:dedup:session:5e55");
        assert_eq!(keys.submissions(Some("pokt1a")), "ha:tx:track:pokt1a:*");
        assert_eq!(keys.submissions(None), "ha:tx:track:*");
    }

    #[test]
    fn supplier_of_a_key_is_found_with_and_without_hash_tags() {
        for key in ["ha:smst:pokt1a:5e55:nodes", "ha:smst:{pokt1a}:5e55:nodes"] {
            assert_eq!(Keys::supplier_in("ha:smst:", key), Some(("pokt1a", "5e55:nodes")));
        }
        assert_eq!(Keys::supplier_in("ha:smst:", "ha:relays:pokt1a"), None);
    }

    #[test]
    fn in_a_cluster_the_fleets_keys_are_among_all() {
        let keys = Keys::default().tagged();
        assert_eq!(keys.all_patterns(), ["ha:*", "{ha:*"]);
        assert!(keys.active_miners().starts_with("{ha:"));
    }
}
