use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};

/// All that a Redis held at a moment, and the chain that it belongs to: a devnet of [`Recording::localnet`] at a height.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Recording {
    /// Who wrote it, and what happened before.
    pub about: String,
    /// Whose dumps these are; later ones read them too.
    pub redis_version: String,
    /// Blocks that the chain had, none with a transaction: so their hashes are the same each time.
    pub height: i64,
    /// Relays that a client had had answered, with the supplier's signature.
    pub answered: u64,
    /// In the order of their names.
    pub keys: Vec<RecordedKey>,
}

/// A key as `DUMP` gives it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RecordedKey {
    /// Its name.
    pub key: String,
    /// `string`, `hash`, `set` or `stream`.
    pub kind: String,
    /// Milliseconds until it expires; none for never.
    pub ttl: Option<i64>,
    /// `DUMP`'s answer, base64.
    pub dump: String,
}

impl Recording {
    /// Sessions of thirty blocks, the first from block 1; one supplier.
    pub fn localnet() -> pocket_devnet::Localnet {
        pocket_devnet::Localnet {
            session_blocks: 30,
            suppliers: 1,
            ..pocket_devnet::Localnet::default()
        }
    }

    /// Reads a file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(path).with_context(|| path.display().to_string())?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Writes a file, a line a key.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let head = Self {
            keys: Vec::new(),
            ..self.clone()
        };
        let head = serde_json::to_string(&head)?;
        let keys: Result<Vec<String>, _> = self.keys.iter().map(serde_json::to_string).collect();
        let text = head.replace("\"keys\":[]}", &format!("\"keys\":[\n{}\n]}}\n", keys?.join(",\n")));
        Ok(std::fs::write(path, text)?)
    }

    /// Takes down all keys of a Redis that nobody writes to any more.
    pub async fn keys_of(url: &str) -> anyhow::Result<Vec<RecordedKey>> {
        let mut redis = connect(url).await?;
        let mut names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await?;
        names.sort_unstable();
        let mut keys = Vec::with_capacity(names.len());
        for key in names {
            let mut all = redis::pipe();
            all.cmd("TYPE").arg(&key).cmd("PTTL").arg(&key).cmd("DUMP").arg(&key);
            let (kind, ttl, dump): (String, i64, Option<Vec<u8>>) = all.query_async(&mut redis).await?;
            keys.extend(dump.map(|dump| RecordedKey {
                key,
                kind,
                ttl: (ttl >= 0).then_some(ttl),
                dump: STANDARD.encode(dump),
            }));
        }
        Ok(keys)
    }

    /// Puts all keys into an empty Redis. What would expire has `longest` milliseconds at most: as if so much of its
    /// time had gone by.
    pub async fn restore(&self, url: &str, longest: impl Fn(&str) -> Option<i64>) -> anyhow::Result<()> {
        let mut redis = connect(url).await?;
        for recorded in &self.keys {
            let ttl = recorded
                .ttl
                .map(|ttl| longest(&recorded.key).map_or(ttl, |most| ttl.min(most)));
            let mut restore = redis::cmd("RESTORE");
            restore.arg(&recorded.key).arg(ttl.unwrap_or(0));
            let dump = STANDARD.decode(&recorded.dump)?;
            let restored: redis::RedisResult<()> = restore.arg(dump).query_async(&mut redis).await;
            restored.with_context(|| format!("{} as Redis {} wrote it", recorded.key, self.redis_version))?;
        }
        Ok(())
    }

    /// A key's type and time to live.
    pub fn key(&self, name: &str) -> Option<&RecordedKey> {
        self.keys.iter().find(|recorded| recorded.key == name)
    }
}

async fn connect(url: &str) -> anyhow::Result<MultiplexedConnection> {
    Ok(redis::Client::open(url)?.get_multiplexed_async_connection().await?)
}
