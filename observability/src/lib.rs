//! Logs that never block, and the small HTTP server that shows metrics and probes.
//!
//! Touches standard error and one listening socket. Metrics themselves are declared beside the code
//! that feeds them; here is only how they are shown.

mod log_control;
mod logs;
mod probes;
mod reloads;

pub use log_control::LogControl;
pub use logs::{LogError, LogFormat, LogGuard, LogOutput, LogSettings, start_logs};
pub use probes::{ProbeServer, Readiness};
pub use prometheus;
pub use reloads::{LastReload, ReloadOutcome, Reloads};
