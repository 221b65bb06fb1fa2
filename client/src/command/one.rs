//! A single relay, with its times.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use pocket_protocol::{Height, SupplierAddress};
use serde::Serialize;

use crate::{Check, Payload, RelayClient, RelayError, SignedRelay};

/// What came of one relay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OneReport {
    /// The session.
    pub session_id: String,
    /// Its last block.
    pub session_end: Height,
    /// The supplier that signed the answer.
    pub supplier: SupplierAddress,
    /// Milliseconds to get the session and sign.
    pub build_ms: f64,
    /// Milliseconds from sending to the last byte.
    pub network_ms: f64,
    /// Milliseconds to read and verify.
    pub verify_ms: f64,
    /// The backend's HTTP status.
    pub status: u32,
    /// The backend's headers.
    pub headers: BTreeMap<String, Vec<String>>,
    /// The backend's body; what is not UTF-8 is replaced.
    pub body: String,
    /// What the backend says went wrong.
    pub backend_error: Option<String>,
}

pub(super) async fn send(client: &RelayClient, payload: &Payload) -> Result<OneReport, RelayError> {
    let begin = Instant::now();
    let relay = SignedRelay::new(client.sessions().current().await?, payload);
    let built = Instant::now();
    let received = client.send(&relay).await?;
    let received_at = received.at;
    let answer = relay.read(received, Check::All)?;
    let verified = Instant::now();
    Ok(OneReport {
        session_id: relay.session().header().session_id.clone(),
        session_end: relay.session().end(),
        supplier: relay.supplier().address.clone(),
        build_ms: milliseconds(built - begin),
        network_ms: milliseconds(received_at - built),
        verify_ms: milliseconds(verified - received_at),
        status: answer.status,
        backend_error: answer.backend_error(payload.rpc_type),
        headers: answer
            .headers
            .into_iter()
            .map(|(name, header)| (name, header.values))
            .collect(),
        body: String::from_utf8_lossy(&answer.body).into_owned(),
    })
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl fmt::Display for OneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "session    {} to {}", self.session_id, self.session_end)?;
        writeln!(
            f,
            "supplier   {}, its signature and payload hash are right",
            self.supplier
        )?;
        let Self {
            build_ms,
            network_ms,
            verify_ms,
            ..
        } = self;
        writeln!(
            f,
            "times      {build_ms:.2} ms to sign, {network_ms:.2} ms to answer, {verify_ms:.2} ms to verify"
        )?;
        if let Some(error) = &self.backend_error {
            writeln!(f, "backend    {error}")?;
        }
        writeln!(f, "status     {}", self.status)?;
        for (name, values) in &self.headers {
            writeln!(f, "{name}: {}", values.join(", "))?;
        }
        writeln!(f, "\n{}", self.body.trim_end())
    }
}
