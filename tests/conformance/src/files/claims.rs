//! Cases of `claims.json`.

use bytes::Bytes;
use pocket_proto::pocket::proof::{MsgCreateClaim, MsgSubmitProof};
use pocket_protocol::claim::{RootTotals, basic_create_claim, claim_of, proof_path, sample};
use pocket_protocol::reward::{Price, claimed_upokt};
use pocket_protocol::{ComputeUnits, Upokt};
use prost::Message as _;
use serde_json::Value;

use crate::Report;
use crate::read::{array, bytes, number, same, text};

pub fn check(file: &Value, report: &mut Report) {
    report.only(file, &["cases"]);
    report.list(file, "cases", check_claim);
}

fn check_claim(case: &Value) -> Result<(), String> {
    let create_bytes: Bytes = bytes(case, "msg_create_claim")?.into();
    let create = MsgCreateClaim::decode(create_bytes.clone()).map_err(|error| error.to_string())?;
    same("claim message", Bytes::from(create.encode_to_vec()), create_bytes)?;
    basic_create_claim(&create).map_err(|error| error.to_string())?;
    let claim = claim_of(&create);
    same("claim", claim.encode_to_vec(), bytes(case, "claim")?)?;

    let submit_bytes: Bytes = bytes(case, "msg_submit_proof")?.into();
    let submit = MsgSubmitProof::decode(submit_bytes.clone()).map_err(|error| error.to_string())?;
    same("proof message", Bytes::from(submit.encode_to_vec()), submit_bytes)?;
    same("proof's header", &submit.session_header, &create.session_header)?;

    let header = create.session_header.as_ref().ok_or("the claim has no header")?;
    same("session id", header.session_id.as_str(), text(case, "session_id")?)?;
    let block_hash: [u8; 32] = array(case, "block_hash")?;
    same(
        "proof path",
        proof_path(&block_hash, &header.session_id),
        array(case, "proof_path")?,
    )?;
    let drawn: f64 = number(case, "proof_requirement_sample")?;
    same("sample", sample(&claim, &block_hash).to_bits(), drawn.to_bits())?;

    let totals = RootTotals::of(&claim.root_hash).map_err(|error| error.to_string())?;
    same("sum", totals.sum, ComputeUnits(number(case, "sum")?))?;
    same("count", totals.count, number(case, "count")?)?;
    let price = Price {
        multiplier: number(case, "compute_units_to_tokens_multiplier")?,
        granularity: number(case, "compute_unit_cost_granularity")?,
    };
    let claimed = claimed_upokt(totals.sum, price, &bytes(case, "target_hash")?).map_err(|error| error.to_string())?;
    same("claimed", claimed, Upokt(number(case, "claimed_upokt")?))
}
