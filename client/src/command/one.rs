//! A single relay, with its times.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use pocket_protocol::{Height, SupplierAddress};
use serde::Serialize;

use crate::{Answer, Check, Mode, Payload, RelayClient, RelayError, SignedRelay};

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
    /// Milliseconds from sending to the first piece of the answer.
    pub first_piece_ms: f64,
    /// Milliseconds from sending to the last byte.
    pub network_ms: f64,
    /// Milliseconds to read and verify.
    pub verify_ms: f64,
    /// Signed pieces of the answer: batches of a stream, messages over a WebSocket; otherwise one.
    pub pieces: usize,
    /// The backend's HTTP status; a message over a WebSocket has none.
    pub status: Option<u32>,
    /// The backend's headers.
    pub headers: BTreeMap<String, Vec<String>>,
    /// The backend's body; what is not UTF-8 is replaced. Messages over a WebSocket stand on lines of their own, those of
    /// a gRPC call as hex.
    pub body: String,
    /// Why nothing more came, although more was due.
    pub cut_off: Option<String>,
    /// What the backend says went wrong.
    pub backend_error: Option<String>,
}

pub(super) async fn send(client: &RelayClient, payload: &Payload) -> Result<OneReport, RelayError> {
    let begin = Instant::now();
    let relay = SignedRelay::new(client.sessions().current().await?, payload);
    let built = Instant::now();
    let received = client.send(&relay).await?;
    let (first_at, received_at) = (received.first_at, received.at);
    let answer = relay.read(received, Check::All)?;
    let verified = Instant::now();
    client.close().await;
    Ok(OneReport {
        session_id: relay.session().header().session_id.clone(),
        session_end: relay.session().end(),
        supplier: relay.supplier().address.clone(),
        build_ms: milliseconds(built - begin),
        first_piece_ms: milliseconds(first_at - built),
        network_ms: milliseconds(received_at - built),
        verify_ms: milliseconds(verified - received_at),
        pieces: answer.bodies.len(),
        status: answer.status,
        backend_error: answer.backend_error(payload.mode),
        body: body(&answer, payload.mode),
        cut_off: answer.cut_off.map(|error| error.to_string()),
        headers: answer
            .headers
            .into_iter()
            .map(|(name, header)| (name, header.values))
            .collect(),
    })
}

impl OneReport {
    /// Whether all of the answer came, and the backend tells of no error.
    pub fn is_clean(&self) -> bool {
        self.backend_error.is_none() && self.cut_off.is_none()
    }
}

fn body(answer: &Answer, mode: Mode) -> String {
    match mode {
        Mode::WebSocket => {
            let messages = answer.bodies.iter().map(|body| String::from_utf8_lossy(body));
            messages.collect::<Vec<_>>().join("\n")
        }
        Mode::Grpc => hex_lines(&answer.body()),
        _ => String::from_utf8_lossy(&answer.body()).into_owned(),
    }
}

/// A line for each whole message of a gRPC body; what is none is one line.
fn hex_lines(mut body: &[u8]) -> String {
    let mut lines = Vec::new();
    while let [_, a, b, c, d, rest @ ..] = body
        && let Some((message, rest)) = rest.split_at_checked(u32::from_be_bytes([*a, *b, *c, *d]) as usize)
    {
        lines.push(hex::encode(message));
        body = rest;
    }
    if !body.is_empty() {
        lines.push(hex::encode(body));
    }
    lines.join("\n")
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl fmt::Display for OneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "session    {} to {}", self.session_id, self.session_end)?;
        writeln!(
            f,
            "supplier   {}, {} right",
            self.supplier,
            match self.pieces {
                1 => "its signature and payload hash are".to_owned(),
                pieces => format!("the signatures and payload hashes of its {pieces} pieces are"),
            }
        )?;
        let Self {
            build_ms,
            first_piece_ms,
            network_ms,
            verify_ms,
            ..
        } = self;
        let first = match self.pieces {
            1 => String::new(),
            _ => format!(" ({first_piece_ms:.2} ms to the first piece)"),
        };
        writeln!(
            f,
            "times      {build_ms:.2} ms to sign, {network_ms:.2} ms to answer{first}, {verify_ms:.2} ms to verify"
        )?;
        if let Some(error) = &self.backend_error {
            writeln!(f, "backend    {error}")?;
        }
        if let Some(cut_off) = &self.cut_off {
            writeln!(f, "cut off    {cut_off}")?;
        }
        if let Some(status) = self.status {
            writeln!(f, "status     {status}")?;
        }
        for (name, values) in &self.headers {
            writeln!(f, "{name}: {}", values.join(", "))?;
        }
        writeln!(f, "\n{}", self.body.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_of_a_call_is_a_line() {
        assert_eq!(hex_lines(&[0, 0, 0, 0, 1, 9, 0, 0, 0, 0, 2, 8, 7]), "09\n0807");
        assert_eq!(hex_lines(&[0, 0, 0, 0, 9, 9]), "000000000909");
        assert_eq!(hex_lines(&[]), "");
    }
}
