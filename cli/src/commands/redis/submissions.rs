//! `relay-miner redis submissions`.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;

use anyhow::bail;
use pocket_protocol::{AppAddress, ServiceId, SupplierAddress};
use serde::{Deserialize, Serialize};

use super::sessions::{Record, of_supplier};
use super::target::Target;
use super::words::count;
use crate::output::{BAD, Cell, DIM, GOOD, Output, Table, WARN};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  relay-miner redis submissions --failed-only\n  relay-miner redis submissions --supplier pokt1…\n\nShows what session records say, and what a Go relay miner has written about its transactions.\nFor a Go relay miner success means that the node took a transaction, here that it is in a block."
)]
pub struct Arguments {
    /// Of this supplier
    #[arg(long, value_name = "ADDRESS")]
    supplier: Option<SupplierAddress>,
    /// Of this service
    #[arg(long, value_name = "ID")]
    service: Option<ServiceId>,
    /// Of this application
    #[arg(long, value_name = "ADDRESS")]
    app: Option<AppAddress>,
    /// Of this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Of sessions that end at this height
    #[arg(long, value_name = "HEIGHT")]
    session_end: Option<i64>,
    /// Those whose claim or proof is missing
    #[arg(long, conflicts_with = "success_only")]
    failed_only: bool,
    /// Those whose claim and proof are there
    #[arg(long)]
    success_only: bool,
    /// The same as --output json
    #[arg(long)]
    json: bool,
    /// Most to show, the newest first; 0 for all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

/// A claim and its proof: JSON with the Go peer's field names.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Submission {
    supplier: String,
    service: String,
    application: String,
    session_id: String,
    session_start: i64,
    session_end: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    claim_hash: String,
    claim_tx_hash: String,
    claim_success: bool,
    claim_error_reason: String,
    claim_submit_height: i64,
    claim_submit_time_utc: String,
    claim_on_chain_outcome: String,
    claim_inclusion_height: i64,
    proof_hash: String,
    proof_tx_hash: String,
    proof_success: bool,
    proof_error_reason: String,
    proof_submit_height: i64,
    proof_submit_time_utc: String,
    proof_on_chain_outcome: String,
    proof_inclusion_height: i64,
    num_relays: i64,
    compute_units: i64,
    proof_required: bool,
}

impl Submission {
    /// What a session's record says of it; nothing before the claim is due.
    fn of_record(record: &Record) -> Option<Self> {
        let state = record.state();
        if state == "active" {
            return None;
        }
        let text = |name: &str| record.text(name).unwrap_or_default().to_owned();
        let number = |name: &str| i64::try_from(record.number(name)).unwrap_or(i64::MAX);
        let claim_failed = matches!(
            state,
            "claiming" | "claim_skipped" | "claim_window_closed" | "claim_tx_error" | "claim_missing"
        );
        let reason = |failed: bool| if failed { text("reason") } else { String::new() };
        Some(Self {
            supplier: text("supplier_operator_address"),
            service: text("service_id"),
            application: text("application_address"),
            session_id: text("session_id"),
            session_start: number("session_start_height"),
            session_end: number("session_end_height"),
            state: Some(state.to_owned()),
            claim_hash: text("claimed_root_hash"),
            claim_tx_hash: text("claim_tx_hash"),
            claim_success: !claim_failed,
            claim_error_reason: reason(claim_failed),
            proof_tx_hash: text("proof_tx_hash"),
            proof_success: matches!(state, "proved" | "probabilistic_proved"),
            proof_error_reason: reason(matches!(state, "proof_window_closed" | "proof_tx_error")),
            proof_required: matches!(state, "proving" | "proved" | "proof_window_closed" | "proof_tx_error"),
            num_relays: number("relay_count"),
            compute_units: number("total_compute_units"),
            ..Self::default()
        })
    }

    /// Takes over what only the peer's own words tell.
    fn with_peers_words(self, peer: Self) -> Self {
        let or = |ours: String, theirs: String| if ours.is_empty() { theirs } else { ours };
        Self {
            state: self.state,
            claim_hash: or(self.claim_hash, peer.claim_hash),
            claim_tx_hash: or(self.claim_tx_hash, peer.claim_tx_hash),
            claim_success: self.claim_success || peer.claim_success,
            claim_error_reason: or(self.claim_error_reason, peer.claim_error_reason),
            proof_hash: or(self.proof_hash, peer.proof_hash),
            proof_tx_hash: or(self.proof_tx_hash, peer.proof_tx_hash),
            proof_success: self.proof_success || peer.proof_success,
            proof_error_reason: or(self.proof_error_reason, peer.proof_error_reason),
            proof_required: self.proof_required || peer.proof_required,
            num_relays: self.num_relays,
            compute_units: self.compute_units,
            ..peer
        }
    }

    fn is_whole(&self) -> bool {
        self.claim_success && (self.proof_success || !self.proof_required)
    }

    fn key(&self) -> (String, String) {
        (self.supplier.clone(), self.session_id.clone())
    }

    fn claim_cell(&self) -> Cell {
        match (self.claim_success, self.state.as_deref()) {
            (true, _) => Cell::from("yes").styled(GOOD),
            (false, Some("claiming")) => Cell::from("under way").styled(WARN),
            (false, Some("claim_skipped")) => Cell::from("skipped").styled(WARN),
            (false, _) => Cell::from("FAILED").styled(BAD),
        }
    }

    fn proof_cell(&self) -> Cell {
        match (self.proof_success, self.proof_required, self.state.as_deref()) {
            (true, _, Some("probabilistic_proved")) => Cell::from("not required").styled(GOOD),
            (true, ..) => Cell::from("yes").styled(GOOD),
            (false, true, Some("proving")) => Cell::from("under way").styled(WARN),
            (false, true, _) => Cell::from("MISSING").styled(BAD),
            (false, false, _) => Cell::or_dash(None::<&str>),
        }
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Submissions(Vec<Submission>);

impl fmt::Display for Submissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["END", "SERVICE", "CLAIM", "PROOF", "RELAYS", "UNITS", "WHY", "SESSION"]);
        for one in &self.0 {
            let why = [&one.claim_error_reason, &one.proof_error_reason];
            let why = why.into_iter().find(|reason| !reason.is_empty());
            table.row([
                one.session_end.into(),
                one.service.as_str().into(),
                one.claim_cell(),
                one.proof_cell(),
                one.num_relays.into(),
                one.compute_units.into(),
                Cell::or_dash(why),
                one.session_id.as_str().into(),
            ]);
        }
        write!(f, "{table}\n{DIM}{}{DIM:#}", count(self.0.len(), "submission"))
    }
}

pub async fn run(target: &Target, arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let mut all = tracked(target, arguments).await?;
    let suppliers = match &arguments.supplier {
        Some(supplier) => vec![supplier.clone()],
        None => target.store.suppliers_with_sessions().await?,
    };
    for supplier in &suppliers {
        let records = of_supplier(target, supplier, None).await?;
        for ours in records.iter().filter_map(Submission::of_record) {
            let known = all.remove(&ours.key());
            let whole = match known {
                Some(peer) => ours.with_peers_words(peer),
                None => ours,
            };
            all.insert(whole.key(), whole);
        }
    }
    let mut wanted: Vec<Submission> = all.into_values().filter(|one| is_wanted(one, arguments)).collect();
    if wanted.is_empty() && arguments.session.is_some() {
        bail!("no claim of this session is known");
    }
    wanted
        .sort_by(|a, b| (b.session_end, &b.supplier, &b.session_id).cmp(&(a.session_end, &a.supplier, &a.session_id)));
    if arguments.limit > 0 {
        wanted.truncate(arguments.limit);
    }
    output.or_json(arguments.json).print(&Submissions(wanted))?;
    Ok(ExitCode::SUCCESS)
}

fn is_wanted(one: &Submission, arguments: &Arguments) -> bool {
    let is = |wanted: Option<&str>, value: &str| wanted.is_none_or(|wanted| wanted == value);
    is(arguments.service.as_ref().map(ServiceId::as_str), &one.service)
        && is(arguments.app.as_ref().map(AppAddress::as_str), &one.application)
        && is(arguments.session.as_deref(), &one.session_id)
        && arguments.session_end.is_none_or(|end| end == one.session_end)
        && !(arguments.failed_only && one.is_whole())
        && (!arguments.success_only || one.is_whole())
}

/// What Go peers wrote of what they sent.
async fn tracked(target: &Target, arguments: &Arguments) -> anyhow::Result<BTreeMap<(String, String), Submission>> {
    let store = &target.store;
    let supplier = arguments.supplier.as_ref().map(SupplierAddress::as_str);
    let keys = store.find_keys([store.keys().submissions(supplier)], |_| ()).await?;
    let mut found = BTreeMap::new();
    for (key, value) in store.values(&keys).await? {
        match serde_json::from_slice::<Submission>(&value.bytes) {
            Ok(one) => drop(found.insert(one.key(), one)),
            Err(error) => eprintln!("warning: {key} cannot be read: {error}"),
        }
    }
    Ok(found)
}
