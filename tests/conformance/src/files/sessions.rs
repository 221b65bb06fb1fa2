//! Cases of `sessions.json`.

use pocket_proto::pocket::application::{Application, UndelegatingGatewayList};
use pocket_protocol::session::{
    Candidate, select_suppliers, session_id, session_id_of, session_preimage, supplier_weight,
};
use pocket_protocol::windows::{blocks_to_settlement, grace_is_over, pending_sessions};
use pocket_protocol::{Height, ParamsHistory, SessionBounds, SharedParams, Windows, decode_account, ring_addresses};
use serde_json::Value;

use crate::Report;
use crate::read::{bytes, flag, number, same, shared_params, text, texts};

pub fn check(file: &Value, report: &mut Report) {
    report.only(
        file,
        &[
            "cases",
            "supplier_selection",
            "params_history",
            "ring_addresses",
            "grace",
        ],
    );
    report.list(file, "cases", check_session);
    report.list(file, "supplier_selection", check_selection);
    report.list(file, "params_history", check_history);
    report.list(file, "ring_addresses", check_ring);
    report.list(file, "grace", |case| {
        let over = grace_is_over(
            &shared_params(&case["params"])?,
            height(case, "height")?,
            height(case, "current_height")?,
        );
        same("grace is over", over, flag(case, "elapsed")?)
    });
}

fn height(case: &Value, key: &str) -> Result<Height, String> {
    number(case, key).map(Height)
}

fn list<'a>(case: &'a Value, key: &str) -> Result<&'a Vec<Value>, String> {
    case[key]
        .as_array()
        .ok_or_else(|| format!("field {key} is missing or no list"))
}

fn check_bounds(bounds: &SessionBounds, case: &Value) -> Result<(), String> {
    same("start", bounds.start, height(case, "start_height")?)?;
    same("end", bounds.end, height(case, "end_height")?)?;
    same("number", bounds.number, number(case, "session_number")?)
}

fn check_session(case: &Value) -> Result<(), String> {
    let params = shared_params(&case["params"])?;
    let at = height(case, "height")?;
    let session = SessionBounds::containing(&params, at);
    check_bounds(&session, case)?;
    check_windows(&Windows::of(&params, session.end), case)?;
    decode_account(text(case, "supplier")?).map_err(|error| error.to_string())?;

    let block_hash = bytes(case, "block_hash")?;
    let (service, application) = (text(case, "service_id")?, text(case, "application_address")?);
    let id = session_id(&block_hash, service, application, session.start);
    same("session id", id.as_str(), text(case, "session_id")?)?;
    if case["session_id_preimage"].is_null() {
        return Ok(());
    }
    let preimage = session_preimage(&block_hash, service, application, session.start);
    same("preimage", preimage, bytes(case, "session_id_preimage")?)?;
    same("is_session_end", at == session.end, flag(case, "is_session_end")?)?;
    same("is_session_start", at == session.start, flag(case, "is_session_start")?)?;
    same(
        "next start",
        session.next_start(),
        height(case, "next_session_start_height")?,
    )?;
    same(
        "pending sessions",
        pending_sessions(&params),
        number(case, "num_pending_sessions")?,
    )?;
    let blocks = blocks_to_settlement(&params);
    same(
        "blocks to settlement",
        blocks,
        number(case, "session_end_to_proof_window_close_blocks")?,
    )
}

fn check_windows(windows: &Windows, case: &Value) -> Result<(), String> {
    same("grace end", windows.grace_end, height(case, "grace_period_end_height")?)?;
    same(
        "claim open",
        windows.claim_open,
        height(case, "claim_window_open_height")?,
    )?;
    same(
        "claim close",
        windows.claim_close,
        height(case, "claim_window_close_height")?,
    )?;
    same(
        "proof open",
        windows.proof_open,
        height(case, "proof_window_open_height")?,
    )?;
    same(
        "proof close",
        windows.proof_close,
        height(case, "proof_window_close_height")?,
    )?;
    same(
        "settlement",
        windows.settlement(),
        height(case, "settlement_session_end_height")?,
    )?;
    same(
        "earliest claim",
        windows.earliest_claim(),
        height(case, "earliest_claim_height")?,
    )?;
    same(
        "earliest proof",
        windows.earliest_proof(),
        height(case, "earliest_proof_height")?,
    )
}

fn check_selection(case: &Value) -> Result<(), String> {
    let at = height(case, "height")?;
    let session = SessionBounds::containing(&shared_params(&case["params"])?, at);
    check_bounds(&session, case)?;
    let block_hash = bytes(case, "block_hash")?;
    let preimage = session_preimage(
        &block_hash,
        text(case, "service_id")?,
        text(case, "application_address")?,
        session.start,
    );
    same("preimage", &preimage, &bytes(case, "session_id_preimage")?)?;
    same(
        "session id",
        session_id_of(&preimage).as_str(),
        text(case, "session_id")?,
    )?;

    let candidates: Vec<_> = list(case, "suppliers")?
        .iter()
        .map(candidate)
        .collect::<Result<_, _>>()?;
    let selected = select_suppliers(candidates, at, number(case, "num_suppliers_per_session")?, &preimage);
    same("selected", selected, texts(case, "selected")?)?;
    for operator in case["weights"].as_object().ok_or("field weights is missing")?.keys() {
        let weight = supplier_weight(&preimage, operator);
        same("weight", weight, number(&case["weights"], operator)?)?;
    }
    Ok(())
}

fn candidate(supplier: &Value) -> Result<Candidate<'_>, String> {
    Ok(Candidate {
        operator: text(supplier, "operator_address")?,
        activation: height(supplier, "activation_height")?,
        deactivation: height(supplier, "deactivation_height")?,
    })
}

/// The unbonding periods are not among a case's parameters: they only have to be long enough.
fn with_long_unbonding(params: SharedParams) -> SharedParams {
    SharedParams {
        supplier_unbonding_period_sessions: 1000,
        application_unbonding_period_sessions: 1000,
        gateway_unbonding_period_sessions: 1000,
        ..params
    }
}

fn check_history(case: &Value) -> Result<(), String> {
    let mut history = ParamsHistory::new(with_long_unbonding(shared_params(&case["first_params"])?));
    let mut block = Height(1);
    for change in list(case, "changes")? {
        let at = height(change, "height")?;
        while block < at {
            history.end_block(block).map_err(|error| error.to_string())?;
            block = block + 1;
        }
        let recorded = history.record(with_long_unbonding(shared_params(&change["params"])?), at);
        same(
            "change is accepted",
            recorded.is_ok(),
            text(change, "go_error")?.is_empty(),
        )?;
    }
    let theirs = list(case, "history")?.iter().map(|entry| {
        let params = with_long_unbonding(shared_params(&entry["params"])?);
        Ok((height(entry, "effective_height")?, params))
    });
    let theirs: Vec<_> = theirs.collect::<Result<_, String>>()?;
    let ours: Vec<_> = history.entries().map(|(height, params)| (height, *params)).collect();
    same("history", ours, theirs)?;
    for query in list(case, "queries")? {
        let at = height(query, "height")?;
        let params = history.at(at);
        let session = SessionBounds::containing(params, at);
        check_bounds(&session, query)?;
        let windows = Windows::of(params, session.end);
        same(
            "blocks",
            params.num_blocks_per_session,
            number(query, "num_blocks_per_session")?,
        )?;
        same(
            "claim open",
            windows.claim_open,
            height(query, "claim_window_open_height")?,
        )?;
        same(
            "proof close",
            windows.proof_close,
            height(query, "proof_window_close_height")?,
        )?;
    }
    Ok(())
}

fn check_ring(case: &Value) -> Result<(), String> {
    let session = SessionBounds::containing(&shared_params(&case["params"])?, height(case, "height")?);
    same("session end", session.end, height(case, "session_end_height")?)?;
    let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let left = list(case, "pending_undelegations")?.iter().map(|left| {
        let gateway_addresses = owned(texts(left, "gateway_addresses")?);
        Ok((number(left, "height")?, UndelegatingGatewayList { gateway_addresses }))
    });
    let application = Application {
        address: text(case, "application_address")?.to_owned(),
        delegatee_gateway_addresses: owned(texts(case, "delegatee_gateway_addresses")?),
        pending_undelegations: left.collect::<Result<_, String>>()?,
        ..Default::default()
    };
    same(
        "ring",
        ring_addresses(&application, session.end),
        owned(texts(case, "ring_addresses")?),
    )
}
