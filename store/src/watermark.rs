use std::time::Duration;

use pocket_protocol::Height;
use serde::{Deserialize, Serialize};

use crate::{Store, StoreError};

/// A relayer's promise: no relay of a session that ends before `open_from` is in flight here or
/// waits for Redis, and none will be taken any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// Height that the relayer had seen when it wrote this.
    pub height: Height,
    /// Least session end height that may still be open.
    pub open_from: Height,
}

/// What relayers say of the sessions that they serve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relayers {
    /// Those whose last word counts, by instance.
    pub live: Vec<(String, Watermark)>,
    /// Those whose last word has expired without a farewell: they are dead, or could not reach Redis.
    pub silent: Vec<String>,
}

impl Watermark {
    /// How long a relayer's last word counts, so that a dead one holds nobody up.
    pub const TTL: Duration = Duration::from_secs(5);
}

impl Store {
    /// Writes an instance's watermark; it counts for `ttl`, so that a dead relayer holds nobody up.
    pub async fn write_watermark(&self, instance: &str, watermark: Watermark, ttl: Duration) -> Result<(), StoreError> {
        let text = serde_json::to_string(&watermark).expect("two numbers are JSON");
        let mut pipeline = redis::pipe();
        pipeline
            .cmd("SET")
            .arg(self.keys().watermark(instance))
            .arg(text)
            .arg("PX")
            .arg(ttl.as_millis() as u64)
            .ignore();
        pipeline
            .cmd("SADD")
            .arg(self.keys().watermark_index())
            .arg(instance)
            .ignore();
        self.pipeline(&pipeline).await
    }

    /// Takes an instance's watermark away: it serves nothing any more.
    pub async fn remove_watermark(&self, instance: &str) -> Result<(), StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("DEL").arg(self.keys().watermark(instance)).ignore();
        pipeline
            .cmd("SREM")
            .arg(self.keys().watermark_index())
            .arg(instance)
            .ignore();
        self.pipeline(&pipeline).await
    }

    /// The watermarks of all live relayers, by instance.
    pub async fn watermarks(&self) -> Result<Vec<(String, Watermark)>, StoreError> {
        Ok(self.relayers().await?.live)
    }

    /// What all relayers that said something since they were [forgotten](Self::forget_relayers) say now.
    pub async fn relayers(&self) -> Result<Relayers, StoreError> {
        let index = self.keys().watermark_index();
        let instances: Vec<String> = self.query(redis::cmd("SMEMBERS").arg(&index)).await?;
        let mut relayers = Relayers::default();
        if instances.is_empty() {
            return Ok(relayers);
        }
        let keys: Vec<String> = instances
            .iter()
            .map(|instance| self.keys().watermark(instance))
            .collect();
        let texts: Vec<Option<String>> = self.query(redis::cmd("MGET").arg(&keys)).await?;
        for ((instance, key), text) in instances.into_iter().zip(keys).zip(texts) {
            match text {
                Some(text) => {
                    let watermark = serde_json::from_str(&text).map_err(|error| StoreError::malformed(key, error))?;
                    relayers.live.push((instance, watermark));
                }
                None => relayers.silent.push(instance),
            }
        }
        Ok(relayers)
    }

    /// Expects nothing more of relayers that are silent for long. One that speaks again is known again.
    pub async fn forget_relayers(&self, instances: &[String]) -> Result<(), StoreError> {
        if instances.is_empty() {
            return Ok(());
        }
        let index = self.keys().watermark_index();
        self.query(redis::cmd("SREM").arg(index).arg(instances)).await
    }
}
