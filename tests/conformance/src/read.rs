//! Reading the fields of a case. A missing or malformed field is an error that names it.

use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::SharedParams;
use prost::Message as _;
use serde_json::Value;

/// The text of a field.
pub fn text<'a>(case: &'a Value, key: &str) -> Result<&'a str, String> {
    case[key]
        .as_str()
        .ok_or_else(|| format!("field {key} is missing or no text"))
}

/// The bytes of a hex field.
pub fn bytes(case: &Value, key: &str) -> Result<Vec<u8>, String> {
    hex::decode(text(case, key)?).map_err(|error| format!("field {key}: {error}"))
}

/// The bytes of a hex field of known length.
pub fn array<const N: usize>(case: &Value, key: &str) -> Result<[u8; N], String> {
    bytes(case, key)?
        .try_into()
        .map_err(|found: Vec<u8>| format!("field {key} has {} bytes, not {N}", found.len()))
}

/// A number, written as a JSON number or as decimal text.
pub fn number<T: std::str::FromStr>(case: &Value, key: &str) -> Result<T, String> {
    let value = &case[key];
    let written = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    written
        .parse()
        .map_err(|_| format!("field {key}: {written} is not a number of the wanted kind"))
}

/// A boolean field.
pub fn flag(case: &Value, key: &str) -> Result<bool, String> {
    case[key]
        .as_bool()
        .ok_or_else(|| format!("field {key} is missing or no boolean"))
}

/// An error that shows both sides unless they are equal.
#[expect(clippy::needless_pass_by_value, reason = "the callers compare what they just made")]
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: T, theirs: T) -> Result<(), String> {
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{what}: ours {ours:?}, expected {theirs:?}"))
    }
}

/// The texts of a list.
pub fn texts<'a>(case: &'a Value, key: &str) -> Result<Vec<&'a str>, String> {
    let list = case[key]
        .as_array()
        .ok_or_else(|| format!("field {key} is missing or no list"))?;
    list.iter()
        .map(|item| {
            item.as_str()
                .ok_or_else(|| format!("field {key} holds something that is no text"))
        })
        .collect()
}

/// The shared module's parameters. A field that a case leaves out is 0; one that is not known is an error.
pub fn shared_params(value: &Value) -> Result<SharedParams, String> {
    let mut params = SharedParams::default();
    for key in value.as_object().ok_or("the parameters are missing")?.keys() {
        let field = match key.as_str() {
            "num_blocks_per_session" => &mut params.num_blocks_per_session,
            "grace_period_end_offset_blocks" => &mut params.grace_period_end_offset_blocks,
            "claim_window_open_offset_blocks" => &mut params.claim_window_open_offset_blocks,
            "claim_window_close_offset_blocks" => &mut params.claim_window_close_offset_blocks,
            "proof_window_open_offset_blocks" => &mut params.proof_window_open_offset_blocks,
            "proof_window_close_offset_blocks" => &mut params.proof_window_close_offset_blocks,
            "supplier_unbonding_period_sessions" => &mut params.supplier_unbonding_period_sessions,
            "application_unbonding_period_sessions" => &mut params.application_unbonding_period_sessions,
            "gateway_unbonding_period_sessions" => &mut params.gateway_unbonding_period_sessions,
            "compute_units_to_tokens_multiplier" => &mut params.compute_units_to_tokens_multiplier,
            "compute_unit_cost_granularity" => &mut params.compute_unit_cost_granularity,
            "session_grid_anchor_height" => &mut params.session_grid_anchor_height,
            "session_number_at_anchor" => &mut params.session_number_at_anchor,
            other => return Err(format!("the parameter {other} is not known")),
        };
        *field = number(value, key)?;
    }
    Ok(params)
}

/// A session header's fields, checked against its own encoding.
pub fn session_header(value: &Value) -> Result<SessionHeader, String> {
    let header = SessionHeader {
        application_address: text(value, "application_address")?.to_owned(),
        service_id: text(value, "service_id")?.to_owned(),
        session_id: text(value, "session_id")?.to_owned(),
        session_start_block_height: number(value, "session_start_block_height")?,
        session_end_block_height: number(value, "session_end_block_height")?,
    };
    same("session header", header.encode_to_vec(), bytes(value, "encoded")?)?;
    Ok(header)
}
