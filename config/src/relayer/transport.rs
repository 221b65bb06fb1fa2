//! How backends are connected to: the common settings, and named profiles that replace some of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::codec::{Amount, Count, Flag, Map, Nested, Path, Section, Text, Whole};
use crate::duration::Seconds;
use crate::reader::Fields;

/// `http_transport`: connections to backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTransportConfig {
    /// `max_idle_conns`: unused connections kept, of all backends together; 500.
    pub max_idle_connections: u32,
    /// `max_idle_conns_per_host`: unused connections kept for one host; 100.
    pub max_idle_connections_per_host: u32,
    /// `max_conns_per_host`: connections to one host; 500, `None` (0) for no limit.
    pub max_connections_per_host: Option<u32>,
    /// `warm_conns_per_host`: connections to one host that are opened before relays ask for them, 0 to 1000; 0.
    pub warm_connections_per_host: u32,
    /// `idle_conn_timeout_seconds`: when an unused connection is closed; 300 s.
    pub idle_connection_timeout: Duration,
    /// `dial_timeout_seconds`: to connect; 5 s.
    pub dial_timeout: Duration,
    /// `tls_handshake_timeout_seconds`: for TLS after that; 10 s.
    pub tls_handshake_timeout: Duration,
    /// `response_header_timeout_seconds`: until the first headers; 30 s, `None` (0) for no limit of its own.
    pub response_header_timeout: Option<Duration>,
    /// `expect_continue_timeout_seconds`: until `100 Continue`; 1 s, `None` (0) for no limit.
    pub expect_continue_timeout: Option<Duration>,
    /// `tcp_keep_alive_seconds`: between keep-alive probes; 30 s, `None` (0) for none.
    pub tcp_keep_alive: Option<Duration>,
    /// `disable_compression`: bodies are asked for and passed on as they are; true.
    pub disable_compression: bool,
    /// `ca_file`: a PEM file with root certificates that backends may have beside the system's; none.
    pub ca_file: Option<PathBuf>,
}

impl Section for HttpTransportConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let some = |duration: Duration| (!duration.is_zero()).then_some(duration);
        let seconds = Duration::from_secs;
        Self {
            max_idle_connections: fields.or::<Count>("max_idle_conns", 500),
            max_idle_connections_per_host: fields.or::<Count>("max_idle_conns_per_host", 100),
            max_connections_per_host: Some(fields.or::<Count>("max_conns_per_host", 500)).filter(|count| *count > 0),
            warm_connections_per_host: fields.or::<Whole<u32, 0, 1000>>("warm_conns_per_host", 0),
            idle_connection_timeout: fields.or::<Seconds<1>>("idle_conn_timeout_seconds", seconds(300)),
            dial_timeout: fields.or::<Seconds<1>>("dial_timeout_seconds", seconds(5)),
            tls_handshake_timeout: fields.or::<Seconds<1>>("tls_handshake_timeout_seconds", seconds(10)),
            response_header_timeout: some(fields.or::<Seconds<0>>("response_header_timeout_seconds", seconds(30))),
            expect_continue_timeout: some(fields.or::<Seconds<0>>("expect_continue_timeout_seconds", seconds(1))),
            tcp_keep_alive: some(fields.or::<Seconds<0>>("tcp_keep_alive_seconds", seconds(30))),
            disable_compression: fields.or::<Flag>("disable_compression", true),
            ca_file: fields.optional::<Path>("ca_file"),
        }
    }
}

/// `response_compression`: gzip of signed responses, for clients that accept it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseCompressionConfig {
    /// `enabled`; false.
    pub enabled: bool,
    /// `min_size_bytes`: shorter responses go out as they are; 1024.
    pub min_size_bytes: u64,
}

impl Section for ResponseCompressionConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            enabled: fields.or::<Flag>("enabled", false),
            min_size_bytes: fields.or_if_zero::<Amount>("min_size_bytes", 1024),
        }
    }
}

/// One of `timeout_profiles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeoutProfile {
    /// `request_timeout_seconds`: for a relay's whole answer; unset or 0: `default_request_timeout_seconds`.
    pub request: Duration,
    /// `response_header_timeout_seconds`: until the first headers; `None` (unset or 0) for no limit of its own.
    pub response_header: Option<Duration>,
    /// `dial_timeout_seconds`: to connect; unset or 0: `http_transport`'s.
    pub dial: Duration,
    /// `tls_handshake_timeout_seconds`: for TLS after that; unset or 0: `http_transport`'s.
    pub tls_handshake: Duration,
}

/// The profile of services that name none.
pub(super) const DEFAULT_TIMEOUT_PROFILE: &str = "fast";

struct WrittenTimeouts {
    request: Duration,
    response_header: Duration,
    dial: Duration,
    tls_handshake: Duration,
}

impl Section for WrittenTimeouts {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        fields.optional::<Text>("name");
        let mut seconds = |name| fields.or::<Seconds<0>>(name, Duration::ZERO);
        Self {
            request: seconds("request_timeout_seconds"),
            response_header: seconds("response_header_timeout_seconds"),
            dial: seconds("dial_timeout_seconds"),
            tls_handshake: seconds("tls_handshake_timeout_seconds"),
        }
    }
}

/// The built-in profiles and the file's; one of the file replaces the built-in of its name as a whole.
pub(super) fn timeout_profiles(
    fields: &mut Fields<'_, '_>,
    request: Duration,
    transport: &HttpTransportConfig,
) -> BTreeMap<String, TimeoutProfile> {
    let or = |written: Duration, default: Duration| if written.is_zero() { default } else { written };
    let written = fields.or::<Map<String, Nested<WrittenTimeouts>>>("timeout_profiles", BTreeMap::new());
    let seconds = Duration::from_secs;
    let built_in = |request, response_header, dial, tls_handshake| TimeoutProfile {
        request: seconds(request),
        response_header,
        dial: seconds(dial),
        tls_handshake: seconds(tls_handshake),
    };
    let mut profiles = BTreeMap::from([
        (
            DEFAULT_TIMEOUT_PROFILE.to_owned(),
            built_in(30, Some(seconds(30)), 5, 10),
        ),
        ("streaming".to_owned(), built_in(600, None, 10, 15)),
    ]);
    profiles.extend(written.into_iter().map(|(name, written)| {
        let profile = TimeoutProfile {
            request: or(written.request, request),
            response_header: Some(written.response_header).filter(|duration| !duration.is_zero()),
            dial: or(written.dial, transport.dial_timeout),
            tls_handshake: or(written.tls_handshake, transport.tls_handshake_timeout),
        };
        (name, profile)
    }));
    profiles
}

/// One of `pool_profiles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolProfile {
    /// `max_conns_per_host`: connections to one host, `None` for no limit; unset or 0: `http_transport`'s.
    pub max_connections_per_host: Option<u32>,
    /// `max_idle_conns_per_host`: unused connections kept for one host; unset or 0: `http_transport`'s.
    pub max_idle_connections_per_host: u32,
    /// `idle_conn_timeout_seconds`: when an unused connection is closed; unset or 0: `http_transport`'s.
    pub idle_connection_timeout: Duration,
}

impl PoolProfile {
    /// The pool of services that name none.
    pub(super) fn of_transport(transport: &HttpTransportConfig) -> Self {
        Self {
            max_connections_per_host: transport.max_connections_per_host,
            max_idle_connections_per_host: transport.max_idle_connections_per_host,
            idle_connection_timeout: transport.idle_connection_timeout,
        }
    }
}

struct WrittenPool {
    max_connections: u32,
    max_idle: u32,
    idle_timeout: Duration,
}

impl Section for WrittenPool {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        fields.optional::<Text>("name");
        Self {
            max_connections: fields.or::<Count>("max_conns_per_host", 0),
            max_idle: fields.or::<Count>("max_idle_conns_per_host", 0),
            idle_timeout: fields.or::<Seconds<0>>("idle_conn_timeout_seconds", Duration::ZERO),
        }
    }
}

/// The built-in profiles and the file's; one of the file replaces the built-in of its name as a whole.
pub(super) fn pool_profiles(
    fields: &mut Fields<'_, '_>,
    transport: &HttpTransportConfig,
) -> BTreeMap<String, PoolProfile> {
    let written = fields.or::<Map<String, Nested<WrittenPool>>>("pool_profiles", BTreeMap::new());
    let built_in = |connections, idle| PoolProfile {
        max_connections_per_host: Some(connections),
        max_idle_connections_per_host: idle,
        idle_connection_timeout: Duration::from_secs(90),
    };
    let mut profiles = BTreeMap::from([
        ("low".to_owned(), built_in(10, 5)),
        ("medium".to_owned(), built_in(100, 20)),
        ("high".to_owned(), built_in(250, 50)),
    ]);
    profiles.extend(written.into_iter().map(|(name, written)| {
        let mut profile = PoolProfile::of_transport(transport);
        if written.max_connections > 0 {
            profile.max_connections_per_host = Some(written.max_connections);
        }
        if written.max_idle > 0 {
            profile.max_idle_connections_per_host = written.max_idle;
        }
        if !written.idle_timeout.is_zero() {
            profile.idle_connection_timeout = written.idle_timeout;
        }
        (name, profile)
    }));
    profiles
}
