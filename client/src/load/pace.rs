//! The moments at which relays start.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::signing::Signed;
use super::{LoadPlan, Pace};
use crate::Sessions;

/// A relay to start now.
pub(super) struct Start {
    /// When it should have started.
    pub due: Instant,
    /// The relay, or why there is none.
    pub relay: Signed,
}

/// Joins signed relays with the moments at which they are due.
pub(super) struct Starts {
    sessions: Sessions,
    signed: mpsc::Receiver<Signed>,
    /// `None`: whenever one is asked for.
    clock: Option<Clock>,
    /// A moment that came while no relay was ready.
    due: Option<Instant>,
    waiting: bool,
    waited: u64,
}

impl Starts {
    pub fn new(sessions: Sessions, signed: mpsc::Receiver<Signed>, plan: &LoadPlan) -> Self {
        let clock = match plan.pace {
            Pace::Closed { .. } => None,
            Pace::Open { per_second, .. } => Some(Clock::start(plan.relays, per_second)),
        };
        Self {
            sessions,
            signed,
            clock,
            due: None,
            waiting: false,
            waited: 0,
        }
    }

    /// The next relay, when it is due; may be dropped and called again, nothing is lost. `None` when there will be no
    /// more.
    pub async fn next(&mut self) -> Option<Start> {
        if let Some(clock) = &mut self.clock
            && self.due.is_none()
        {
            self.due = Some(clock.moments.recv().await?);
        }
        loop {
            let relay = if let Ok(relay) = self.signed.try_recv() {
                relay
            } else {
                // Asked again after it was dropped, it is still the same wait.
                self.waited += u64::from(!self.waiting);
                self.waiting = true;
                self.signed.recv().await?
            };
            self.waiting = false;
            // Signed for a session that ended meanwhile.
            if relay
                .as_ref()
                .is_ok_and(|relay| !self.sessions.is_current(relay.session()))
            {
                continue;
            }
            let due = self.due.take().unwrap_or_else(Instant::now);
            return Some(Start { due, relay });
        }
    }

    /// Ends the clock. Gives how often no relay was signed when one was asked for: the load was less than the plan's for
    /// want of signatures.
    pub async fn finish(self) -> u64 {
        if let Some(Clock { moments, thread }) = self.clock {
            drop(moments);
            thread.await.expect("the clock does not panic");
        }
        self.waited
    }
}

/// Tells the moments from a thread of its own: tokio's timers are a millisecond coarse.
struct Clock {
    moments: mpsc::UnboundedReceiver<Instant>,
    /// Ends after the last moment, or at the next when nobody listens.
    thread: JoinHandle<()>,
}

impl Clock {
    fn start(relays: u64, per_second: NonZeroU32) -> Self {
        // At most as many as relays, 16 bytes each; a bound would stop the clock.
        let (tell, moments) = mpsc::unbounded_channel();
        let thread = tokio::task::spawn_blocking(move || {
            let begin = Instant::now();
            for number in 0..relays {
                let due = begin + after(number, per_second);
                if let Some(wait) = due.checked_duration_since(Instant::now()) {
                    std::thread::sleep(wait);
                }
                if tell.send(due).is_err() {
                    return;
                }
            }
        });
        Self { moments, thread }
    }
}

/// From the start to a relay's moment: not a sum of rounded intervals, which would drift.
fn after(relays: u64, per_second: NonZeroU32) -> Duration {
    Duration::from_nanos_u128(u128::from(relays) * 1_000_000_000 / u128::from(per_second.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_do_not_drift() {
        let per_second = NonZeroU32::new(3).unwrap();
        assert_eq!(after(1, per_second), Duration::from_nanos(333_333_333));
        assert_eq!(after(3_000_000, per_second), Duration::from_secs(1_000_000));
    }
}
