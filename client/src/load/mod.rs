//! Many relays, and what came of them.
//!
//! Relays are signed ahead into a bounded queue by blocking threads, so that signing is neither in a relay's latency
//! nor in its way; one task starts them, owns those in flight and counts.

mod pace;
mod report;
mod signing;
mod tally;

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Answer, Check, Payload, RelayClient, RelayError, SignedRelay};
use pace::Starts;
use tally::Tally;

pub use report::{ErrorCount, LatencyReport, LoadReport, MeanCost, SessionCount};

/// When relays start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// This many at any time: the next starts when one ends. Latency counts from the start.
    Closed {
        /// Relays at a time.
        concurrency: NonZeroUsize,
    },
    /// This many a second, whatever becomes of the earlier ones. Latency counts from the moment that a relay should
    /// have started, so that a relayer which stalls is charged for all who waited.
    Open {
        /// Relays a second.
        per_second: NonZeroU32,
        /// Relays at a time; those beyond it wait, at the cost of their latency.
        max_in_flight: NonZeroUsize,
    },
}

impl Pace {
    fn at_a_time(self) -> usize {
        match self {
            Self::Closed { concurrency: limit }
            | Self::Open {
                max_in_flight: limit, ..
            } => limit.get(),
        }
    }
}

/// How much load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadPlan {
    /// How many relays.
    pub relays: u64,
    /// When they start.
    pub pace: Pace,
    /// Signature and payload hash are checked of every nth answer: 1 of all, 0 of none.
    pub verify_every: u64,
}

/// Sends the plan's relays. `cancel` ends it early: no more are started, those in flight are waited for. Fails only if
/// there is no session to begin with; a relay that fails is counted.
pub async fn load(
    client: &RelayClient,
    payload: &Payload,
    plan: &LoadPlan,
    cancel: &CancellationToken,
) -> Result<LoadReport, RelayError> {
    client.sessions().current().await?;
    let mut signers = JoinSet::new();
    let signed = signing::start(&mut signers, client, payload, plan.pace.at_a_time());
    let mut starts = Starts::new(client.sessions().clone(), signed, plan);
    let mut tally = Tally::new(payload.mode);
    let mut flights = JoinSet::new();
    let mut started = 0;
    let begin = Instant::now();
    loop {
        let may_start = started < plan.relays && flights.len() < plan.pace.at_a_time() && !cancel.is_cancelled();
        tokio::select! {
            biased;
            Some(flight) = flights.join_next() => tally.add(flight.expect("a relay in flight does not panic")),
            start = starts.next(), if may_start => {
                let Some(start) = start else { break };
                started += 1;
                match start.relay {
                    Ok(relay) => {
                        tally.sent(&relay);
                        let check = plan.check(started);
                        flights.spawn(fly(client.clone(), relay, start.due, check));
                    }
                    Err(error) => tally.failed(&error),
                }
            }
            () = cancel.cancelled(), if may_start => {}
            else => break,
        }
    }
    let elapsed = begin.elapsed();
    // The queue's end ends the signers.
    let waited = starts.finish().await;
    while signers.join_next().await.is_some() {}
    client.close().await;
    Ok(tally.report(started, elapsed, waited))
}

impl LoadPlan {
    fn check(&self, number: u64) -> Check {
        if self.verify_every > 0 && number.is_multiple_of(self.verify_every) {
            Check::All
        } else {
            Check::Form
        }
    }
}

/// A relay that came to its end.
struct Flight {
    relay: SignedRelay,
    outcome: Result<Landing, RelayError>,
}

/// An answer, and what it took.
struct Landing {
    latency: Duration,
    /// To the first piece.
    first: Duration,
    pieces: usize,
    bytes: usize,
    /// What reading and verifying took; `None` if it was not verified.
    verifying: Option<Duration>,
    backend_error: Option<String>,
}

async fn fly(client: RelayClient, relay: SignedRelay, due: Instant, check: Check) -> Flight {
    let received = match client.send(&relay).await {
        Ok(received) => received,
        Err(error) => {
            return Flight {
                relay,
                outcome: Err(error),
            };
        }
    };
    let (latency, first) = (received.at - due, received.first_at - due);
    let (pieces, bytes) = (received.pieces.len(), received.len());
    let begin = Instant::now();
    let outcome = relay
        .read(received, check)
        .and_then(Answer::whole)
        .map(|answer| Landing {
            latency,
            first,
            pieces,
            bytes,
            verifying: (check == Check::All).then(|| begin.elapsed()),
            backend_error: answer.backend_error(relay.mode()),
        });
    Flight { relay, outcome }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_relayer::{FakeRelayer, Manner};
    use crate::{BackendCall, Mode};

    fn closed(relays: u64) -> LoadPlan {
        LoadPlan {
            relays,
            pace: Pace::Closed {
                concurrency: NonZeroUsize::new(4).unwrap(),
            },
            verify_every: 1,
        }
    }

    fn open(relays: u64) -> LoadPlan {
        let pace = Pace::Open {
            per_second: NonZeroU32::new(2000).unwrap(),
            max_in_flight: NonZeroUsize::new(8).unwrap(),
        };
        LoadPlan { pace, ..closed(relays) }
    }

    async fn load_of(manner: Manner, suppliers: u8, plan: LoadPlan) -> (FakeRelayer, LoadReport) {
        let relayer = FakeRelayer::start(manner, suppliers).await;
        let payload = BackendCall::usual(Mode::JsonRpc).payload();
        let report = load(&relayer.client(), &payload, &plan, &CancellationToken::new())
            .await
            .unwrap();
        (relayer, report)
    }

    #[tokio::test]
    async fn every_relay_of_the_plan_is_sent_once_and_counted() {
        for plan in [closed(101), open(101)] {
            let (relayer, report) = load_of(Manner::Honest(200), 2, plan).await;
            assert_eq!((report.sent, report.answered, report.verified), (101, 101, 101));
            assert!(report.errors.is_empty() && report.backend_errors.is_empty());
            let arrived = relayer.arrived.lock().unwrap();
            assert_eq!(arrived.len(), 101);
            let mut signatures: Vec<_> = arrived
                .iter()
                .map(|relay| &relay.request.meta.as_ref().unwrap().signature)
                .collect();
            signatures.sort_unstable();
            signatures.dedup();
            assert_eq!(signatures.len(), 101, "two relays with one signature would be one leaf");
        }
    }

    #[tokio::test]
    async fn suppliers_of_the_session_share_the_relays() {
        let (relayer, report) = load_of(Manner::Honest(200), 3, closed(99)).await;
        let answered: Vec<_> = report
            .sessions
            .iter()
            .map(|count| (count.supplier.as_str(), count.answered))
            .collect();
        let mut expected: Vec<_> = relayer
            .suppliers
            .iter()
            .map(|key| (key.address().as_str(), 33))
            .collect();
        expected.sort_unstable();
        assert_eq!(answered, expected);
        assert!(report.sessions.iter().all(|count| count.session_id == "ab".repeat(32)));
    }

    #[tokio::test]
    async fn refused_relays_are_errors_by_kind_and_not_answered() {
        let (_, report) = load_of(Manner::RefuseOneIn(4), 1, closed(100)).await;
        assert_eq!((report.sent, report.answered), (100, 75));
        assert_eq!(report.errors.keys().collect::<Vec<_>>(), ["refused 503"]);
        assert_eq!(report.errors["refused 503"].count, 25);
        assert!(!report.is_clean());
    }

    #[tokio::test]
    async fn backends_errors_are_answered_relays() {
        let (_, report) = load_of(Manner::Honest(500), 1, closed(10)).await;
        assert_eq!((report.answered, report.backend_errors["status 500"]), (10, 10));
        assert!(report.errors.is_empty());
    }

    #[tokio::test]
    async fn answers_are_verified_as_often_as_the_plan_says() {
        let plan = LoadPlan {
            verify_every: 3,
            ..closed(10)
        };
        let (_, report) = load_of(Manner::OtherSigner, 1, plan).await;
        assert_eq!(report.errors["wrong signature"].count, 3);
        assert_eq!((report.answered, report.verified), (7, 0));
        let plan = LoadPlan {
            verify_every: 0,
            ..closed(10)
        };
        let (_, report) = load_of(Manner::OtherSigner, 1, plan).await;
        assert_eq!((report.answered, report.verified), (10, 0));
    }

    #[tokio::test]
    async fn cancelled_load_reports_what_was_sent() {
        let relayer = FakeRelayer::start(Manner::Honest(200), 1).await;
        let payload = BackendCall::usual(Mode::JsonRpc).payload();
        let cancel = CancellationToken::new();
        cancel.cancel();
        for plan in [closed(1_000_000), open(1_000_000)] {
            let report = load(&relayer.client(), &payload, &plan, &cancel).await.unwrap();
            assert_eq!((report.sent, report.answered), (0, 0));
        }
    }
}
