use pocket_protocol::SupplierAddress;
use pocket_smst::{Changes, Digest};
use redis::Script;

use crate::{Lease, SessionRecord, SessionState, Store, StoreError, StreamId, session::now};

/// A batch of relays of one session on its way into Redis.
#[derive(Clone, Copy, Debug)]
pub struct SessionCommit<'a> {
    /// Shows that the supplier still is ours.
    pub lease: &'a Lease,
    /// The session as it will be: its counters are those of the new root.
    pub record: &'a SessionRecord,
    /// The tree's change; `None` when the batch had nothing new.
    pub tree: Option<&'a Changes>,
    /// The live root that Redis had when this tree was read from it, or after our last commit. If it has another
    /// now, it went back to an older state, whose nodes do not carry this change.
    pub base: Option<&'a Digest>,
    /// Stream entries whose relays the new root holds, or which can never be in a tree.
    pub acknowledged: &'a [StreamId],
}

// KEYS: lease, session, index, active set, nodes, live root, stream.
// ARGV: token, session id, group, time, relays, compute units, root (or ''), the live root that it follows (or ''), then
// four lists, each with its length in front: fixed fields, removed nodes, nodes, entries.
const COMMIT: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[7] ~= '' then
  local live = redis.call('GET', KEYS[6]) or ''
  if live ~= ARGV[8] and live ~= ARGV[7] then return 2 end
end
local at = 9
local function list(call)
  local count = tonumber(ARGV[at])
  local last = at + count
  at = at + 1
  while at <= last do
    local stop = math.min(at + 3999, last)
    call(at, stop)
    at = stop + 1
  end
end
local known = redis.call('EXISTS', KEYS[2])
list(function(from, to)
  if known == 0 then
    redis.call('HSET', KEYS[2], 'state', 'active', unpack(ARGV, from, to))
    redis.call('SADD', KEYS[3], ARGV[2])
    redis.call('SADD', KEYS[4], ARGV[2])
  end
end)
list(function(from, to) redis.call('HDEL', KEYS[5], unpack(ARGV, from, to)) end)
list(function(from, to) redis.call('HSET', KEYS[5], unpack(ARGV, from, to)) end)
if ARGV[7] ~= '' then
  redis.call('SET', KEYS[6], ARGV[7])
  redis.call('HSET', KEYS[2], 'relay_count', ARGV[5], 'total_compute_units', ARGV[6], 'last_updated_at', ARGV[4])
end
list(function(from, to)
  redis.call('XACK', KEYS[7], ARGV[3], unpack(ARGV, from, to))
  redis.call('XDEL', KEYS[7], unpack(ARGV, from, to))
end)
return 1
";

// KEYS: lease, stream. ARGV: token, group, entries.
const ACKNOWLEDGE: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
local deleted = 0
for i = 3, #ARGV do
  redis.call('XACK', KEYS[2], ARGV[2], ARGV[i])
  deleted = deleted + redis.call('XDEL', KEYS[2], ARGV[i])
end
return deleted
";

impl Store {
    /// Writes tree nodes, live root, counters and acknowledgements of a batch in one atomic step, if
    /// the lease still is ours. Repeating it has no further effect, so a lost answer may be retried.
    /// [`StoreError::Diverged`] when the tree in Redis is not the one that this change follows.
    pub async fn commit(&self, commit: &SessionCommit<'_>) -> Result<(), StoreError> {
        let (supplier, session) = (&commit.record.supplier, &commit.record.session);
        let keys = self.keys();
        let script = Script::new(COMMIT);
        let mut call = script.prepare_invoke();
        call.key(commit.lease.key())
            .key(keys.session(supplier, session))
            .key(keys.session_index(supplier));
        call.key(keys.session_state(supplier, SessionState::Active.as_str()));
        call.key(keys.tree_nodes(supplier, session))
            .key(keys.tree_live_root(supplier, session));
        call.key(keys.stream(supplier.as_str()));

        call.arg(commit.lease.token())
            .arg(session.as_str())
            .arg(keys.consumer_group())
            .arg(now());
        call.arg(commit.record.relays).arg(commit.record.compute_units.0);
        call.arg(commit.tree.map_or(&[][..], |tree| tree.root.as_ref()));
        call.arg(commit.base.map_or(&[][..], |root| root.as_ref()));

        let fixed = if commit.tree.is_some() {
            commit.record.fixed_fields()
        } else {
            Vec::new()
        };
        call.arg(fixed.len() * 2);
        for (name, value) in fixed {
            call.arg(name).arg(value);
        }
        let (removed, set) = commit
            .tree
            .map_or((&[][..], &[][..]), |tree| (&tree.removed[..], &tree.set[..]));
        call.arg(removed.len());
        for digest in removed {
            call.arg(hex::encode(digest));
        }
        call.arg(set.len() * 2);
        for (digest, node) in set {
            call.arg(hex::encode(digest)).arg(&node[..]);
        }
        call.arg(commit.acknowledged.len());
        for id in commit.acknowledged {
            call.arg(id.to_string());
        }
        match self.script_as::<u8>("commit", &call).await? {
            1 => Ok(()),
            2 => Err(StoreError::Diverged),
            _ => Err(StoreError::Fenced),
        }
    }

    /// Acknowledges entries that no tree will hold: broken ones, and relays that came too late. Tells how
    /// many of them had not been acknowledged before.
    pub async fn acknowledge(
        &self,
        lease: &Lease,
        supplier: &SupplierAddress,
        entries: &[StreamId],
    ) -> Result<u64, StoreError> {
        let script = Script::new(ACKNOWLEDGE);
        let mut call = script.prepare_invoke();
        call.key(lease.key()).key(self.keys().stream(supplier.as_str()));
        call.arg(lease.token()).arg(self.keys().consumer_group());
        for id in entries {
            call.arg(id.to_string());
        }
        let deleted = self.script_as::<i64>("acknowledge", &call).await?;
        u64::try_from(deleted).map_err(|_| StoreError::Fenced)
    }
}
