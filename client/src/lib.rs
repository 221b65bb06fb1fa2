//! A relay client and load generator, and a sample backend for it to reach through a relayer.
//!
//! May touch: the chain through `query`, a relayer's port, loopback sockets of the sample backend, and the file that
//! holds the client's keys. Must not touch: Redis, claims, and anything that a supplier's own programs keep.
//!
//! A relay's way here: [`BackendCall`] (what the backend shall get) -> [`Payload`] (its envelope) -> [`SignedRelay`]
//! (for one supplier of a [`RelaySession`]) -> [`ReceivedAnswer`] -> [`Answer`] (believed).

mod answer;
mod call;
mod client;
pub mod command;
mod error;
#[cfg(test)]
mod fake_relayer;
mod http_server;
mod keys_file;
pub mod load;
mod mode;
pub mod sample_backend;
mod session;
mod sessions;
mod signatory;
mod transport;

pub use answer::{Answer, Check};
pub use call::{BackendCall, Payload};
pub use client::{ClientConfig, ClientError, RelayClient, SignedRelay};
pub use error::{ErrorKind, RelayError};
pub use mode::Mode;
pub use sample_backend::{SampleBackend, SampleBackendConfig};
pub use session::{RelaySession, SessionSupplier};
pub use sessions::{Sessions, SupplierChoice};
pub use signatory::{Signatory, SigningStyle};
pub use transport::ReceivedAnswer;
