//! Telling what a rehearsal found, with everything that it takes to find out why.

use pocket_smst::{ClosestProof, Digest};
use pocket_store::SessionRecord;
use sha2::{Digest as _, Sha256};

use super::{Fault, Rehearsal, Verdict};
use crate::Deps;

/// Most bytes of a relay that an alert shows; its hash finds the rest.
const SHOWN_BYTES: usize = 2048;

/// What was rehearsed.
pub(super) struct Subject<'a> {
    /// `claim` or `proof`.
    pub phase: &'static str,
    pub record: &'a SessionRecord,
    pub root: Digest,
    /// The leaf that was opened, as far as it came to that.
    pub opened: Option<&'a ClosestProof>,
}

impl Rehearsal {
    /// Counts and logs; gives the fault, if there is one.
    pub(super) fn tell(&self, deps: &Deps, subject: &Subject<'_>, verdict: Verdict) -> Option<Fault> {
        let (series, record, phase) = (&deps.metrics.rehearsal, subject.record, subject.phase);
        match verdict {
            Verdict::Passed => {
                series.rehearsed(record, phase, "passed");
                None
            }
            Verdict::Unknown(reason) => {
                series.rehearsed(record, phase, "unknown");
                tracing::warn!(session = %record.session, phase, reason, "sent without a whole rehearsal");
                None
            }
            Verdict::Failed(fault) => {
                series.rehearsed(record, phase, "failed");
                series.broken(record, phase, fault.rule);
                self.alert(deps, subject, &fault);
                Some(fault)
            }
        }
    }

    fn alert(&self, deps: &Deps, subject: &Subject<'_>, fault: &Fault) {
        let Subject { record, root, .. } = subject;
        let leaf = subject.opened.map(Leaf::of).unwrap_or_default();
        tracing::error!(
            session = %record.session,
            supplier = %record.supplier,
            service = %record.service,
            application = %record.application,
            start = record.start.0,
            end = record.end.0,
            height = deps.feed.height().0,
            phase = subject.phase,
            rule = fault.rule,
            fault = fault.text,
            root = %root,
            relays = root.count(),
            compute_units = root.sum(),
            path = leaf.target,
            leaf = leaf.path,
            relay_hash = leaf.relay_hash,
            relay_length = leaf.relay_length,
            relay = leaf.relay,
            "the chain would not take this claim or proof: relay-miner audit tells more"
        );
    }
}

/// A leaf as an alert shows it, all in hex.
#[derive(Default)]
struct Leaf {
    target: String,
    path: String,
    relay_hash: String,
    relay_length: usize,
    relay: String,
}

impl Leaf {
    fn of(proof: &ClosestProof) -> Self {
        let relay = proof.value().unwrap_or_default();
        Self {
            target: hex::encode(proof.path.0),
            path: hex::encode(&proof.closest_path),
            relay_hash: hex::encode(Sha256::digest(&relay)),
            relay_length: relay.len(),
            relay: hex::encode(&relay[..relay.len().min(SHOWN_BYTES)]),
        }
    }
}
