use serde::{Deserialize, Serialize};

use crate::{Chain, Latency, Process, Rate, Redis};

/// What a relayer tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RelayerStatus {
    /// The process.
    pub process: Process,
    /// What `/ready` says.
    pub ready: bool,
    /// Why it is not, in words.
    pub not_ready: Vec<String>,
    /// The chain.
    pub chain: Chain,
    /// Redis.
    pub redis: Redis,
    /// All relays.
    pub relays: Relays,
    /// Relays by service, services by name.
    pub services: Vec<Service>,
    /// What applications can pay.
    pub meter: Meter,
    /// Mined relays that Redis has not confirmed.
    pub queue: Queue,
    /// The relay log, if there is one.
    pub relay_log: Option<RelayLog>,
    /// Who is connected.
    pub connections: Connections,
    /// Suppliers whose keys are held, by address.
    pub suppliers: Vec<ServedSupplier>,
}

/// What came of relays since the start, and how fast.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Served {
    /// Answered with a signed response.
    pub answered: u64,
    /// Not answered, whatever the reason.
    pub refused: u64,
    /// Answers.
    pub answered_per_second: Rate,
    /// Refusals.
    pub refused_per_second: Rate,
    /// From the request read to the response made, over the last minute; nothing if none was answered.
    pub latency: Option<Latency>,
}

/// Why relays were refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reason {
    /// The label of the metric `ha_relayer_relays_rejected_total`.
    pub reason: String,
    /// Since the start.
    pub total: u64,
    /// In the last minute.
    pub last_1m: u64,
}

/// All relays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Relays {
    /// Of all services, those that nobody knows too.
    #[serde(flatten)]
    pub served: Served,
    /// Refusals, most in the last minute first.
    pub refusals: Vec<Reason>,
    /// What was wrong with those refused as `validation_failed`, by the label of `ha_relayer_validation_failures_total`.
    pub invalid: Vec<Reason>,
    /// Answered in each of the last 60 seconds, oldest first.
    pub answered_history: Vec<u64>,
    /// Worked on now.
    pub in_flight: u64,
    /// Most that are worked on at a time; more are refused.
    pub in_flight_limit: u64,
}

/// One service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its id.
    pub service: String,
    /// Its relays.
    #[serde(flatten)]
    pub served: Served,
    /// Relays under the difficulty's target, since the start.
    pub mined: u64,
    /// Refusals, most in the last minute first.
    pub refusals: Vec<Reason>,
    /// What was wrong with those refused as `validation_failed`.
    pub invalid: Vec<Reason>,
    /// Worked on now.
    pub in_flight: u64,
    /// Most that are worked on at a time.
    pub in_flight_limit: u64,
    /// The same by RPC type.
    pub types: Vec<ServiceType>,
    /// Its servers.
    pub backends: Vec<Backend>,
}

/// One RPC type of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceType {
    /// `jsonrpc`, `rest`, `websocket`, `grpc` or `cometbft`.
    pub rpc_type: String,
    /// Its relays.
    #[serde(flatten)]
    pub served: Served,
}

/// One server behind a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backend {
    /// The operator's name for it, or host and port.
    pub name: String,
    /// Whose relays it gets.
    pub rpc_type: String,
    /// Scheme, host and port.
    pub url: String,
    /// `closed`: relays go to it. `open`, `half_open`: its breaker's state. `down`: its probes fail. `ejected`: it was
    /// worse than the others.
    pub state: String,
    /// Average of its recent answers, in milliseconds; nothing before the first.
    pub latency_ms: Option<f64>,
    /// Relays that it works on.
    pub in_flight: u64,
}

/// The relay meter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meter {
    /// Whether relays are metered.
    pub enabled: bool,
    /// Sessions with an account here.
    pub sessions: u64,
    /// Of those, the ones whose budget is spent.
    pub exhausted: u64,
    /// Of those, the ones whose budget cannot be asked for.
    pub unknown: u64,
    /// Relays refused because a budget was spent, since the start.
    pub refused: u64,
}

/// Places in the queue to Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// Taken, by relays that are worked on and by those that Redis has not confirmed.
    pub taken: u64,
    /// All there are. When none is left, relays are refused or go to the relay log alone.
    pub limit: u64,
}

/// The relay log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RelayLog {
    /// Its size.
    pub bytes: u64,
    /// The size at which relays are refused.
    pub max_bytes: u64,
    /// Relays in it that Redis has not confirmed.
    pub relays: u64,
}

/// Open connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connections {
    /// Of gateways, of every kind.
    pub open: u64,
    /// Of those, `WebSocket`s.
    pub websockets: u64,
    /// Answers that are streamed.
    pub streams: u64,
}

/// A supplier whose key is held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServedSupplier {
    /// Operator address.
    pub address: String,
    /// What miners tell of it: `active`, `unstaking` or `not_staked`; `unknown` where they say nothing. One that is
    /// unknown is served.
    pub registry: String,
    /// Services it is staked for, as miners tell.
    pub services: Vec<String>,
}
