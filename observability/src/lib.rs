//! Logs that never block, and the small HTTP server that shows metrics, probes and status.
//!
//! Touches standard error and one listening socket. Metrics themselves are declared beside the code
//! that feeds them; here is only how they are shown.

mod grpc_health;
mod log_control;
mod logs;
mod probes;
mod reloads;

pub use log_control::LogControl;
pub use logs::{LogError, LogFormat, LogGuard, LogOutput, LogSettings, start_logs};
pub use pocket_metrics::{Description, Kind, Registry, prometheus};
pub use probes::{ProbePort, ProbeServer, Readiness, ServiceReadiness, Shown, StatusSource};
pub use reloads::{LastReload, ReloadOutcome, Reloads};
