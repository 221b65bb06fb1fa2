//! What a running process can take up of a changed configuration, and what it cannot.

use crate::miner::MinerConfig;
use crate::relayer::RelayerConfig;
use crate::shared::LoggingConfig;

/// Names the fields that differ, each with the key that an operator writes.
macro_rules! differing {
    ($old:expr, $new:expr, [$($field:ident => $key:literal),* $(,)?]) => {{
        let mut keys: Vec<&'static str> = Vec::new();
        $(if $old.$field != $new.$field { keys.push($key); })*
        keys
    }};
}

impl RelayerConfig {
    /// Keys of `new` that differ and that a running relayer cannot change, in the order of the documentation. All others
    /// it can: `keys`, `services` and what goes into them, `inbound`, `websocket`, `response_compression`,
    /// `max_relays_in_flight` and `logging.level`.
    pub fn keys_that_need_a_restart(&self, new: &Self) -> Vec<&'static str> {
        // Without `..`: who adds a key decides here.
        let Self {
            listen_addr: _,
            tls: _,
            redis: _,
            pocket_node: _,
            keys: _,
            services: _,
            default_validation_mode: _,
            default_request_timeout: _,
            default_max_body_size_bytes: _,
            max_relays_in_flight: _,
            metrics: _,
            pprof: _,
            health_check: _,
            cache_warmup: _,
            logging: _,
            relay_meter: _,
            relay_log: _,
            http_transport: _,
            inbound: _,
            web_socket: _,
            response_compression: _,
            timeout_profiles: _,
            pool_profiles: _,
            simulation: _,
            grace_period_extra_blocks: _,
        } = self;
        let mut keys = differing!(self, new, [
            listen_addr => "listen_addr",
            tls => "tls",
            redis => "redis",
            pocket_node => "pocket_node",
            metrics => "metrics",
            pprof => "pprof",
            health_check => "health_check",
            cache_warmup => "cache_warmup",
            relay_meter => "relay_meter",
            relay_log => "relay_log",
            simulation => "simulation",
            grace_period_extra_blocks => "grace_period_extra_blocks",
        ]);
        keys.extend(self.logging.keys_that_need_a_restart(&new.logging));
        keys
    }
}

impl MinerConfig {
    /// Keys of `new` that differ and that a running miner cannot change, in the order of the documentation. All others
    /// it can: `keys`, `default_service_factor`, `service_factors` and `logging.level`; and those without effect.
    pub fn keys_that_need_a_restart(&self, new: &Self) -> Vec<&'static str> {
        // Without `..`: who adds a key decides here.
        let Self {
            redis: _,
            pocket_node: _,
            keys: _,
            transaction: _,
            rehearsal: _,
            profitability: _,
            metrics: _,
            pprof: _,
            logging: _,
            deduplication_ttl_blocks: _,
            batch_size: _,
            ack_batch_size: _,
            hot_reload_enabled: _,
            session_ttl: _,
            cache_ttl: _,
            smst_live_root_checkpoint_interval: _,
            submission_tracking_ttl: _,
            supplier_reconcile_interval: _,
            known_applications: _,
            suppliers: _,
            leader_election: _,
            max_concurrent_transitions: _,
            balance_monitor: _,
            block_time: _,
            block_health_monitor: _,
            settlement_monitor_enabled: _,
            default_service_factor: _,
            service_factors: _,
            worker_pools: _,
            supplier_claiming: _,
        } = self;
        let mut keys = differing!(self, new, [
            redis => "redis",
            pocket_node => "pocket_node",
            transaction => "transaction",
            rehearsal => "rehearsal",
            profitability => "profitability",
            metrics => "metrics",
            pprof => "pprof",
            deduplication_ttl_blocks => "deduplication_ttl_blocks",
            batch_size => "batch_size",
            ack_batch_size => "ack_batch_size",
            hot_reload_enabled => "hot_reload_enabled",
            session_ttl => "session_ttl",
            cache_ttl => "cache_ttl",
            smst_live_root_checkpoint_interval => "smst_live_root_checkpoint_interval",
            submission_tracking_ttl => "submission_tracking_ttl",
            supplier_reconcile_interval => "supplier_reconcile_interval_seconds",
            known_applications => "known_applications",
            leader_election => "leader_election",
            max_concurrent_transitions => "session_lifecycle",
            balance_monitor => "balance_monitor",
            block_time => "block_time_seconds",
            block_health_monitor => "block_health_monitor",
            settlement_monitor_enabled => "settlement_monitor",
            worker_pools => "worker_pools",
            supplier_claiming => "supplier_claiming",
        ]);
        keys.extend(self.logging.keys_that_need_a_restart(&new.logging));
        keys
    }
}

impl LoggingConfig {
    /// `logging`, when more than its level differs.
    fn keys_that_need_a_restart(&self, new: &Self) -> Option<&'static str> {
        let leveled = Self {
            level: self.level,
            ..new.clone()
        };
        (*self != leveled).then_some("logging (all but level)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAYER: &str = "
redis: { url: redis://localhost:6379 }
pocket_node: { query_node_rpc_url: http://localhost:26657, query_node_grpc_url: localhost:9090 }
keys: { keys_file: keys.yaml }
services: { eth: { backends: { jsonrpc: { url: http://localhost:8545 } } } }
";
    const MINER: &str = "
redis: { url: redis://localhost:6379 }
pocket_node: { query_node_rpc_url: http://localhost:26657, query_node_grpc_url: localhost:9090 }
keys: { keys_file: keys.yaml }
";

    fn relayer(more: &str) -> Vec<&'static str> {
        let config = |text: &str| RelayerConfig::from_str("relayer.yaml", text).unwrap();
        config(RELAYER).keys_that_need_a_restart(&config(&format!("{RELAYER}{more}")))
    }

    fn miner(more: &str) -> Vec<&'static str> {
        let config = |text: &str| MinerConfig::from_str("miner.yaml", text).unwrap();
        config(MINER).keys_that_need_a_restart(&config(&format!("{MINER}{more}")))
    }

    #[test]
    fn keys_that_a_running_relayer_follows_need_no_restart() {
        for more in [
            "",
            "logging: { level: debug }",
            "max_relays_in_flight: 7",
            "inbound: { stall_timeout_seconds: 9 }",
            "websocket: { max_messages_per_second: 3 }",
            "http_transport: { dial_timeout_seconds: 2 }",
            "default_max_body_size_bytes: 7",
        ] {
            assert_eq!(relayer(more), Vec::<&str>::new(), "{more}");
        }
        let other = RELAYER.replace("8545", "8546").replace("keys.yaml", "other.yaml");
        let config = |text: &str| RelayerConfig::from_str("relayer.yaml", text).unwrap();
        assert!(config(RELAYER).keys_that_need_a_restart(&config(&other)).is_empty());
    }

    #[test]
    fn keys_that_need_a_restart_are_named() {
        assert_eq!(relayer("listen_addr: :7"), ["listen_addr"]);
        assert_eq!(
            relayer("logging: { level: debug, format: text }\nmetrics: { enabled: false }"),
            ["metrics", "logging (all but level)"]
        );
        assert_eq!(
            miner("batch_size: 7\nsession_lifecycle: { max_concurrent_transitions: 3 }"),
            ["batch_size", "session_lifecycle"]
        );
        assert!(miner("service_factors: { eth: 0.5 }\ndefault_service_factor: 0.1").is_empty());
    }
}
