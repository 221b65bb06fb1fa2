//! A list of endpoints of one kind, and asking one after the other until one answers.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout_at};

use super::standing::{Condition, FAILURES, Sighting, Standing, Switch};
use crate::{QueryError, QueryMetrics, RetryPolicy};

/// A node that is slower than this is not waited for alone.
const LONGEST_LEAD: Duration = Duration::from_secs(1);

/// What came of asking one endpoint.
pub(crate) enum Reply<T> {
    /// The answer.
    Answer(T),
    /// Every endpoint would say so.
    Final(QueryError),
    /// Another endpoint may know better: this one is behind, older, or talks nonsense.
    Weak(QueryError),
    /// It does not answer.
    Lost(QueryError),
}

impl<T: Send + 'static> Reply<T> {
    fn error(&self) -> Option<&QueryError> {
        match self {
            Self::Answer(_) => None,
            Self::Final(error) | Self::Weak(error) | Self::Lost(error) => Some(error),
        }
    }

    fn erased(self) -> Reply<Erased> {
        match self {
            Self::Answer(value) => Reply::Answer(Box::new(value)),
            Self::Final(error) => Reply::Final(error),
            Self::Weak(error) => Reply::Weak(error),
            Self::Lost(error) => Reply::Lost(error),
        }
    }
}

/// An answer of any type.
type Erased = Box<dyn Any + Send>;
/// Asks one endpoint.
type Ask<'a> = &'a (dyn Fn(usize) -> BoxFuture<'a, Reply<Erased>> + Sync + 'a);

/// An answer, and how it was got.
pub(crate) struct Told<T> {
    pub(crate) value: T,
    /// Who gave it.
    pub(crate) by: usize,
    /// Endpoints that were asked the same before and did not answer yet, or not at all.
    pub(crate) open: u32,
}

/// The endpoints of a list, each with what it is asked through.
pub(crate) struct Pool<N> {
    /// `rpc` or `grpc`.
    kind: &'static str,
    names: Vec<Arc<str>>,
    nodes: Vec<N>,
    standing: Mutex<Standing>,
    used: watch::Sender<usize>,
    /// Told when an endpoint should be looked at soon.
    doubt: Arc<Notify>,
    metrics: QueryMetrics,
}

impl<N: Sync> Pool<N> {
    pub(crate) fn new(
        kind: &'static str,
        nodes: Vec<(Arc<str>, N)>,
        standing: Standing,
        doubt: Arc<Notify>,
        metrics: QueryMetrics,
    ) -> Self {
        let (names, nodes): (Vec<_>, Vec<_>) = nodes.into_iter().unzip();
        Self {
            kind,
            standing: Mutex::new(standing),
            names,
            nodes,
            used: watch::Sender::new(0),
            doubt,
            metrics,
        }
    }

    /// More than one endpoint.
    pub(crate) fn is_several(&self) -> bool {
        self.nodes.len() > 1
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn node(&self, index: usize) -> &N {
        &self.nodes[index]
    }

    /// `host:port` of an endpoint.
    pub(crate) fn name(&self, index: usize) -> &Arc<str> {
        &self.names[index]
    }

    /// What is known; for a moment only.
    pub(crate) fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock()
    }

    /// Told of each change of the endpoint in use.
    pub(crate) fn used(&self) -> watch::Receiver<usize> {
        self.used.subscribe()
    }

    /// An endpoint answered.
    pub(crate) fn answered(&self, index: usize, sighting: &Sighting) {
        self.note(None, |standing| standing.answered(index, sighting, Instant::now()));
    }

    /// An endpoint did not answer; `weight` failures are counted.
    pub(crate) fn failed(&self, index: usize, weight: u32, error: &QueryError) {
        self.note(Some(error), |standing| standing.failed(index, weight, Instant::now()));
        if weight < FAILURES && self.is_several() {
            self.doubt.notify_one();
        }
    }

    /// Changes what is known, and tells of what came of it.
    pub(crate) fn note(&self, error: Option<&QueryError>, change: impl FnOnce(&mut Standing) -> Option<Switch>) {
        let mut standing = self.standing.lock();
        let before: Vec<Condition> = standing.endpoints().iter().map(|known| known.condition).collect();
        let switch = change(&mut standing);
        let after: Vec<_> = standing
            .endpoints()
            .iter()
            .map(|known| (known.condition, known.height()))
            .collect();
        self.metrics.nodes.show(self.kind, &self.names, &standing);
        drop(standing);
        for (index, (before, (after, height))) in before.into_iter().zip(after).enumerate() {
            // What an only node does is told by those who need it.
            if before != after && (self.is_several() || after == Condition::WrongChain) {
                self.tell(index, after, height, error);
            }
        }
        if let Some(Switch { from, to }) = switch {
            let (from, to_name) = (&self.names[from], &self.names[to]);
            tracing::warn!(kind = self.kind, %from, to = %to_name, "another chain node is used");
            self.used.send_replace(to);
        }
    }

    fn tell(
        &self,
        index: usize,
        condition: Condition,
        height: Option<pocket_protocol::Height>,
        error: Option<&QueryError>,
    ) {
        let (kind, endpoint) = (self.kind, &self.names[index]);
        let height = height.map(tracing::field::display);
        let error = error.map(tracing::field::display);
        match condition {
            Condition::Unknown => {}
            Condition::Good => tracing::info!(kind, %endpoint, height, "chain node can be used"),
            Condition::Behind => tracing::warn!(kind, %endpoint, height, "chain node is behind the others"),
            Condition::Ahead => {
                tracing::error!(kind, %endpoint, height, "chain node tells of a height that no other comes near");
            }
            Condition::Down => tracing::warn!(kind, %endpoint, error, "chain node does not answer"),
            Condition::WrongChain => {
                tracing::error!(kind, %endpoint, "chain node belongs to another network: it is not used");
            }
        }
    }

    /// Asks `what` of the best endpoint; when it cannot tell, at once of the next; when it is slow, of the next as well. At
    /// most `limit` in all, and again as `retry` says while nothing is known.
    pub(crate) async fn ask<T, F>(
        &self,
        what: &str,
        limit: Duration,
        retry: &RetryPolicy,
        ask: impl Fn(usize) -> F + Sync,
    ) -> Result<Told<T>, QueryError>
    where
        T: Send + 'static,
        F: Future<Output = Reply<T>> + Send,
    {
        let ask = |index: usize| -> BoxFuture<'_, _> { Box::pin(ask(index).map(Reply::erased)) };
        let told = self.ask_erased(what, limit, retry, &ask).await?;
        let value = told.value.downcast().expect("only answers of this type are asked for");
        Ok(Told {
            value: *value,
            by: told.by,
            open: told.open,
        })
    }

    /// Boxed, and of one type for all: by type of answer this is much code.
    fn ask_erased<'a>(
        &'a self,
        what: &'a str,
        limit: Duration,
        retry: &'a RetryPolicy,
        ask: Ask<'a>,
    ) -> BoxFuture<'a, Result<Told<Erased>, QueryError>> {
        Box::pin(retry.run(move || self.ask_round(what, limit, ask)))
    }

    /// Asks each endpoint at most once.
    async fn ask_round(&self, what: &str, limit: Duration, ask: Ask<'_>) -> Result<Told<Erased>, QueryError> {
        let candidates = self.standing.lock().candidates();
        let lead = (limit / (candidates.len() as u32 + 1)).min(LONGEST_LEAD);
        let mut candidates = candidates.into_iter();
        let Some(first) = candidates.next() else {
            return Err(self.nobody());
        };
        let until = Instant::now() + limit;
        let start = |index: usize| self.ask_one(what, until, index, ask);
        let mut asked = FuturesUnordered::from_iter([start(first)]);
        // Those who were asked and have not answered, yet or at all.
        let mut open = 1;
        let mut found: Option<QueryError> = None;
        loop {
            let next = tokio::select! {
                Some((by, reply)) = asked.next() => {
                    match reply {
                        Reply::Answer(value) => return Ok(Told { value, by, open: open - 1 }),
                        Reply::Final(error) => return Err(error),
                        Reply::Weak(error) => {
                            open -= 1;
                            found = Some(found.filter(|first| !first.is_transient()).unwrap_or(error));
                        }
                        Reply::Lost(error) => found = found.or(Some(error)),
                    }
                    let next = candidates.next().filter(|_| Instant::now() < until);
                    match found.take() {
                        Some(error) if next.is_none() && asked.is_empty() => return Err(error),
                        other => found = other,
                    }
                    next
                }
                () = sleep(lead), if candidates.len() > 0 => {
                    self.doubt.notify_one();
                    candidates.next()
                }
            };
            if let Some(next) = next {
                open += 1;
                asked.push(start(next));
            }
        }
    }

    /// Asks one endpoint, and notes how that went.
    async fn ask_one(&self, what: &str, until: Instant, index: usize, ask: Ask<'_>) -> (usize, Reply<Erased>) {
        let began = Instant::now();
        let late = || Reply::Lost(QueryError::Unavailable(format!("{what}: no answer in time")));
        let reply = timeout_at(until.into(), ask(index)).await.unwrap_or_else(|_| late());
        if let Reply::Lost(error) = &reply {
            self.failed(index, 1, error);
        }
        self.metrics.asked(what, began.elapsed(), reply.error());
        (index, reply)
    }

    /// The good endpoints besides one.
    pub(crate) fn others(&self, index: usize) -> Vec<usize> {
        let standing = self.standing.lock();
        let is_good = |other: &usize| standing.endpoints()[*other].condition == Condition::Good && *other != index;
        (0..self.nodes.len()).filter(is_good).collect()
    }

    /// Why there is nobody to ask.
    fn nobody(&self) -> QueryError {
        let standing = self.standing.lock();
        let configured = standing.network().unwrap_or_default().to_owned();
        match standing.only_wrong() {
            Some(found) => QueryError::WrongChain {
                configured,
                found: found.to_string(),
            },
            None => QueryError::Unavailable(format!("no {} endpoint answers", self.kind)),
        }
    }
}
