use std::time::Duration;

use pocket_protocol::SupplierAddress;
use redis::Script;

use crate::{Store, StoreError};

/// What a lease is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseKind {
    /// Working a supplier's stream, trees, claims and proofs.
    Supplier(SupplierAddress),
    /// What one miner does for the whole fleet.
    Leader,
}

/// A lease in hand. Its token is different at each acquisition, even by the same instance, and
/// every write shows it: once another has had the lease, an old owner's writes do nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    key: String,
    token: String,
}

impl Lease {
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// A name that nobody had before, not even the same instance: its name, and the number of the acquisition.
    pub fn name(&self) -> &str {
        &self.token
    }
}

// A key held by an instance of the Go peer holds its bare name: never equal to one of our tokens.
// What this instance holds already it gets anew: the answer to its last attempt may have been lost.
const ACQUIRE: &str = r"
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, #ARGV[1] + 1) ~= ARGV[1] .. '#' then return false end
local token = ARGV[1] .. '#' .. redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], token, 'PX', ARGV[2])
return token
";
const RENEW: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
";
const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
";

impl Store {
    /// Takes a lease for `ttl` unless another instance holds it. One of its own that an instance has let out of sight
    /// ends with that: the token is a new one.
    pub async fn acquire(&self, kind: &LeaseKind, instance: &str, ttl: Duration) -> Result<Option<Lease>, StoreError> {
        let key = match kind {
            LeaseKind::Supplier(supplier) => self.keys().supplier_lease(supplier),
            LeaseKind::Leader => self.keys().leader_lease(),
        };
        let script = Script::new(ACQUIRE);
        let mut call = script.prepare_invoke();
        call.key(&key)
            .key(self.keys().lease_epoch(&key))
            .arg(instance)
            .arg(ttl.as_millis() as u64);
        Ok(self
            .script_as::<Option<String>>("acquire_lease", &call)
            .await?
            .map(|token| Lease { key, token }))
    }

    /// Prolongs a lease to `ttl` from now; [`StoreError::Fenced`] when it has been lost.
    pub async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<(), StoreError> {
        self.fenced(RENEW, lease, Some(ttl)).await
    }

    /// Gives a lease back, so that another may take it at once.
    pub async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.fenced(RELEASE, lease, None).await
    }

    /// Who holds a lease now: the instance's name, without the counter of acquisitions.
    pub async fn lease_holder(&self, kind: &LeaseKind) -> Result<Option<String>, StoreError> {
        let key = match kind {
            LeaseKind::Supplier(supplier) => self.keys().supplier_lease(supplier),
            LeaseKind::Leader => self.keys().leader_lease(),
        };
        let token: Option<String> = self.query(redis::cmd("GET").arg(key)).await?;
        Ok(token.map(|token| {
            token
                .rsplit_once('#')
                .map_or(token.clone(), |(instance, _)| instance.to_owned())
        }))
    }

    async fn fenced(&self, script: &str, lease: &Lease, ttl: Option<Duration>) -> Result<(), StoreError> {
        let script = Script::new(script);
        let mut call = script.prepare_invoke();
        call.key(&lease.key)
            .arg(&lease.token)
            .arg(ttl.map_or(0, |ttl| ttl.as_millis() as u64));
        match self.script_as::<u8>("keep_lease", &call).await? {
            1 => Ok(()),
            _ => Err(StoreError::Fenced),
        }
    }
}

/// Miners that are alive, by heartbeat.
impl Store {
    /// Tells that `instance` lives for at least `ttl` more, and returns all that do, sorted.
    pub async fn heartbeat(&self, instance: &str, ttl: Duration) -> Result<Vec<String>, StoreError> {
        let active = self.keys().active_miners();
        let mut pipeline = redis::pipe();
        let key = self.keys().miner_instance(instance);
        pipeline
            .cmd("SET")
            .arg(key)
            .arg(instance)
            .arg("PX")
            .arg(ttl.as_millis() as u64)
            .ignore();
        pipeline.cmd("SADD").arg(&active).arg(instance).ignore();
        pipeline.cmd("SMEMBERS").arg(&active);
        let (mut instances,): (Vec<String>,) = self.pipeline(&pipeline).await?;
        instances.sort_unstable();
        let keys: Vec<String> = instances.iter().map(|name| self.keys().miner_instance(name)).collect();
        let alive: Vec<Option<String>> = self.query(redis::cmd("MGET").arg(keys)).await?;
        let (alive, dead): (Vec<_>, Vec<_>) = instances.into_iter().zip(alive).partition(|(_, beat)| beat.is_some());
        if !dead.is_empty() {
            let dead: Vec<String> = dead.into_iter().map(|(name, _)| name).collect();
            self.query::<()>(redis::cmd("SREM").arg(active).arg(dead)).await?;
        }
        Ok(alive.into_iter().map(|(name, _)| name).collect())
    }

    /// Tells that `instance` is gone.
    pub async fn farewell(&self, instance: &str) -> Result<(), StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("DEL").arg(self.keys().miner_instance(instance)).ignore();
        pipeline
            .cmd("SREM")
            .arg(self.keys().active_miners())
            .arg(instance)
            .ignore();
        self.pipeline(&pipeline).await
    }
}
