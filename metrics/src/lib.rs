//! A process's metrics: each is described where it is registered, so that all can be listed, checked against
//! dashboards and documented, whether or not anything was counted with them yet.
//!
//! Does no I/O but for the process's own figures, and knows no metric by name but those.

mod description;
mod process;
mod registry;

pub use description::{Description, Kind};
pub use prometheus;
pub use registry::Registry;

/// Buckets of durations, in seconds.
pub mod seconds {
    /// Calls over a network near by, such as to Redis: 100 µs to 5 s.
    pub const NEARBY: [f64; 11] = [
        0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0,
    ];
    /// Calls to a node, and transactions: 1 ms to 30 s, the Go peer's.
    pub const REMOTE: [f64; 14] = [
        0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ];
}
