//! Bounded caches that ask once for all who wait.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache as Entries;

use crate::QueryError;

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

#[derive(Clone)]
struct Entry<V> {
    answer: Result<V, QueryError>,
    hold: Hold,
}

struct ByEntry;

impl<K, V> moka::Expiry<K, Entry<V>> for ByEntry {
    fn expire_after_create(&self, _key: &K, entry: &Entry<V>, _created: Instant) -> Option<Duration> {
        match entry.hold {
            Hold::Forever => None,
            Hold::For(time) => Some(time),
        }
    }
}

/// Answers to one kind of question. Those who ask the same thing at the same time share one query.
pub(crate) struct Cache<K, V> {
    entries: Entries<K, Entry<V>>,
    /// The last live answers, for when the node does not answer.
    last: Entries<K, V>,
}

impl<K, V> Cache<K, V>
where
    K: Clone + Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Holds at most `capacity` answers.
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            entries: Entries::builder().max_capacity(capacity).expire_after(ByEntry).build(),
            last: Entries::builder()
                .max_capacity(capacity)
                .time_to_live(STALE_HOLDS)
                .build(),
        }
    }

    /// The kept answer, or the one that `ask` brings. Refusals are kept briefly; [`QueryError::Unavailable`]
    /// is not kept, and an older live answer is served instead if there is one.
    pub(crate) async fn get<F>(&self, key: K, ask: impl FnOnce() -> F) -> Result<V, QueryError>
    where
        F: Future<Output = Result<(V, Hold), QueryError>>,
    {
        if let Some(entry) = self.entries.get(&key).await {
            return entry.answer;
        }
        let kept = key.clone();
        // Boxed: the futures of a network query are large, and a kept answer needs none of it.
        let bring = Box::pin(async {
            match Box::pin(ask()).await {
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

    /// Forgets an answer, for instance because the chain contradicted it.
    pub(crate) async fn forget(&self, key: &K) {
        self.entries.invalidate(key).await;
        self.last.invalidate(key).await;
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
        let cache = Arc::new(Cache::<&str, u32>::new(10));
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
                cache.get("key", ask).await
            });
        }
        while let Some(answer) = callers.join_next().await {
            assert_eq!(answer.unwrap(), Ok(7));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn failure_to_answer_is_not_kept() {
        let cache = Cache::<&str, u32>::new(10);
        assert_eq!(cache.get("key", async || Err(down())).await, Err(down()));
        assert_eq!(cache.get("key", async || Ok((7, LIVE))).await, Ok(7));
    }

    #[tokio::test]
    async fn absence_is_kept() {
        let cache = Cache::<&str, u32>::new(10);
        let absent = QueryError::NotFound("x".into());
        assert_eq!(
            cache.get("key", async || Err(absent.clone())).await,
            Err(absent.clone())
        );
        assert_eq!(cache.get("key", async || Ok((7, LIVE))).await, Err(absent));
    }

    #[tokio::test]
    async fn older_answer_is_served_while_the_node_is_down() {
        let cache = Cache::<&str, u32>::new(10);
        let at_once = Hold::For(Duration::ZERO);
        assert_eq!(cache.get("key", async || Ok((7, at_once))).await, Ok(7));
        assert_eq!(cache.get("key", async || Err(down())).await, Ok(7));
        cache.forget(&"key").await;
        assert_eq!(cache.get("key", async || Err(down())).await, Err(down()));
    }
}
