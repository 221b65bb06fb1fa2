//! Asking the endpoints of a pool until one answers: retries and hedges.
//!
//! A relay is repeated only where that can do no harm: nothing of an answer has gone to the client yet, and either the
//! request never reached an endpoint, or it may be carried out twice. Rule: spec `relay.md` §5.5 and its deviation.

use std::pin::pin;
use std::time::Duration;

use http::Method;
use pocket_config::RetriedRequests;
use tokio::time::Instant;

use super::{Backends, Outcome, Picked, Tried};
use crate::backend::{Backend, BackendReply, Forward, Unanswered};
use crate::refusal::Refusal;

/// When a relay goes to more than one endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeating {
    /// More attempts after failures.
    pub retries: u32,
    pub requests: RetriedRequests,
    /// How long an answer may take before another endpoint is asked as well.
    pub hedge_after: Option<Duration>,
}

impl Repeating {
    /// Whether a request may be carried out twice.
    fn is_repeatable(&self, method: &Method) -> bool {
        self.requests == RetriedRequests::All || method.is_idempotent()
    }
}

/// Whether another endpoint may be asked after this.
fn may_follow(unanswered: &Unanswered, is_repeatable: bool) -> bool {
    unanswered.outcome == Outcome::Failed && (is_repeatable || !unanswered.was_sent)
}

impl Backends {
    /// Asks for one answer, within the service's time for all attempts together.
    pub async fn ask(&self, forward: Forward) -> Result<BackendReply, Refusal> {
        let deadline = Instant::now() + self.request_timeout;
        let is_repeatable = self.repeating.is_repeatable(&forward.method);
        let mut tried = Tried::default();
        let mut picked = self.pool.pick(&tried).ok_or_else(|| self.none_left())?;
        let mut forward = forward;
        let others = self.pool.endpoints().len() - 1;
        let mut retries = (self.repeating.retries as usize).min(others);
        let _in_flight = self.metrics.in_flight();
        loop {
            tried.add(&picked);
            // Without a second attempt nothing is copied for it.
            let spare = (retries > 0).then(|| forward.clone());
            let hedge = self.repeating.hedge_after.filter(|_| is_repeatable && others > 0);
            let answered = match hedge {
                // Boxed: other relays need not have room for two attempts.
                Some(delay) => Box::pin(self.hedge(picked, forward, deadline, delay, &mut tried)).await,
                None => ask_one(picked, forward, deadline).await,
            };
            let unanswered = match answered {
                Ok(reply) => return Ok(reply),
                Err(unanswered) => unanswered,
            };
            let spare = spare.filter(|_| may_follow(&unanswered, is_repeatable));
            let next = spare.and_then(|spare| Some((spare, self.pool.pick(&tried)?)));
            let Some((spare, next)) = next else {
                return Err(unanswered.refusal);
            };
            tracing::debug!(
                pool = &*self.name,
                endpoint = &*next.endpoint().name,
                "relay is retried"
            );
            self.metrics.retries.inc();
            (forward, picked) = (spare, next);
            retries -= 1;
        }
    }

    /// Asks one endpoint once, and lets what comes of it say nothing about the endpoint: for simulated relays.
    pub async fn ask_apart(&self, forward: Forward) -> Result<BackendReply, Refusal> {
        let deadline = Instant::now() + self.request_timeout;
        let picked = self.pool.pick(&Tried::default()).ok_or_else(|| self.none_left())?;
        let answered = picked.endpoint().connection.ask(forward, deadline).await;
        answered.map_err(|unanswered| unanswered.refusal)
    }

    /// Asks a second endpoint when the first is slow, and takes what comes first. The other one is given up.
    async fn hedge(
        &self,
        picked: Picked<'_, Backend>,
        forward: Forward,
        deadline: Instant,
        delay: Duration,
        tried: &mut Tried,
    ) -> Result<BackendReply, Unanswered> {
        let spare = forward.clone();
        let mut first = pin!(ask_one(picked, forward, deadline));
        if let Ok(answered) = tokio::time::timeout(delay, &mut first).await {
            return answered;
        }
        let Some(other) = self.pool.pick(tried) else {
            return first.await;
        };
        tried.add(&other);
        self.metrics.hedges.inc();
        let mut second = pin!(ask_one(other, spare, deadline));
        tokio::select! {
            answered = &mut first => match answered {
                Ok(reply) => Ok(reply),
                Err(_) => second.await,
            },
            answered = &mut second => match answered {
                Ok(reply) => {
                    self.metrics.hedges_won.inc();
                    Ok(reply)
                }
                Err(_) => first.await,
            },
        }
    }
}

async fn ask_one(picked: Picked<'_, Backend>, forward: Forward, deadline: Instant) -> Result<BackendReply, Unanswered> {
    let answered = picked.endpoint().connection.ask(forward, deadline).await;
    picked.report(match &answered {
        Ok(_) => Outcome::Answered,
        Err(unanswered) => unanswered.outcome,
    });
    answered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unanswered(outcome: Outcome, was_sent: bool) -> Unanswered {
        Unanswered {
            refusal: Refusal::BackendUnreachable,
            outcome,
            was_sent,
        }
    }

    #[test]
    fn post_that_was_sent_is_repeated_only_if_the_operator_says_so() {
        let rules = |requests| Repeating {
            retries: 1,
            requests,
            hedge_after: None,
        };
        let idempotent = rules(RetriedRequests::Idempotent);
        for (method, sent, repeated) in [
            (Method::POST, true, false),
            (Method::POST, false, true),
            (Method::PATCH, true, false),
            (Method::GET, true, true),
            (Method::PUT, true, true),
        ] {
            let is_repeatable = idempotent.is_repeatable(&method);
            let follows = may_follow(&unanswered(Outcome::Failed, sent), is_repeatable);
            assert_eq!(follows, repeated, "{method} {sent}");
        }
        assert!(rules(RetriedRequests::All).is_repeatable(&Method::POST));
    }

    #[test]
    fn timeout_and_foreign_faults_are_never_repeated() {
        for outcome in [Outcome::TimedOut, Outcome::Blameless] {
            assert!(!may_follow(&unanswered(outcome, false), true));
        }
    }
}
