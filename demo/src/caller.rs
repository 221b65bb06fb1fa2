use std::time::Duration;

use pocket_client::{BackendCall, Check, Mode, Payload, RelayClient, RelayError, SignedRelay};
use tokio::time::sleep;

use crate::drive::Progress;

/// How often a relay that got no answer is signed anew and sent again.
const ATTEMPTS: u32 = 5;
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(200);
/// Messages that follow the answer to a subscription, and batches of a stream.
const PIECES: usize = 2;

/// Asks for one mode, in several ways.
pub(crate) struct Caller {
    mode: Mode,
    client: RelayClient,
    payloads: Vec<Payload>,
}

impl Caller {
    pub fn new(mode: Mode, client: RelayClient) -> Self {
        Self {
            mode,
            client,
            payloads: payloads(mode),
        }
    }

    /// What is asked for the how manieth time, with no more answers than are wanted.
    pub fn payload(&self, number: u64, wanted: u64) -> &Payload {
        let payload = &self.payloads[(number % self.payloads.len() as u64) as usize];
        if payload.answers as u64 > wanted {
            &self.payloads[0]
        } else {
            payload
        }
    }

    /// One request until it is answered. What is refused is not served, so it may be asked for again.
    pub async fn send(&self, payload: &Payload, progress: &Progress) {
        for attempt in 1..=ATTEMPTS {
            match self.try_send(payload, progress).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(%error, attempt, mode = self.mode.as_str(), "relay without an answer");
                    progress.count_error(error.kind());
                }
            }
            sleep(PAUSE_AFTER_REFUSAL).await;
        }
        progress.count_unanswered();
    }

    /// Says goodbye.
    pub async fn close(&self) {
        self.client.close().await;
    }

    async fn try_send(&self, payload: &Payload, progress: &Progress) -> Result<(), RelayError> {
        let session = self.client.sessions().current().await?;
        let end = session.end();
        let relay = SignedRelay::new(session, payload);
        let received = self.client.send(&relay).await?;
        let answer = relay.read(received, Check::All)?;
        if self.mode == Mode::WebSocket {
            // Each message is a relay of its own, whatever became of the next.
            progress.count(self.mode, answer.bodies.len() as u64, end);
            if let Some(error) = answer.cut_off {
                progress.count_error(error.kind());
            }
        } else {
            answer.whole()?;
            progress.count(self.mode, 1, end);
        }
        Ok(())
    }
}

/// What is asked for, one after the other; the first has one answer.
fn payloads(mode: Mode) -> Vec<Payload> {
    let usual = BackendCall::usual(mode);
    let other = match mode {
        Mode::JsonRpc | Mode::CometBft => return vec![usual.payload()],
        Mode::Rest => BackendCall::get("/blocks/a%2Fb//c?height=1&height=2"),
        Mode::WebSocket => {
            let subscribe = serde_json::json!({
                "jsonrpc": "2.0",
                "id": 1,
                "method": "eth_subscribe",
                "params": ["newHeads", { "pushes": PIECES }],
            });
            let subscribe = Payload::message(subscribe.to_string().into());
            return vec![usual.payload(), subscribe.with_pushes(PIECES)];
        }
        // Three answers to one call.
        Mode::Grpc => BackendCall::grpc("/demo.DemoService/StreamBlockHeights", &[8, 3]),
        Mode::Stream => BackendCall {
            url: "/stream/ndjson".to_owned(),
            ..usual.clone()
        },
    };
    vec![usual.payload(), other.payload()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_begins_with_what_has_one_answer() {
        for mode in Mode::ALL {
            let payloads = payloads(mode);
            assert_eq!(payloads[0].answers, 1, "{mode}");
            assert!(payloads.iter().all(|payload| payload.mode == mode));
        }
    }
}
