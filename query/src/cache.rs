//! Bounded caches that ask once for all who wait.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use moka::future::Cache as Entries;
use pocket_protocol::Height;

use crate::QueryError;
use crate::metrics::CacheMetrics;

/// How long an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The chain cannot change it any more.
    Forever,
    /// It may change at any block.
    For(Duration),
}

/// A "no" holds this long, so that a stream of bad relays does not become a stream of queries.
const REFUSAL_HOLDS: Duration = Duration::from_secs(2);
/// A live answer is served this long while the node does not answer.
const STALE_HOLDS: Duration = Duration::from_mins(30);

/// What fixes an answer of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// The only answer of its kind.
    One,
    At(Height),
    Of(String),
    OfAt(String, Height),
    OfIn(String, String, Height),
}

/// An answer of any kind. With one type for all, the code of the caches is there once: by kind, it is a third of the
/// program.
type Any = Arc<dyn std::any::Any + Send + Sync>;

#[derive(Clone)]
struct Entry {
    answer: Result<Any, QueryError>,
    hold: Hold,
}

struct ByEntry;

impl moka::Expiry<Key, Entry> for ByEntry {
    fn expire_after_create(&self, _key: &Key, entry: &Entry, _created: Instant) -> Option<Duration> {
        match entry.hold {
            Hold::Forever => None,
            Hold::For(time) => Some(time),
        }
    }
}

/// Answers to one kind of question. Those who ask the same thing at the same time share one query.
pub(crate) struct Cache<V> {
    answers: Answers,
    metrics: Option<CacheMetrics>,
    kind: PhantomData<V>,
}

impl<V: Clone + Send + Sync + 'static> Cache<V> {
    /// Holds at most `capacity` answers.
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            answers: Answers::new(capacity),
            metrics: None,
            kind: PhantomData,
        }
    }

    /// The same, counted.
    pub(crate) fn counted(mut self, metrics: CacheMetrics) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// The kept answer, or the one that `ask` brings. Refusals are kept briefly; [`QueryError::Unavailable`]
    /// is not kept, and an older live answer is served instead if there is one.
    pub(crate) async fn get<F>(&self, key: Key, ask: impl FnOnce() -> F) -> Result<V, QueryError>
    where
        F: Future<Output = Result<(V, Hold), QueryError>> + Send,
    {
        let answer = if let Some(entry) = self.answers.entries.get(&key).await {
            self.metrics.iter().for_each(CacheMetrics::hit);
            entry.answer?
        } else {
            if let Some(metrics) = &self.metrics {
                metrics.missed(self.answers.entries.entry_count());
            }
            self.answers.bring(key, erased(ask())).await?
        };
        let value = answer
            .downcast_ref::<V>()
            .expect("only answers of this kind are put in");
        Ok(value.clone())
    }

    /// Forgets an answer, for instance because the chain contradicted it.
    pub(crate) async fn forget(&self, key: &Key) {
        self.answers.entries.invalidate(key).await;
        self.answers.last.invalidate(key).await;
    }
}

/// Boxed here: the futures of a network query are large, and a kept answer needs none of it.
fn erased<'a, V: Send + Sync + 'static>(
    ask: impl Future<Output = Result<(V, Hold), QueryError>> + Send + 'a,
) -> BoxFuture<'a, Result<(Any, Hold), QueryError>> {
    Box::pin(async move { ask.await.map(|(value, hold)| (Arc::new(value) as Any, hold)) })
}

struct Answers {
    entries: Entries<Key, Entry>,
    /// The last live answers, for when the node does not answer.
    last: Entries<Key, Any>,
}

impl Answers {
    fn new(capacity: u64) -> Self {
        Self {
            entries: Entries::builder().max_capacity(capacity).expire_after(ByEntry).build(),
            last: Entries::builder()
                .max_capacity(capacity)
                .time_to_live(STALE_HOLDS)
                .build(),
        }
    }

    async fn bring(&self, key: Key, ask: BoxFuture<'_, Result<(Any, Hold), QueryError>>) -> Result<Any, QueryError> {
        let kept = key.clone();
        let bring = Box::pin(async {
            match ask.await {
                Ok((value, hold)) => {
                    if hold != Hold::Forever {
                        self.last.insert(kept, value.clone()).await;
                    }
                    Ok(Entry {
                        answer: Ok(value),
                        hold,
                    })
                }
                Err(error @ (QueryError::NotFound(_) | QueryError::Refused { .. })) => {
                    self.last.invalidate(&kept).await;
                    Ok(Entry {
                        answer: Err(error),
                        hold: Hold::For(REFUSAL_HOLDS),
                    })
                }
                Err(error) => match self.last.get(&kept).await {
                    Some(value) if error.is_transient() => {
                        tracing::warn!(%error, "an older answer of the chain is served");
                        Ok(Entry {
                            answer: Ok(value),
                            hold: Hold::For(REFUSAL_HOLDS),
                        })
                    }
                    _ => Err(error),
                },
            }
        });
        match self.entries.try_get_with(key, bring).await {
            Ok(entry) => entry.answer,
            Err(error) => Err(Arc::unwrap_or_clone(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const LIVE: Hold = Hold::For(Duration::from_mins(1));

    fn down() -> QueryError {
        QueryError::Unavailable("down".into())
    }

    #[tokio::test]
    async fn those_who_ask_together_share_one_query() {
        let cache = Arc::new(Cache::<u32>::new(10));
        let asked = Arc::new(AtomicU32::new(0));
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (cache, asked) = (cache.clone(), asked.clone());
            callers.spawn(async move {
                let ask = async || {
                    asked.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    Ok((7, Hold::Forever))
                };
                cache.get(Key::One, ask).await
            });
        }
        while let Some(answer) = callers.join_next().await {
            assert_eq!(answer.unwrap(), Ok(7));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn failure_to_answer_is_not_kept() {
        let cache = Cache::<u32>::new(10);
        assert_eq!(cache.get(Key::One, async || Err(down())).await, Err(down()));
        assert_eq!(cache.get(Key::One, async || Ok((7, LIVE))).await, Ok(7));
    }

    #[tokio::test]
    async fn absence_is_kept() {
        let cache = Cache::<u32>::new(10);
        let absent = QueryError::NotFound("x".into());
        assert_eq!(
            cache.get(Key::One, async || Err(absent.clone())).await,
            Err(absent.clone())
        );
        assert_eq!(cache.get(Key::One, async || Ok((7, LIVE))).await, Err(absent));
    }

    #[tokio::test]
    async fn older_answer_is_served_while_the_node_is_down() {
        let cache = Cache::<u32>::new(10);
        let at_once = Hold::For(Duration::ZERO);
        assert_eq!(cache.get(Key::One, async || Ok((7, at_once))).await, Ok(7));
        assert_eq!(cache.get(Key::One, async || Err(down())).await, Ok(7));
        cache.forget(&Key::One).await;
        assert_eq!(cache.get(Key::One, async || Err(down())).await, Err(down()));
    }
}
