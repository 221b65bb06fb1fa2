use bytes::Bytes;
use pocket_protocol::{SessionId, SupplierAddress};
use pocket_smst::{Changes, Digest, NodeStore};
use redis::Script;

use crate::{Lease, Store, StoreError};

/// Most nodes asked for in one command, so that one tree does not hold up all others.
const NODES_A_COMMAND: usize = 4096;

// KEYS: lease, nodes. ARGV: token, number of removed nodes, those, then digests and nodes.
const WRITE_NODES: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local function each(command, from, to)
  for at = from, to, 4000 do redis.call(command, KEYS[2], unpack(ARGV, at, math.min(at + 3999, to))) end
end
local removed = tonumber(ARGV[2])
each('HDEL', 3, 2 + removed)
each('HSET', 3 + removed, #ARGV)
return 1
";

// KEYS: lease, claimed root, its count and sum, live root. ARGV: token, root, count and sum, the live root that it
// follows (or '').
const SEAL: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if (redis.call('GET', KEYS[4]) or '') ~= ARGV[4] then return 2 end
redis.call('SET', KEYS[2], ARGV[2])
redis.call('SET', KEYS[3], ARGV[3])
return 1
";

/// The stored nodes of one session's tree.
#[derive(Clone, Debug)]
pub struct TreeStore {
    store: Store,
    key: String,
}

/// The roots of a stored tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeRoots {
    /// The root that was or will be claimed: the tree is sealed.
    pub claimed: Option<Digest>,
    /// The root up to the last commit.
    pub live: Option<Digest>,
}

impl TreeRoots {
    /// Where to go on from while the session takes relays. A claimed root beside it is of a sealing that
    /// was not finished, and may be older.
    pub fn growing(&self) -> Option<Digest> {
        self.live.or(self.claimed)
    }
}

impl Store {
    /// Access to a tree's nodes.
    pub fn tree(&self, supplier: &SupplierAddress, session: &SessionId) -> TreeStore {
        TreeStore {
            store: self.clone(),
            key: self.keys().tree_nodes(supplier, session),
        }
    }

    /// Both roots of a tree; a value that is not 48 bytes long counts as absent, as in the Go peer.
    pub async fn tree_roots(&self, supplier: &SupplierAddress, session: &SessionId) -> Result<TreeRoots, StoreError> {
        let mut get = redis::cmd("MGET");
        get.arg(self.keys().tree_root(supplier, session))
            .arg(self.keys().tree_live_root(supplier, session));
        let (claimed, live): (Option<Bytes>, Option<Bytes>) = self.query(&get).await?;
        let root = |bytes: Option<Bytes>| bytes.and_then(|bytes| Digest::try_from(bytes.as_ref()).ok());
        Ok(TreeRoots {
            claimed: root(claimed),
            live: root(live),
        })
    }

    /// Writes the root that will be claimed, with its `count:sum`; from now on the tree is sealed. `base` is the live
    /// root that it follows: [`StoreError::Diverged`] if Redis has another. Where a replica may take the primary's place,
    /// one must have it before a claim is sent, to be asked over a [careful](Store::careful) connection:
    /// [`StoreError::Unreplicated`].
    pub async fn seal_tree(
        &self,
        lease: &Lease,
        supplier: &SupplierAddress,
        session: &SessionId,
        root: &Digest,
        base: Option<&Digest>,
    ) -> Result<(), StoreError> {
        let (keys, stored) = (self.keys(), self.keys().tree_root(supplier, session));
        let mut pipeline = redis::pipe();
        // The text and not its hash: the wait must follow in the same pipeline.
        pipeline.cmd("EVAL").arg(SEAL).arg(4);
        pipeline.arg(lease.key()).arg(&stored);
        pipeline
            .arg(keys.tree_stats(supplier, session))
            .arg(keys.tree_live_root(supplier, session));
        pipeline.arg(lease.token()).arg(root.as_ref());
        pipeline.arg(format!("{}:{}", root.count(), root.sum()));
        pipeline.arg(base.map_or(&[][..], |base| base.as_ref()));
        self.replicas().wait(&mut pipeline);
        let (answer, confirmed) = match self.replicas().wanted() {
            Some(_) => self.pipeline::<(u8, u32)>(&pipeline).await?,
            None => (self.pipeline::<(u8,)>(&pipeline).await?.0, 0),
        };
        match answer {
            1 if self.replicas().are_enough(confirmed, self, &self.link(), &stored).await => Ok(()),
            1 => Err(StoreError::Unreplicated(confirmed)),
            2 => Err(StoreError::Diverged),
            _ => Err(StoreError::Fenced),
        }
    }

    /// Writes a part of a tree that is being rebuilt. Its roots stay what they are.
    pub async fn write_nodes(
        &self,
        lease: &Lease,
        supplier: &SupplierAddress,
        session: &SessionId,
        changes: &Changes,
    ) -> Result<(), StoreError> {
        let script = Script::new(WRITE_NODES);
        let mut call = script.prepare_invoke();
        call.key(lease.key()).key(self.keys().tree_nodes(supplier, session));
        call.arg(lease.token()).arg(changes.removed.len());
        for digest in &changes.removed {
            call.arg(hex::encode(digest));
        }
        for (digest, node) in &changes.set {
            call.arg(hex::encode(digest)).arg(&node[..]);
        }
        fenced(self.script_as("write_nodes", &call).await?)
    }

    /// Removes a tree that nobody needs any more: settled, or never to be claimed.
    pub async fn delete_tree(
        &self,
        lease: &Lease,
        supplier: &SupplierAddress,
        session: &SessionId,
    ) -> Result<(), StoreError> {
        let script = Script::new(
            "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
             redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5]) return 1",
        );
        let (keys, mut call) = (self.keys(), script.prepare_invoke());
        call.key(lease.key())
            .key(keys.tree_nodes(supplier, session))
            .key(keys.tree_root(supplier, session));
        call.key(keys.tree_live_root(supplier, session))
            .key(keys.tree_stats(supplier, session));
        call.arg(lease.token());
        fenced(self.script_as("delete_tree", &call).await?)
    }
}

impl NodeStore for TreeStore {
    type Error = StoreError;

    async fn get_many(&self, digests: &[Digest]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut nodes = Vec::with_capacity(digests.len());
        for chunk in digests.chunks(NODES_A_COMMAND) {
            let mut get = redis::cmd("HMGET");
            get.arg(&self.key);
            for digest in chunk {
                get.arg(hex::encode(digest));
            }
            nodes.extend(self.store.query::<Vec<Option<Bytes>>>(&get).await?);
        }
        Ok(nodes)
    }
}

impl TreeStore {
    /// The next stored nodes, about `count`, with their digests in hex, in no order; some may come twice.
    /// Starts at cursor 0; the answer's cursor is 0 at the end.
    pub async fn scan(&self, cursor: u64, count: usize) -> Result<(u64, Vec<(String, Bytes)>), StoreError> {
        let mut scan = redis::cmd("HSCAN");
        scan.arg(&self.key).arg(cursor).arg("COUNT").arg(count);
        self.store.query(&scan).await
    }

    /// Number of stored nodes.
    pub async fn count(&self) -> Result<u64, StoreError> {
        self.store.query(redis::cmd("HLEN").arg(&self.key)).await
    }
}

fn fenced(answer: u8) -> Result<(), StoreError> {
    if answer == 1 { Ok(()) } else { Err(StoreError::Fenced) }
}
