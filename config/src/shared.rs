//! Sections that relayer and miner have in common.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::address::{Address, ListenAddress};
use crate::codec::{Choice, Codec, Count, Flag, List, Named, Path, Section, Text, Whole, scalar};
use crate::document::Node;
use crate::duration::Seconds;
use crate::endpoint::{GrpcTarget, HttpUrl, RedisUrl};
use crate::outline::{Scalar, Shape};
use crate::reader::{Fields, Reader};
use crate::several::OneOrMore;

/// `redis`: where relays and trees are kept between relayer and miner.
#[derive(Clone, Debug, PartialEq)]
pub struct RedisConfig {
    /// `url` or `url_file` (the environment's `REDIS_URL` goes first); `redis://localhost:6379`.
    pub url: RedisUrl,
    /// `pool_size`: most connections; `None` (0 or unset) leaves it to the store.
    pub pool_size: Option<u32>,
    /// `min_idle_conns`: connections kept open; `None` (0 or unset) leaves it to the store.
    pub min_idle_connections: Option<u32>,
    /// `pool_timeout_seconds`: how long to wait for a free connection; 4 s.
    pub pool_timeout: Duration,
    /// `conn_max_idle_time_seconds`: when an unused connection is closed; 300 s.
    pub connection_max_idle_time: Duration,
    /// `namespace`: the words that keys are made of; the same for relayer and miner.
    pub namespace: RedisNamespace,
    /// `consumer_name` (miner): this instance among its like; `None` for one made of host and process.
    pub consumer_name: Option<String>,
    /// `wait_replicas`: replicas that must have a relay before its relayer lets it go; `None` (unset) for one with
    /// Sentinel and Cluster, as far as there are any. Ours alone.
    pub wait_replicas: Option<u32>,
    /// `claim_idle_timeout_ms` (miner): when another's unacknowledged entry is taken over; 60 s.
    pub claim_idle_timeout: Duration,
}

impl Section for RedisConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let positive = |count: u32| (count > 0).then_some(count);
        Self {
            url: fields.or_file_or::<RedisUrl>("url", "url_file", RedisUrl::local()),
            pool_size: fields.optional::<Count>("pool_size").and_then(positive),
            min_idle_connections: fields.optional::<Count>("min_idle_conns").and_then(positive),
            pool_timeout: fields.or_if_zero::<Seconds<0>>("pool_timeout_seconds", Duration::from_secs(4)),
            connection_max_idle_time: fields
                .or_if_zero::<Seconds<0>>("conn_max_idle_time_seconds", Duration::from_mins(5)),
            namespace: fields.section("namespace", RedisNamespace::read),
            consumer_name: fields.optional::<Text>("consumer_name"),
            wait_replicas: fields.optional::<Whole<u32, 0, 100>>("wait_replicas"),
            claim_idle_timeout: fields
                .or_if_zero::<crate::duration::Milliseconds>("claim_idle_timeout_ms", Duration::from_mins(1)),
        }
    }
}

/// `redis.namespace`: the words that keys are made of, as in `ha:relays:<supplier>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisNamespace {
    /// `base_prefix`: the first word of every key; `ha`.
    pub base_prefix: String,
    /// `cache_prefix`: cached chain data; `cache`.
    pub cache_prefix: String,
    /// `events_prefix`: channels; `events`.
    pub events_prefix: String,
    /// `streams_prefix`: the streams of mined relays; `relays`.
    pub streams_prefix: String,
    /// `miner_prefix`: the miner's state; `miner`.
    pub miner_prefix: String,
    /// `supplier_prefix`: the suppliers' records; `supplier`.
    pub supplier_prefix: String,
    /// `meter_prefix`: metering; `meter`.
    pub meter_prefix: String,
    /// `params_prefix`: cached parameters; `params`.
    pub params_prefix: String,
    /// `consumer_group_prefix`: the last word of the consumer group, `<base>-<this>`; `miners`.
    pub consumer_group_prefix: String,
}

impl Section for RedisNamespace {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let mut word = |name, default: &str| fields.or::<KeyWord>(name, default.to_owned());
        Self {
            base_prefix: word("base_prefix", "ha"),
            cache_prefix: word("cache_prefix", "cache"),
            events_prefix: word("events_prefix", "events"),
            streams_prefix: word("streams_prefix", "relays"),
            miner_prefix: word("miner_prefix", "miner"),
            supplier_prefix: word("supplier_prefix", "supplier"),
            meter_prefix: word("meter_prefix", "meter"),
            params_prefix: word("params_prefix", "params"),
            consumer_group_prefix: word("consumer_group_prefix", "miners"),
        }
    }
}

impl Default for RedisNamespace {
    fn default() -> Self {
        crate::codec::Nested::<Self>::stand_in()
    }
}

/// A part of a Redis key: no blanks, and nothing that a search pattern would take for a wildcard.
pub(crate) enum KeyWord {}

impl Codec for KeyWord {
    type Value = String;
    const EXAMPLE: &str = "ha";
    fn read(node: &Node, reader: &mut Reader) -> Option<String> {
        let text = scalar(node, reader, "a word", Self::EXAMPLE)?;
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '?' | '[' | ']' | '\\')) {
            return reader.impossible(
                node,
                format!("{text:?} cannot be part of a key"),
                "leave out blanks and the characters * ? [ ] \\",
            );
        }
        Some(text.to_owned())
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Matching(r"^[^\s*?\[\]\\]+$"))
    }
    fn written(value: &String) -> serde_json::Value {
        value.as_str().into()
    }
}

/// `pocket_node`: the chain's node, or several of them.
#[derive(Clone, Debug, PartialEq)]
pub struct PocketNodeConfig {
    /// `query_node_rpc_url`, required (the environment's `POCKET_NODE_RPC_URL` goes first): `CometBFT`'s RPC, of one
    /// node or, as a list or with commas, of several; never empty.
    pub query_node_rpc_urls: Vec<Url>,
    /// `query_node_grpc_url`, required (the environment's `POCKET_NODE_GRPC_URL` goes first): `host:port` of the
    /// chain's queries, without a scheme; several as above. The two lists need not be of the same nodes.
    pub query_node_grpc_urls: Vec<String>,
    /// `grpc_insecure`: gRPC without TLS; false.
    pub grpc_insecure: bool,
    /// `query_timeout_seconds`: for one query; 5 s.
    pub query_timeout: Duration,
    /// `chain_id`: which chain transactions are signed for; `None` asks the node.
    pub chain_id: Option<String>,
}

impl Section for PocketNodeConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            query_node_rpc_urls: fields.required::<OneOrMore<HttpUrl>>("query_node_rpc_url"),
            query_node_grpc_urls: fields.required::<OneOrMore<GrpcTarget>>("query_node_grpc_url"),
            grpc_insecure: fields.or::<Flag>("grpc_insecure", false),
            query_timeout: fields.or_if_zero::<Seconds<0>>("query_timeout_seconds", Duration::from_secs(5)),
            chain_id: fields.optional::<Text>("chain_id"),
        }
    }
}

/// `keys`: where the suppliers' signing keys are; at least one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysConfig {
    /// `keys_file`: a YAML file with a list of hexadecimal keys.
    pub keys_file: Option<PathBuf>,
    /// `keys_dir`: a directory with a file for each key.
    pub keys_dir: Option<PathBuf>,
    /// `keyring`: a keyring of the Cosmos SDK.
    pub keyring: Option<KeyringConfig>,
}

impl Section for KeysConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let keys = Self {
            keys_file: fields.optional::<Path>("keys_file"),
            keys_dir: fields.optional::<Path>("keys_dir"),
            keyring: fields.optional::<crate::codec::Nested<KeyringConfig>>("keyring"),
        };
        let sources = ["keys_file", "keys_dir", "keyring"];
        fields.one_of(&sources);
        if !sources.iter().any(|name| fields.written(name)) {
            fields.missing(&[], "names no source of keys", "add keys_file, keys_dir or keyring");
        }
        keys
    }
}

/// `keys.keyring`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringConfig {
    /// `backend`, required.
    pub backend: KeyringBackend,
    /// `dir`: the keyring's directory; `None` for the application's own.
    pub dir: Option<PathBuf>,
    /// `app_name`; `pocket`.
    pub app_name: String,
    /// `key_names`: the keys to load; empty for all.
    pub key_names: Vec<String>,
    /// `password_file`: a file with the password of the backends that have one; `None` for the environment's
    /// `KEYRING_PASSWORD`, or for asking on the terminal. Ours alone.
    pub password_file: Option<PathBuf>,
}

impl Section for KeyringConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            backend: fields.required::<Choice<KeyringBackend>>("backend"),
            dir: fields.optional::<Path>("dir"),
            app_name: fields.or::<Text>("app_name", "pocket".to_owned()),
            key_names: fields.or::<List<Text>>("key_names", Vec::new()),
            password_file: fields.optional::<Path>("password_file"),
        }
    }
}

/// How a keyring keeps its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyringBackend {
    /// Encrypted files.
    File,
    /// The operating system's key store.
    Os,
    /// Files without a password.
    Test,
    /// Nowhere: gone with the process.
    Memory,
}

impl Named for KeyringBackend {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("file", Self::File),
        ("os", Self::Os),
        ("test", Self::Test),
        ("memory", Self::Memory),
    ];
}

/// A server beside the main one: `metrics`, `pprof`, `health_check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// `enabled`.
    pub enabled: bool,
    /// `addr`.
    pub address: ListenAddress,
}

impl ServerConfig {
    /// Reads the section with the defaults of its place.
    pub(crate) fn read(fields: &mut Fields<'_, '_>, enabled: bool, host: &str, port: u16) -> Self {
        let default = ListenAddress {
            host: host.to_owned(),
            port,
        };
        Self {
            enabled: fields.or::<Flag>("enabled", enabled),
            address: fields.or::<Address>("addr", default),
        }
    }
}

/// Notes servers of one process that want the same address. `servers` are key paths with their addresses.
pub(crate) fn note_clashes(fields: &mut Fields<'_, '_>, servers: &[(&[&str], &ListenAddress)]) {
    for (index, (path, address)) in servers.iter().enumerate() {
        let earlier = servers[..index].iter().find(|(_, earlier)| address.clashes(earlier));
        if let Some((other, _)) = earlier {
            let what = format!("{address} is already taken by {}", other.join("."));
            fields.impossible(path, what, "give each server its own port");
        }
    }
}

/// `logging`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggingConfig {
    /// `level`; `info`.
    pub level: LogLevel,
    /// `format`; `json`.
    pub format: LogFormat,
    /// `output`: `stdout`, `stderr` or a file's path; `stdout`.
    pub output: LogOutput,
    /// `async`: lines are written by a thread of their own; true.
    pub asynchronous: bool,
    /// `async_buffer_size`: lines that may wait for that thread; 100 000.
    pub async_buffer_size: u32,
    /// `async_poll_interval`: how often the thread looks, in milliseconds in the file; 100 ms.
    pub async_poll_interval: Duration,
    /// `sampling`: drop most of many equal lines; false.
    pub sampling: bool,
    /// `sampling_initial`: lines a second that are always written when sampling; 100.
    pub sampling_initial: u32,
    /// `sampling_thereafter`: of the further lines, one in so many; 10.
    pub sampling_thereafter: u32,
    /// `enable_caller`: with the place in the source; false.
    pub enable_caller: bool,
}

impl Section for LoggingConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            level: fields.or::<Choice<LogLevel>>("level", LogLevel::Info),
            format: fields.or::<Choice<LogFormat>>("format", LogFormat::Json),
            output: fields.or::<LogOutput>("output", LogOutput::Stdout),
            asynchronous: fields.or::<Flag>("async", true),
            async_buffer_size: fields.or_if_zero::<Count>("async_buffer_size", 100_000),
            async_poll_interval: fields
                .or_if_zero::<crate::duration::Milliseconds>("async_poll_interval", Duration::from_millis(100)),
            sampling: fields.or::<Flag>("sampling", false),
            sampling_initial: fields.or_if_zero::<Count>("sampling_initial", 100),
            sampling_thereafter: fields.or_if_zero::<Whole<u32, 0, 1_000_000>>("sampling_thereafter", 10),
            enable_caller: fields.or::<Flag>("enable_caller", false),
        }
    }
}

/// The least important lines that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// For those who work on the program.
    Debug,
    /// Events of operation.
    Info,
    /// What becomes a loss if it goes on.
    Warn,
    /// Money at risk.
    Error,
}

impl Named for LogLevel {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("trace", Self::Trace),
        ("debug", Self::Debug),
        ("info", Self::Info),
        ("warn", Self::Warn),
        ("error", Self::Error),
    ];
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a terminal.
    Text,
}

impl Named for LogFormat {
    const NAMES: &'static [(&'static str, Self)] = &[("json", Self::Json), ("text", Self::Text)];
    const MISTAKEN: &'static [(&'static str, &'static str)] = &[("console", "text"), ("pretty", "text")];
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The end of a file.
    File(PathBuf),
}

impl Codec for LogOutput {
    type Value = Self;
    const EXAMPLE: &str = "stdout";
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        Some(match scalar(node, reader, "stdout, stderr or a path", Self::EXAMPLE)? {
            "stdout" => Self::Stdout,
            "stderr" => Self::Stderr,
            path => Self::File(path.into()),
        })
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Scalar::Text)
    }
    fn written(value: &Self) -> serde_json::Value {
        match value {
            Self::Stdout => "stdout".into(),
            Self::Stderr => "stderr".into(),
            Self::File(path) => path.to_string_lossy().into(),
        }
    }
}
