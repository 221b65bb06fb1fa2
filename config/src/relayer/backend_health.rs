//! `health_check` and `outlier_ejection` of a backend: how sick endpoints are found.

use std::collections::BTreeMap;
use std::time::Duration;

use super::backend::HeaderName;
use crate::codec::{Choice, Count, Flag, List, Map, Named, Section, Text, Whole};
use crate::duration::Seconds;
use crate::reader::Fields;
use crate::secret::{Secret, SecretOrFile};

/// `health_check` of a backend: probes of every endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendHealthCheck {
    /// `enabled`; false.
    pub enabled: bool,
    /// `type`: how an endpoint is asked; `None` for `websocket` and `grpc` of backends of these types, else `http`.
    pub kind: Option<HealthCheckKind>,
    /// `endpoint`: the path that is probed; `None` for the backend's `base_path`.
    pub endpoint: Option<String>,
    /// `interval_seconds`, required when enabled.
    pub interval: Duration,
    /// `timeout_seconds`: for a probe's answer; 5 s.
    pub timeout: Duration,
    /// `unhealthy_threshold`: failed probes in a row that take an endpoint out; `None` for 3. It is the relays'
    /// threshold too, see [`circuit_breaker_threshold`](super::BackendConfig::circuit_breaker_threshold).
    pub unhealthy_threshold: Option<u32>,
    /// `healthy_threshold`: good probes in a row that bring it back; 2.
    pub healthy_threshold: u32,
    /// `method`; `GET`.
    pub method: String,
    /// `request_body`; none.
    pub request_body: Option<String>,
    /// `content_type`; `None` for `application/json` when the body starts with `{` or `[`.
    pub content_type: Option<String>,
    /// `expected_body`: what a good answer contains; anything.
    pub expected_body: Option<String>,
    /// `expected_status`: the statuses of a good answer; empty for 200 to 299.
    pub expected_status: Vec<u16>,
    /// `headers`: of probes alone, in place of the backend's.
    pub headers: BTreeMap<HeaderName, Secret>,
    /// `rpc_method` of the type `jsonrpc`: what is called, such as `eth_syncing`.
    pub rpc_method: Option<String>,
    /// `rpc_params`: its parameters as JSON text; `[]`.
    pub rpc_params: Option<String>,
    /// `expected_result`: the only good result, as JSON or as a plain text; any.
    pub expected_result: Option<String>,
    /// `grpc_service` of the type `grpc`: whose health is asked for; the server's.
    pub grpc_service: Option<String>,
}

/// `health_check.type`: how an endpoint is asked whether it is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthCheckKind {
    /// By a request whose status and body are looked at.
    Http,
    /// By a call whose result is looked at.
    JsonRpc,
    /// By `grpc.health.v1.Health/Check`.
    Grpc,
    /// By opening a WebSocket.
    WebSocket,
}

impl Named for HealthCheckKind {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("http", Self::Http),
        ("jsonrpc", Self::JsonRpc),
        ("grpc", Self::Grpc),
        ("websocket", Self::WebSocket),
    ];
    const MISTAKEN: &'static [(&'static str, &'static str)] = &[
        ("ws", "websocket"),
        ("rpc", "jsonrpc"),
        ("json", "jsonrpc"),
        ("https", "http"),
    ];
}

impl Section for BackendHealthCheck {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let enabled = fields.or::<Flag>("enabled", false);
        let interval = fields.or::<Seconds<0>>("interval_seconds", Duration::ZERO);
        if enabled && interval.is_zero() && fields.sound(&["interval_seconds"]) {
            let what = if fields.written("interval_seconds") {
                "0 seconds is too short"
            } else {
                "is missing"
            };
            fields.missing(&["interval_seconds"], what, "add interval_seconds: 10");
        }
        let kind = fields.optional::<Choice<HealthCheckKind>>("type");
        let rpc_method = fields.optional::<Text>("rpc_method");
        let is_call = kind == Some(HealthCheckKind::JsonRpc);
        if enabled && is_call && rpc_method.is_none() {
            fields.missing(&["rpc_method"], "is missing", "add rpc_method: eth_syncing");
        }
        for key in ["rpc_method", "rpc_params", "expected_result"] {
            if fields.written(key) && !is_call {
                fields.impossible(
                    &[key],
                    "is for another type of probe",
                    "add type: jsonrpc, or remove it",
                );
            }
        }
        Self {
            enabled,
            kind,
            endpoint: fields.optional::<Text>("endpoint"),
            interval,
            timeout: fields.or_if_zero::<Seconds<0>>("timeout_seconds", Duration::from_secs(5)),
            unhealthy_threshold: fields
                .optional::<Count>("unhealthy_threshold")
                .filter(|count| *count > 0),
            healthy_threshold: fields.or_if_zero::<Count>("healthy_threshold", 2),
            method: fields.or::<Text>("method", "GET".to_owned()).to_ascii_uppercase(),
            request_body: fields.optional::<Text>("request_body"),
            content_type: fields.optional::<Text>("content_type"),
            expected_body: fields.optional::<Text>("expected_body"),
            expected_status: fields.or::<List<Whole<u16, 100, 599>>>("expected_status", Vec::new()),
            headers: fields.or::<Map<HeaderName, SecretOrFile>>("headers", BTreeMap::new()),
            rpc_method,
            rpc_params: fields.optional::<Text>("rpc_params"),
            expected_result: fields.optional::<Text>("expected_result"),
            grpc_service: fields.optional::<Text>("grpc_service"),
        }
    }
}

/// `outlier_ejection` of a backend with several endpoints: those that fail much are left alone for a while, although
/// they do not fail in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierEjection {
    /// `enabled`; false.
    pub enabled: bool,
    /// `interval_seconds`: between two looks; 10 s.
    pub interval: Duration,
    /// `min_relays`: an endpoint with fewer since the last look is not judged; 20.
    pub min_relays: u32,
    /// `failure_percent`: from this share of failed and timed-out relays on it is ejected; 50.
    pub failure_percent: u32,
    /// `ejection_seconds`: for how long; 30 s.
    pub ejection_time: Duration,
    /// `max_ejected_percent`: of the endpoints that may be out for any reason; 50. One is always left.
    pub max_ejected_percent: u32,
}

impl Section for OutlierEjection {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            enabled: fields.or::<Flag>("enabled", false),
            interval: fields.or::<Seconds<1>>("interval_seconds", Duration::from_secs(10)),
            min_relays: fields.or::<Whole<u32, 1, 1_000_000>>("min_relays", 20),
            failure_percent: fields.or::<Whole<u32, 1, 100>>("failure_percent", 50),
            ejection_time: fields.or::<Seconds<1>>("ejection_seconds", Duration::from_secs(30)),
            max_ejected_percent: fields.or::<Whole<u32, 1, 100>>("max_ejected_percent", 50),
        }
    }
}
