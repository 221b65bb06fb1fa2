//! From a sealed tree to a claim in a block.

use futures::future::join_all;
use pocket_proto::pocket::proof::MsgCreateClaim;
use pocket_proto::type_url;
use pocket_protocol::{Height, SessionId, SupplierAddress, Windows};
use pocket_query::QueryError;
use pocket_smst::Digest;
use pocket_store::{Lease, SessionRecord};
use prost::Message as _;
use prost_types::Any;

use crate::lifecycle::Event;
use crate::rehearsal::{Rehearsal, Withheld};
use crate::repair::Repair;
use crate::submit::{Item, Outcome, Submitter};
use crate::{Deps, Settings};

/// Claims that are rehearsed side by side.
const REHEARSED_AT_ONCE: usize = 16;

/// A session whose claim or proof is due.
pub(crate) struct Due {
    pub record: SessionRecord,
    pub windows: Windows,
    pub root: Digest,
}

/// What a job found out about a session.
#[derive(Debug)]
pub(crate) enum Finding {
    /// Something for the lifecycle, with the transaction that did it.
    Event(Event, Option<String>),
    /// Nothing yet: it is tried again soon.
    Later(String),
    /// Nothing yet, and nothing more at the height at which it was found.
    NextBlock(Height, String),
    /// The sealed tree lost leaves. What is left has this root, which is to be claimed.
    OtherRoot(Digest),
}

/// Claims sessions of one supplier that end at the same height.
pub(crate) async fn claim(
    deps: &Deps,
    settings: &Settings,
    supplier: &SupplierAddress,
    lease: &Lease,
    rehearsal: &Rehearsal,
    due: Vec<Due>,
) -> Vec<(SessionId, Finding)> {
    let Some(close) = due.first().map(|due| due.windows.claim_close) else {
        return Vec::new();
    };
    let mut findings = Vec::with_capacity(due.len());
    let on_chain = match deps.chain.claims_of(supplier.as_str()).await {
        Ok(claims) => claims,
        Err(error) => {
            let later = |due: Due| (due.record.session, Finding::Later(error.to_string()));
            return due.into_iter().map(later).collect();
        }
    };
    let mut claims = Vec::with_capacity(due.len());
    for due in due {
        let ours = on_chain.iter().any(|claim| {
            claim.root_hash == due.root.as_ref()
                && claim
                    .session_header
                    .as_ref()
                    .is_some_and(|header| header.session_id == due.record.session.as_str())
        });
        if ours {
            // Sent before a crash, and included since.
            findings.push((due.record.session, Finding::Event(Event::ClaimIncluded, None)));
            continue;
        }
        if deps.feed.height() >= close {
            findings.push((due.record.session, Finding::Event(Event::ClaimWindowClosed, None)));
            continue;
        }
        match message(deps, &due).await {
            Ok(message) => claims.push((due, message)),
            Err(finding) => findings.push((due.record.session, finding)),
        }
    }
    let (mut items, mut damaged) = (Vec::with_capacity(claims.len()), Vec::new());
    for some in claims.chunks(REHEARSED_AT_ONCE) {
        let rehearsed = join_all(some.iter().map(|(due, message)| rehearsal.claim(deps, due, message)));
        for ((due, message), rehearsed) in some.iter().zip(rehearsed.await) {
            let session = due.record.session.clone();
            match rehearsed {
                Ok(()) => items.push(Item {
                    session,
                    message: Any {
                        type_url: type_url::MSG_CREATE_CLAIM.to_owned(),
                        value: message.encode_to_vec(),
                    },
                }),
                Err(Withheld::Finding(finding)) => findings.push((session, finding)),
                Err(Withheld::Damaged) => damaged.push(due),
            }
        }
    }
    // Building a large tree anew takes its time: the others do not wait for it.
    let mending = join_all(damaged.into_iter().map(|due| async move {
        let repair = Repair::of(deps, settings, lease, &due.record);
        (due.record.session.clone(), rehearsal.mend(deps, &repair, due).await)
    }));
    let batch = settings.claims_a_transaction;
    let submitter = Submitter {
        tx: &deps.tx,
        feed: &deps.feed,
        supplier,
        batch,
        close,
        fee: &rehearsal.claim_fee,
        is_refused: settings.refused.claims,
    };
    let (mended, outcomes) = tokio::join!(mending, submitter.submit(items));
    findings.extend(mended);
    for (session, outcome) in outcomes {
        let finding = match outcome {
            Outcome::Included { tx } => Finding::Event(Event::ClaimIncluded, Some(tx)),
            Outcome::Refused { text, .. } => Finding::Event(Event::ClaimRefused(text), None),
            Outcome::Later(reason) => Finding::Later(reason),
        };
        findings.push((session, finding));
    }
    findings
}

/// The claim's message, after the checks that the chain would fail it for.
async fn message(deps: &Deps, due: &Due) -> Result<MsgCreateClaim, Finding> {
    let later = |error: QueryError| Finding::Later(error.to_string());
    let record = &due.record;
    let units = deps
        .chain
        .compute_units_at(record.service.as_str(), record.start)
        .await
        .map_err(later)?;
    if u128::from(due.root.sum()) != u128::from(due.root.count()) * u128::from(units.0) {
        let reason = format!(
            "the tree's sum {} is not its count {} times the service's {units} compute units",
            due.root.sum(),
            due.root.count()
        );
        deps.metrics.rehearsal.skipped(record, "cupr_mismatch");
        return Err(Finding::Event(Event::ClaimUnwanted(reason), None));
    }
    let session = deps
        .chain
        .session(record.application.as_str(), record.service.as_str(), record.start)
        .await;
    let header = match session {
        Ok(session) => session.header.clone(),
        Err(error) => return Err(later(error)),
    };
    let Some(header) = header.filter(|header| header.session_id == record.session.as_str()) else {
        let reason = format!(
            "the chain's session of {} at {} is another one",
            record.application, record.start
        );
        return Err(Finding::Event(Event::ClaimRefused(reason), None));
    };
    Ok(MsgCreateClaim {
        supplier_operator_address: record.supplier.to_string(),
        session_header: Some(header),
        root_hash: bytes::Bytes::copy_from_slice(due.root.as_ref()),
    })
}
