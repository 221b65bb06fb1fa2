//! `services.<id>.backends`: where relays of one type go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use url::Url;

use super::backend_health::{BackendHealthCheck, HealthCheckKind, OutlierEjection};
use crate::codec::{Choice, Codec, List, Map, Name, Named, Nested, Section, Text, Whole, scalar};
use crate::document::{Node, Value};
use crate::duration::{Milliseconds, Seconds};
use crate::outline::{Outline, Scalar, Shape};
use crate::reader::{Fields, Reader};
use crate::secret::{Secret, SecretOrFile, SecretText};

/// The chain's types of API, which are the keys of `backends`; as numbers they stand in `Rpc-Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RpcType {
    /// `grpc`, 1.
    Grpc = 1,
    /// `websocket`, 2.
    WebSocket = 2,
    /// `jsonrpc`, 3.
    JsonRpc = 3,
    /// `rest`, 4.
    Rest = 4,
    /// `cometbft`, 5: JSON-RPC or URIs of a `CometBFT` node.
    CometBft = 5,
}

impl RpcType {
    /// The key of `backends`.
    pub fn as_str(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, known)| *known == self)
            .map_or("", |(name, _)| name)
    }
}

impl Named for RpcType {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("jsonrpc", Self::JsonRpc),
        ("rest", Self::Rest),
        ("websocket", Self::WebSocket),
        ("grpc", Self::Grpc),
        ("cometbft", Self::CometBft),
    ];
    const MISTAKEN: &'static [(&'static str, &'static str)] = &[
        ("ws", "websocket"),
        ("wss", "websocket"),
        ("http", "jsonrpc"),
        ("json", "jsonrpc"),
        ("rpc", "jsonrpc"),
        ("comet", "cometbft"),
        ("tendermint", "cometbft"),
        ("restful", "rest"),
    ];
}

impl Name for RpcType {
    fn parse(text: &str) -> Result<Self, (String, String)> {
        Self::named(text).ok_or_else(|| Self::unknown(text))
    }
    fn all() -> Option<Vec<&'static str>> {
        Some(Self::NAMES.iter().map(|(name, _)| *name).collect())
    }
}

/// `default_backend`: a name or, as in `Rpc-Type`, a number.
pub(super) enum DefaultBackend {}

impl Codec for DefaultBackend {
    type Value = RpcType;
    const EXAMPLE: &str = "jsonrpc";
    fn read(node: &Node, reader: &mut Reader) -> Option<RpcType> {
        let text = scalar(node, reader, "a type of backend", Self::EXAMPLE)?;
        let number = RpcType::NAMES
            .iter()
            .find(|(_, rpc_type)| (*rpc_type as u8).to_string() == text);
        number
            .map(|(_, rpc_type)| *rpc_type)
            .or_else(|| Choice::<RpcType>::read(node, reader))
    }
    fn shape(_name: &str) -> Shape {
        let numbers = RpcType::NAMES.iter().map(|(_, rpc_type)| (*rpc_type as u8).into());
        let names = RpcType::NAMES.iter().map(|(name, _)| (*name).into());
        Shape::Scalar(Scalar::OneOf(names.chain(numbers).collect()))
    }
    fn written(value: &RpcType) -> serde_json::Value {
        value.as_str().into()
    }
}

/// One of a service's `backends`.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendConfig {
    /// `url`, `url_file` or `urls`, at least one, all different.
    pub endpoints: Vec<BackendEndpoint>,
    /// `base_path`: stands before every path that does not start with it, instead of the URL's own path.
    pub base_path: Option<String>,
    /// `load_balancing`; unset: `round_robin` for several endpoints, `first_healthy` for one.
    pub selection: BackendSelection,
    /// `headers`: added to every request, in place of the client's.
    pub headers: BTreeMap<HeaderName, Secret>,
    /// `authentication`; none.
    pub authentication: Option<Authentication>,
    /// `health_check`; none.
    pub health_check: Option<BackendHealthCheck>,
    /// `health_check.unhealthy_threshold`: failed relays in a row that take an endpoint out, whether or not probes
    /// are enabled; 5.
    pub circuit_breaker_threshold: u32,
    /// `max_retries`: on another endpoint after a failure, 0 to 3; 1.
    pub max_retries: u32,
    /// `retry_requests`: which requests are repeated after an endpoint may have seen them; `idempotent`. One that never
    /// reached an endpoint is repeated in any case.
    pub retried_requests: RetriedRequests,
    /// `hedge_after_ms`: when another endpoint is asked as well, for requests that may be repeated; `None` (0) for
    /// never.
    pub hedge_after: Option<Duration>,
    /// `outlier_ejection`; off.
    pub outlier_ejection: OutlierEjection,
    /// `recovery_timeout_seconds`: when an endpoint taken out is tried again; 30 s, `None` (0) for never.
    pub recovery_timeout: Option<Duration>,
}

/// One server of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendEndpoint {
    /// `name`: for logs and metrics.
    pub name: Option<String>,
    /// Where it is; `host:port` without a scheme has become `http://host:port`.
    pub url: Url,
}

/// Which endpoint a relay goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendSelection {
    /// The first that is healthy.
    FirstHealthy,
    /// The healthy ones in turn.
    RoundRobin,
    /// The healthy one that answers soonest, by its recent latency and the relays it has in flight.
    LeastLatency,
}

impl Named for BackendSelection {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("first_healthy", Self::FirstHealthy),
        ("round_robin", Self::RoundRobin),
        ("least_latency", Self::LeastLatency),
    ];
}

/// `retry_requests`: what is repeated although an endpoint may have carried it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetriedRequests {
    /// GET, HEAD, OPTIONS, TRACE, PUT and DELETE: carried out twice, they do what they do once.
    Idempotent,
    /// All, as the peer does: for backends that only read, whatever the method.
    All,
}

impl Named for RetriedRequests {
    const NAMES: &'static [(&'static str, Self)] = &[("idempotent", Self::Idempotent), ("all", Self::All)];
}

impl Section for BackendConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let endpoints = endpoints(fields);
        let base_path = fields.optional::<Text>("base_path");
        if base_path.as_ref().is_some_and(|path| !path.starts_with('/')) {
            fields.impossible(&["base_path"], "is no path", "start it with a slash");
        }
        let selection = fields.optional::<Choice<BackendSelection>>("load_balancing");
        let by_number = if endpoints.len() > 1 {
            BackendSelection::RoundRobin
        } else {
            BackendSelection::FirstHealthy
        };
        let health_check = fields.optional::<Nested<BackendHealthCheck>>("health_check");
        let is_socket = fields.name() == RpcType::WebSocket.as_str() || fields.name() == RpcType::Grpc.as_str();
        let needs_path = |check: &BackendHealthCheck| match check.kind {
            None => !is_socket,
            Some(kind) => kind == HealthCheckKind::Http,
        };
        if health_check
            .as_ref()
            .is_some_and(|check| check.enabled && check.endpoint.is_none() && needs_path(check))
            && base_path.is_none()
        {
            let remedy = "add endpoint, the path to probe, or give the backend a base_path";
            fields.missing(&["health_check", "endpoint"], "is missing", remedy);
        }
        let recovery = fields.or::<Seconds<0>>("recovery_timeout_seconds", Duration::from_secs(30));
        Self {
            endpoints,
            base_path,
            selection: selection.unwrap_or(by_number),
            headers: fields.or::<Map<HeaderName, SecretOrFile>>("headers", BTreeMap::new()),
            authentication: fields.section("authentication", Authentication::read),
            circuit_breaker_threshold: health_check
                .as_ref()
                .and_then(|check| check.unhealthy_threshold)
                .unwrap_or(5),
            health_check,
            max_retries: fields.or::<Whole<u32, 0, 3>>("max_retries", 1),
            retried_requests: fields.or::<Choice<RetriedRequests>>("retry_requests", RetriedRequests::Idempotent),
            hedge_after: fields
                .optional::<Milliseconds>("hedge_after_ms")
                .filter(|delay| !delay.is_zero()),
            outlier_ejection: fields.section("outlier_ejection", OutlierEjection::read),
            recovery_timeout: Some(recovery).filter(|duration| !duration.is_zero()),
        }
    }
}

/// Reads `url`, `url_file` or `urls` of a backend. The schemes fit the backend's type, which is the section's own key.
fn endpoints(fields: &mut Fields<'_, '_>) -> Vec<BackendEndpoint> {
    let web_socket = fields.name() == RpcType::WebSocket.as_str();
    let (one, several) = if web_socket {
        url_or_urls::<true>(fields)
    } else {
        url_or_urls::<false>(fields)
    };
    match (
        fields.written("url") || fields.written("url_file"),
        fields.written("urls"),
    ) {
        (true, true) => fields.impossible(&["urls"], "stands beside url", "keep one of url and urls"),
        (false, false) => {
            let example = if web_socket {
                "ws://localhost:8546"
            } else {
                "http://localhost:8545"
            };
            fields.missing(
                &["url"],
                "is missing",
                format!("add url: {example}, or a list of them as urls"),
            );
        }
        _ => {}
    }
    let endpoints: Vec<_> = one.into_iter().chain(several.unwrap_or_default()).collect();
    if fields.sound(&["urls"]) {
        if fields.written("urls") && endpoints.is_empty() {
            fields.missing(&["urls"], "is an empty list", "add a URL to it");
        }
        note_repeated(fields, &endpoints);
    }
    endpoints
}

fn url_or_urls<const WEB_SOCKET: bool>(
    fields: &mut Fields<'_, '_>,
) -> (Option<BackendEndpoint>, Option<Vec<BackendEndpoint>>) {
    fields.one_of(&["url", "url_file", "urls"]);
    let url = fields.or_file::<BackendUrl<WEB_SOCKET>>("url", "url_file");
    (
        url.map(|url| BackendEndpoint { name: None, url }),
        fields.optional::<List<EndpointOf<WEB_SOCKET>>>("urls"),
    )
}

fn note_repeated(fields: &mut Fields<'_, '_>, endpoints: &[BackendEndpoint]) {
    let (mut places, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (index, endpoint) in endpoints.iter().enumerate() {
        let url = &endpoint.url;
        let place = (
            url.host_str(),
            url.port_or_known_default(),
            url.path().trim_end_matches('/'),
            url.query(),
        );
        let place = format!("{place:?}");
        let number = index + 1;
        if !places.insert(place) {
            fields.impossible(&["urls"], format!("entry {number} is there already"), "remove it");
        }
        if let Some(name) = &endpoint.name
            && !names.insert(name)
        {
            let what = format!("entry {number} has the name {name:?} of another");
            fields.impossible(&["urls"], what, "give it a name of its own");
        }
    }
}

/// A URL, alone or with a name; of a WebSocket backend or of any other.
struct EndpointOf<const WEB_SOCKET: bool>;

impl<const WEB_SOCKET: bool> EndpointOf<WEB_SOCKET> {
    fn named(fields: &mut Fields<'_, '_>) -> BackendEndpoint {
        BackendEndpoint {
            name: fields.optional::<Text>("name"),
            url: fields.required::<BackendUrl<WEB_SOCKET>>("url"),
        }
    }
}

impl<const WEB_SOCKET: bool> Codec for EndpointOf<WEB_SOCKET> {
    type Value = BackendEndpoint;
    const EXAMPLE: &str = if WEB_SOCKET {
        "ws://localhost:8546"
    } else {
        "http://localhost:8545"
    };
    fn read(node: &Node, reader: &mut Reader) -> Option<BackendEndpoint> {
        if !matches!(node.value, Value::Map(_)) {
            return BackendUrl::<WEB_SOCKET>::read(node, reader).map(|url| BackendEndpoint { name: None, url });
        }
        Some(reader.section(node, Self::named))
    }
    fn shape(name: &str) -> Shape {
        let named = Outline::of_read(name, |fields| {
            Self::named(fields);
        });
        Shape::Either(BackendUrl::<WEB_SOCKET>::SCALAR, named)
    }
}

struct BackendUrl<const WEB_SOCKET: bool>;

impl<const WEB_SOCKET: bool> BackendUrl<WEB_SOCKET> {
    const SCALAR: Scalar = Scalar::Matching(if WEB_SOCKET { "^wss?://" } else { "^(?!wss?://)" });
}

impl<const WEB_SOCKET: bool> Codec for BackendUrl<WEB_SOCKET> {
    type Value = Url;
    const EXAMPLE: &str = EndpointOf::<WEB_SOCKET>::EXAMPLE;
    fn read(node: &Node, reader: &mut Reader) -> Option<Url> {
        let text = scalar(node, reader, "a URL", Self::EXAMPLE)?;
        let schemes: &[&str] = if WEB_SOCKET {
            &["ws", "wss"]
        } else {
            &["http", "https", "grpc", "grpcs"]
        };
        let remedy = format!("write a URL that starts with {}://", schemes.join(":// or "));
        let with_scheme = if text.contains("://") || WEB_SOCKET {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        match crate::endpoint::parse(&with_scheme) {
            Ok(url) if schemes.contains(&url.scheme()) => Some(url),
            Ok(url) => reader.impossible(node, format!("the scheme {:?} does not fit", url.scheme()), remedy),
            Err(what) => reader.impossible(node, what, remedy),
        }
    }
    fn shape(_name: &str) -> Shape {
        Shape::Scalar(Self::SCALAR)
    }
}

/// The name of an HTTP header, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderName(String);

impl HeaderName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Name for HeaderName {
    const PATTERN: &str = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";

    fn parse(text: &str) -> Result<Self, (String, String)> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if !text.is_empty() && text.bytes().all(legal) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err((
            "is no name of a header".to_owned(),
            "write letters, digits and hyphens".to_owned(),
        ))
    }
}

/// `authentication`: what stands in `Authorization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// `username` and `password`, or `password_file`.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// `bearer_token` or `bearer_token_file`: `Bearer` and the token.
    Bearer(Secret),
    /// `plain_token` or `plain_token_file`: the token alone.
    Plain(Secret),
}

impl Authentication {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let username = fields.optional::<Text>("username");
        let password = fields.or_file::<SecretText>("password", "password_file");
        let bearer = fields.or_file::<SecretText>("bearer_token", "bearer_token_file");
        let plain = fields.or_file::<SecretText>("plain_token", "plain_token_file");
        let kinds = [
            username.is_some() || password.is_some(),
            bearer.is_some(),
            plain.is_some(),
        ];
        if kinds.iter().filter(|given| **given).count() > 1 {
            let remedy = "keep one of: username with password, bearer_token, plain_token";
            fields.impossible(&[], "more than one way to authenticate", remedy);
        }
        if fields.written("username") != (fields.written("password") || fields.written("password_file")) {
            let missing = if username.is_some() { "password" } else { "username" };
            fields.missing(&[missing], "is missing", "give username and password together");
        }
        match (username, password) {
            (Some(username), Some(password)) => Some(Self::Basic { username, password }),
            _ => bearer.map(Self::Bearer).or(plain.map(Self::Plain)),
        }
    }
}
