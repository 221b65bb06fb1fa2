//! Cases of `claims_proofs.json`.

mod lives;

use bytes::Bytes;
use pocket_proto::pocket::proof::{Claim, MsgCreateClaim, MsgSubmitProof};
use pocket_proto::type_url;
use pocket_protocol::claim::{
    ProofRequirement, ProofTerms, RootTotals, basic_create_claim, basic_submit_proof, claim_hash, claim_of, proof_path,
    proof_requirement, sample, sample_seed,
};
use pocket_protocol::go_rand::{first_float64, first_uint64, signed_varint};
use pocket_protocol::reward::{Price, claimed_upokt, estimated_compute_units, estimated_relays};
use pocket_protocol::rings::{PLACEHOLDER_ADDRESS, PLACEHOLDER_PUBLIC_KEY};
use pocket_protocol::{ComputeUnits, Height, SharedParams, Upokt, Windows};
use prost::Message as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::Report;
use crate::read::{array, bytes, flag, number, same, session_header, shared_params, text};

pub fn check(file: &Value, report: &mut Report) {
    let lists = ["cases", "basic_checks", "samples", "rewards", "requirements", "lives"];
    let constants = ["placeholder", "type_urls", "hash_of_block"];
    report.only(file, &[&lists[..], &constants[..]].concat());
    report.list(file, "cases", check_claim_and_proof);
    report.list(file, "basic_checks", check_basic);
    report.list(file, "samples", check_sample);
    report.list(file, "rewards", check_reward);
    report.list(file, "requirements", check_requirement);
    lives::check(file, report);
    report.case("placeholder", || {
        same("address", PLACEHOLDER_ADDRESS, text(&file["placeholder"], "address")?)?;
        same(
            "key",
            PLACEHOLDER_PUBLIC_KEY,
            array(&file["placeholder"], "public_key")?,
        )
    });
    report.case("type_urls", || {
        same(
            "claim",
            type_url::MSG_CREATE_CLAIM,
            text(&file["type_urls"], "create_claim")?,
        )?;
        same(
            "proof",
            type_url::MSG_SUBMIT_PROOF,
            text(&file["type_urls"], "submit_proof")?,
        )
    });
}

/// Decodes both messages, and sees that they are written again as they were.
fn messages(case: &Value) -> Result<(MsgCreateClaim, MsgSubmitProof), String> {
    let (create_bytes, submit_bytes) = (bytes(case, "msg_create_claim")?, bytes(case, "msg_submit_proof")?);
    let create = MsgCreateClaim::decode(&create_bytes[..]).map_err(|error| error.to_string())?;
    let submit = MsgSubmitProof::decode(&submit_bytes[..]).map_err(|error| error.to_string())?;
    same("claim message", create.encode_to_vec(), create_bytes)?;
    same("proof message", submit.encode_to_vec(), submit_bytes)?;
    Ok((create, submit))
}

fn same_sample(drawn: f64, case: &Value) -> Result<(), String> {
    same(
        "sample's bits",
        format!("{:016x}", drawn.to_bits()).as_str(),
        text(&case["sample"], "bits")?,
    )?;
    let value: f64 = number(&case["sample"], "value")?;
    same("sample", drawn.to_bits(), value.to_bits())
}

fn check_claim_and_proof(case: &Value) -> Result<(), String> {
    let (create, submit) = messages(case)?;
    let header = session_header(&case["session_header"])?;
    let supplier = text(case, "supplier_operator_address")?;
    let root = bytes(case, "root_hash")?;
    let expected = MsgCreateClaim {
        supplier_operator_address: supplier.to_owned(),
        session_header: Some(header.clone()),
        root_hash: root.clone().into(),
    };
    same("claim message", &create, &expected)?;
    let proof = MsgSubmitProof {
        supplier_operator_address: supplier.to_owned(),
        session_header: Some(header.clone()),
        proof: bytes(case, "proof")?.into(),
    };
    same("proof message", submit, proof)?;

    let claim = claim_of(&create);
    same("claim", claim.encode_to_vec(), bytes(case, "claim")?)?;
    same("claim's hash", claim_hash(&claim), array(case, "claim_hash")?)?;
    let totals = RootTotals::of(&root).map_err(|error| error.to_string())?;
    let theirs = RootTotals {
        sum: ComputeUnits(number(case, "sum")?),
        count: number(case, "count")?,
    };
    same("totals", totals, theirs)?;
    let block_hash = bytes(case, "block_hash")?;
    same(
        "path",
        proof_path(&block_hash, &header.session_id),
        array(case, "proof_path")?,
    )?;
    same_sample(sample(&claim, &block_hash), case)
}

fn check_basic(case: &Value) -> Result<(), String> {
    let (create, submit) = messages(case)?;
    let verdicts = [
        ("create", basic_create_claim(&create).is_ok()),
        ("submit", basic_submit_proof(&submit).is_ok()),
    ];
    for (message, valid) in verdicts {
        same(message, valid, flag(case, &format!("{message}_valid"))?)?;
        same(message, valid, text(case, &format!("{message}_error"))?.is_empty())?;
    }
    Ok(())
}

fn check_sample(case: &Value) -> Result<(), String> {
    let digest: [u8; 32] = Sha256::digest(bytes(case, "input")?).into();
    same("digest", digest, array(case, "input_hash")?)?;
    let seed = sample_seed(&digest);
    same("seed", seed, number(case, "seed")?)?;
    let length: i64 = number(case, "varint_bytes")?;
    let ours = signed_varint(&digest).map(|(_, length)| length as i64);
    same("varint's bytes", ours, (length > 0).then_some(length))?;
    same("int63", first_uint64(seed) & (u64::MAX >> 1), number(case, "int63")?)?;
    same_sample(first_float64(seed), case)
}

fn check_reward(case: &Value) -> Result<(), String> {
    let root = bytes(case, "root_hash")?;
    let (sum, count) = (number(case, "sum")?, number::<u64>(case, "count")?);
    let written = root.get(32..).ok_or("the root is short")?;
    same(
        "totals",
        written,
        &[u64::to_be_bytes(sum), count.to_be_bytes()].concat()[..],
    )?;
    let price = Price {
        multiplier: number(case, "compute_units_to_tokens_multiplier")?,
        granularity: number(case, "compute_unit_cost_granularity")?,
    };
    let (sum, target) = (ComputeUnits(sum), bytes(case, "target_hash")?);
    let claimed = claimed_upokt(sum, price, &target);
    if !case["go_error"].is_null() {
        return same("is refused", claimed.is_err(), true);
    }
    let claimed = claimed.map_err(|error| error.to_string())?;
    same("claimed", claimed, Upokt(number(case, "claimed_upokt")?))?;
    let units = estimated_compute_units(sum, &target).map_err(|error| error.to_string())?;
    same(
        "estimated compute units",
        units,
        ComputeUnits(number(case, "estimated_compute_units")?),
    )?;
    let relays = estimated_relays(sum, count, &target).map_err(|error| error.to_string())?;
    same("estimated relays", relays, number(case, "estimated_relays")?)
}

fn check_requirement(case: &Value) -> Result<(), String> {
    let bytes_of_claim: Bytes = bytes(case, "claim")?.into();
    let claim = Claim::decode(bytes_of_claim.clone()).map_err(|error| error.to_string())?;
    same("claim", Bytes::from(claim.encode_to_vec()), bytes_of_claim)?;
    let params: SharedParams = shared_params(&case["params"])?;
    let header = claim.session_header.as_ref().ok_or("the claim has no header")?;
    let windows = Windows::of(&params, Height(header.session_end_block_height));
    same("seed block", windows.seed, Height(number(case, "seed_block_height")?))?;
    let block_hash = bytes(case, "seed_block_hash")?;
    same_sample(sample(&claim, &block_hash), case)?;

    let totals = RootTotals::of(&claim.root_hash).map_err(|error| error.to_string())?;
    same("sum", totals.sum, ComputeUnits(number(case, "sum")?))?;
    let target = bytes(case, "target_hash")?;
    let claimed = claimed_upokt(totals.sum, Price::from(&params), &target).map_err(|error| error.to_string())?;
    same("claimed", claimed, Upokt(number(case, "claimed_upokt")?))?;
    let terms = ProofTerms {
        request_probability: number(case, "proof_request_probability")?,
        requirement_threshold: Upokt(number(case, "proof_requirement_threshold_upokt")?),
        missing_penalty: Upokt(0),
        submission_fee: Upokt(0),
    };
    let name = match proof_requirement(&claim, claimed, &block_hash, &terms) {
        ProofRequirement::NotRequired => "NOT_REQUIRED",
        ProofRequirement::Probabilistic => "PROBABILISTIC",
        ProofRequirement::Threshold => "THRESHOLD",
    };
    same("requirement", name, text(case, "requirement")?)
}
