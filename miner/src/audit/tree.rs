//! The tree that Redis has, beside the one that the leaves alone give.

use pocket_smst::{Digest, LeafWalk, LoadError};
use pocket_store::StoreError;

use super::leaves::Rebuilt;
use super::{Case, Progress, Report, Verdict};

/// Nodes asked for at once.
const NODES: usize = 4000;

impl Case<'_> {
    pub(super) async fn check_tree(
        &self,
        report: &mut Report,
        rebuilt: &Rebuilt,
        tell: &mut impl FnMut(Progress),
    ) -> Result<(), StoreError> {
        let own = rebuilt.root;
        let stored = match self.roots.claimed {
            Some(root) if !self.is_growing() => Some(root),
            _ => self.roots.growing(),
        };
        match stored {
            Some(root) if root == own => report.agrees("root", format!("the leaves give the stored root {root}")),
            Some(root) => {
                let text = format!("the leaves give {}, stored is {}", shown(&own), shown(&root));
                report.add("root", self.unless_growing(), text);
            }
            None if own.is_empty() && self.is_over() => {}
            None if own.is_empty() => report.agrees("root", "nothing is stored"),
            None => report.add(
                "root",
                self.unless_growing(),
                format!("the leaves give {}, none is stored", shown(&own)),
            ),
        }
        if let Some(root) = stored {
            self.check_nodes(report, root, tell).await?;
        }
        self.check_record(report, rebuilt);
        Ok(())
    }

    /// While relays come in, two looks see two trees.
    fn unless_growing(&self) -> Verdict {
        if self.is_growing() {
            Verdict::CannotTell
        } else {
            Verdict::Differs
        }
    }

    /// Whether every leaf can be reached from the root, as a proof must.
    async fn check_nodes(
        &self,
        report: &mut Report,
        root: Digest,
        tell: &mut impl FnMut(Progress),
    ) -> Result<(), StoreError> {
        let nodes = self.store.tree(&self.record.supplier, &self.record.session);
        let (mut walk, mut reached) = (LeafWalk::new(root, NODES), 0);
        loop {
            match walk.next(&nodes).await {
                Ok(Some(leaves)) => reached += leaves.len() as u64,
                Ok(None) => break,
                Err(LoadError::Store(error)) => return Err(error),
                Err(damage) => {
                    report.add(
                        "nodes",
                        self.unless_growing(),
                        format!("not every relay can be reached: {damage}"),
                    );
                    return Ok(());
                }
            }
            tell(Progress {
                doing: "relays reached from the root",
                done: reached,
                total: root.count(),
            });
        }
        if reached == root.count() {
            report.agrees("nodes", format!("{reached} relays can be reached from the root"));
        } else {
            let text = format!("{reached} relays can be reached, the root counts {}", root.count());
            report.differs("nodes", text);
        }
        Ok(())
    }

    /// Whether the session's record says the same.
    fn check_record(&self, report: &mut Report, rebuilt: &Rebuilt) {
        let (record, own) = (&self.record, rebuilt.root);
        if own.is_empty() && self.is_over() {
            return;
        }
        let (relays, units) = (record.relays, record.compute_units.0);
        let claimed = record.claimed_root.as_ref();
        let is_same = relays == own.count() && units == own.sum();
        if is_same && claimed.is_none_or(|root| root.as_ref() == own.as_ref()) {
            report.agrees("record", format!("{relays} relays, {units} compute units"));
            return;
        }
        let written = claimed.map_or_else(|| "none".to_owned(), hex::encode);
        let text = format!(
            "it has {relays} relays, {units} compute units, root {written}; the leaves give {}",
            shown(&own)
        );
        report.add("record", self.unless_growing(), text);
    }
}

/// A root with its totals.
pub(super) fn shown(root: &Digest) -> String {
    format!("{root} ({} relays, {} compute units)", root.count(), root.sum())
}
