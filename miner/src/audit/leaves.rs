//! Building the tree anew from the leaves that Redis has, in memory, and looking at each of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use pocket_protocol::SupplierAddress;
use pocket_ring::{Limits, Verifier};
use pocket_rules::check_relay;
use pocket_smst::{Digest, Insertion, Leaf, StoredNode, Tree};
use pocket_store::{StoreError, TreeStore};
use sha2::{Digest as _, Sha256};

use super::{BrokenLeaf, Case, Progress, Report};
use crate::rehearsal::{Fault, SessionFacts, Signers};

/// Stored nodes that are looked at in one go.
const PAGE: usize = 4000;
/// Broken leaves and damaged nodes that are told one by one.
const EXAMPLES: usize = 10;

/// What the leaves alone say.
pub(super) struct Rebuilt {
    /// Of a tree of all intact leaves.
    pub root: Digest,
    /// Nodes that are stored beside the leaves.
    pub others: u64,
    /// Nodes that are not what their digest says.
    pub damaged: u64,
    /// Leaves that weigh something else than the service says.
    pub odd_weights: u64,
    /// How many leaves break which rule; `None` if the chain did not tell what to hold them against.
    pub broken: Option<BTreeMap<&'static str, u64>>,
    /// The first of them.
    pub examples: Vec<BrokenLeaf>,
}

/// Holds leaves against the chain's rules.
pub(super) struct Checker {
    facts: SessionFacts,
    signers: Signers,
    supplier: SupplierAddress,
    verifier: Verifier,
}

impl Checker {
    pub fn new(facts: SessionFacts, signers: Signers, supplier: &SupplierAddress) -> Self {
        Self {
            facts,
            signers,
            supplier: supplier.clone(),
            verifier: Verifier::new(Limits::default()),
        }
    }

    /// The first rule that each of these leaves breaks.
    fn check(&self, leaves: &[Leaf]) -> Vec<BrokenLeaf> {
        if self.verifier.has_pending() {
            self.verifier.build_pending();
        }
        leaves.iter().filter_map(|leaf| self.check_one(leaf)).collect()
    }

    fn check_one(&self, leaf: &Leaf) -> Option<BrokenLeaf> {
        let relay = leaf.value();
        let fault = match self.facts.header() {
            Ok(header) => {
                let facts = self
                    .signers
                    .relay_facts(header, &self.facts.target, self.supplier.as_str());
                check_relay(&relay, &facts, &self.verifier).err().map(Fault::from)?
            }
            // The session has no header: nothing can be proven.
            Err(error) => Fault::tree(error),
        };
        Some(BrokenLeaf {
            path: hex::encode(leaf.path().0),
            relay_hash: hex::encode(Sha256::digest(&relay)),
            rule: fault.rule,
            text: fault.text,
        })
    }
}

/// Reads all stored nodes once. Memory: the tree without its relays.
pub(super) async fn rebuild(
    nodes: &TreeStore,
    checker: Option<Arc<Checker>>,
    tell: &mut impl FnMut(Progress),
) -> Result<Rebuilt, StoreError> {
    let total = nodes.count().await?;
    let (mut tree, mut cursor, mut done) = (Tree::new(), 0, 0);
    let mut rebuilt = Rebuilt {
        root: Digest::EMPTY,
        others: 0,
        damaged: 0,
        odd_weights: 0,
        broken: checker.is_some().then(BTreeMap::new),
        examples: Vec::new(),
    };
    loop {
        let (next, page) = nodes.scan(cursor, PAGE).await?;
        done += page.len() as u64;
        let mut leaves = Vec::new();
        for (digest, node) in &page {
            match StoredNode::decode(node).filter(|node| hex::encode(node.digest()) == *digest) {
                Some(StoredNode::Leaf(leaf)) => leaves.push(leaf),
                Some(_) => rebuilt.others += 1,
                None => rebuilt.damaged += 1,
            }
        }
        let hashing = tokio::task::spawn_blocking(move || {
            let inserted = tree.insert_batch(leaves.iter().cloned());
            let inserted = inserted.expect("a tree that is wholly in memory is loaded");
            // The relays are not needed any more.
            tree.commit();
            // A page may bring again what another brought.
            let mut inserted = inserted.into_iter();
            leaves.retain(|_| inserted.next() == Some(Insertion::New));
            (tree, leaves)
        });
        let (grown, leaves) = hashing.await.expect("hashing does not panic");
        tree = grown;
        if let Some(checker) = &checker {
            let units = checker.facts.compute_units.0;
            rebuilt.odd_weights += leaves.iter().filter(|leaf| leaf.weight() != units).count() as u64;
            for leaf in check_all(checker, leaves).await {
                *rebuilt.broken.get_or_insert_default().entry(leaf.rule).or_default() += 1;
                if rebuilt.examples.len() < EXAMPLES {
                    rebuilt.examples.push(leaf);
                }
            }
        }
        let doing = "nodes read and relays checked";
        tell(Progress { doing, done, total });
        cursor = next;
        if cursor == 0 {
            rebuilt.root = tree.root();
            return Ok(rebuilt);
        }
    }
}

/// A signature takes a fraction of a millisecond: all processors share them.
async fn check_all(checker: &Arc<Checker>, leaves: Vec<Leaf>) -> Vec<BrokenLeaf> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let part = leaves.len().div_ceil(processors).max(1);
    let checking: Vec<_> = leaves
        .chunks(part)
        .map(|some| {
            let (checker, some) = (checker.clone(), some.to_vec());
            tokio::task::spawn_blocking(move || checker.check(&some))
        })
        .collect();
    let mut broken = Vec::new();
    for some in checking {
        broken.extend(some.await.expect("checking a relay does not panic"));
    }
    broken
}

impl Case<'_> {
    /// Whether what is stored is what it says, and can be proven.
    pub(super) fn check_leaves(&self, report: &mut Report, rebuilt: &Rebuilt) {
        let (leaves, others) = (rebuilt.root.count(), rebuilt.others);
        let stored = format!("{leaves} relays and {others} other nodes are stored");
        match rebuilt.damaged {
            0 if leaves == 0 && self.is_over() => {
                report.cannot_tell("leaves", "the tree was deleted after the settlement");
            }
            0 => report.agrees("leaves", stored),
            damaged => report.differs("leaves", format!("{stored}, {damaged} are damaged")),
        }
        report.broken_leaves.clone_from(&rebuilt.examples);
        match &rebuilt.broken {
            None => report.cannot_tell("relays", "the chain does not say whose signatures they must have"),
            Some(_) if leaves == 0 => {}
            Some(broken) if broken.is_empty() => {
                report.agrees(
                    "relays",
                    format!("each of {leaves} could be proven: session, difficulty, signatures"),
                );
            }
            Some(broken) => {
                let told: Vec<String> = broken.iter().map(|(rule, count)| format!("{count} {rule}")).collect();
                report.differs(
                    "relays",
                    format!("not all of {leaves} could be proven: {}", told.join(", ")),
                );
            }
        }
    }
}
