//! Serving relays: verify, forward, sign, mine.
//!
//! May touch: the gateway's sockets, the backends, the chain through `query`, Redis through `store`. Must not touch:
//! trees, claims, transactions. The way of a relay is a line of types, each made only by the step before:
//! `ReceivedRelay` (decoded and routed), `VerifiedRelay` (believed), `ChargedRelay` (its application can pay),
//! `AnsweredRelay` (signed), `MinedRelay` (under the difficulty's target, ready for Redis). A transport adapts bytes; it decides nothing.

mod answer;
mod backend;
mod batches;
mod body;
mod compression;
mod connector;
mod drain;
mod envelope;
mod error_response;
mod grpc;
mod headers;
mod health;
mod invalid;
mod lookups;
mod meter;
mod metrics;
mod outbox;
mod overload;
mod pipeline;
mod pool;
mod port_limits;
mod rate;
mod readiness;
mod received;
mod refusal;
mod relay_log;
mod relayer;
mod renewal;
mod rpc_type;
mod server;
mod service;
mod session_context;
mod simulation;
mod stall;
mod status;
mod stream;
mod supplier_gate;
mod target;
mod tls_port;
mod trusted;
mod untaken;
mod verify;
mod warm;
mod watermarks;
mod websocket;

pub use backend::BackendError;
pub use metrics::describe_metrics;
pub use pool::{Reach, Reached, reach_backends};
pub use refusal::{Invalid, Refusal, Unavailable};
pub use relayer::{Deps, Relayer, RelayerError, RunningRelayer};
pub use renewal::{RelayerControl, ReloadError};
pub use service::ServiceError;
pub use simulation::{NotAdmitted, SimulationError};
pub use status::StatusHandle;
pub use target::{Target, TargetError};
pub use tls_port::{TlsError, check_tls};
