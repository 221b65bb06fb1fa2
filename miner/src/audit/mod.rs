//! Whether a session's relays, its tree in Redis and the chain agree: for operators, and for whoever doubts us.
//!
//! Reads only. Every relay that Redis still has is held against the rules that the chain would hold it against, and the
//! tree is built anew from them alone: what its root is does not depend on what anybody wrote down.

mod chain;
mod leaves;
mod report;
mod tree;

use std::sync::Arc;

use pocket_protocol::{SessionId, SupplierAddress, Windows};
use pocket_query::{ChainClient, QueryError};
use pocket_store::{SessionRecord, SessionState, Store, StoreError};

use crate::rehearsal::{SessionFacts, Signers};
use leaves::{Checker, Rebuilt};
pub use report::{BrokenLeaf, Check, Report, Verdict};

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Redis does not answer, or with something that cannot be.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain does not answer.
    #[error(transparent)]
    Chain(#[from] QueryError),
}

/// How far an audit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is done now, in words.
    pub doing: &'static str,
    /// Of `total`; may pass it, since Redis goes on changing.
    pub done: u64,
    /// Stored nodes.
    pub total: u64,
}

/// Compares what Redis has of a supplier's part in a session with what the chain says. `None` if Redis has nothing of
/// it. `tell` hears how far it is.
pub async fn audit(
    store: &Store,
    chain: &ChainClient,
    supplier: &SupplierAddress,
    session: &SessionId,
    mut tell: impl FnMut(Progress),
) -> Result<Option<Report>, AuditError> {
    let Some(record) = store.session(supplier, session).await? else {
        return Ok(None);
    };
    let height = chain.status().await?.height;
    let windows = Windows::of(&*chain.shared_params_at(record.end).await?, record.end);
    let facts = SessionFacts::of(chain, &record).await;
    let signers = Signers::of(chain, &record).await;
    let checker = match (&facts, &signers) {
        (Ok(facts), Ok(signers)) => Some(Arc::new(Checker::new(facts.clone(), signers.clone(), supplier))),
        _ => None,
    };
    let case = Case {
        store,
        chain,
        height,
        windows,
        roots: store.tree_roots(supplier, session).await?,
        record,
    };
    let rebuilt = leaves::rebuild(&store.tree(supplier, session), checker, &mut tell).await?;
    let mut report = Report::new(&case.record, height);
    case.check_leaves(&mut report, &rebuilt);
    case.check_tree(&mut report, &rebuilt, &mut tell).await?;
    match facts {
        Ok(facts) => {
            report.worth_upokt = facts.worth(&case.root(&rebuilt)).map(|worth| worth.0);
            case.check_session(&mut report, &facts, &rebuilt);
            case.check_claim(&mut report, &facts, signers.ok().as_ref(), &rebuilt)
                .await?;
        }
        Err(error) => report.cannot_tell("session", error),
    }
    Ok(Some(report))
}

/// What is audited.
struct Case<'a> {
    store: &'a Store,
    chain: &'a ChainClient,
    /// The chain's newest block.
    height: pocket_protocol::Height,
    windows: Windows,
    record: SessionRecord,
    roots: pocket_store::TreeRoots,
}

impl Case<'_> {
    /// Whether relays may still be on their way into the tree.
    fn is_growing(&self) -> bool {
        self.record.state == SessionState::Active
    }

    /// Whether the tree was deleted because nobody needs it any more.
    fn is_over(&self) -> bool {
        self.record.settlement.is_some()
    }

    /// The root to go by: that of the leaves, or what is written down where there are none any more.
    fn root(&self, rebuilt: &Rebuilt) -> pocket_smst::Digest {
        let written = self.record.claimed_root.as_ref();
        let written = written.and_then(|root| pocket_smst::Digest::try_from(root.as_ref()).ok());
        match written {
            Some(root) if rebuilt.root.is_empty() => root,
            _ => rebuilt.root,
        }
    }
}
