//! Unusual encodings: what is read from them, how it is written again, and what is hashed.

use pocket_proto::pocket::service::{Relay, RelayRequest, RelayResponse};
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::admission::{basic_request, basic_response};
use pocket_protocol::relay::{
    encode_relay, encode_request, encode_response, received_response_signable_hash, request_signable_hash,
};
use prost::{DecodeError, Message as _};
use serde_json::Value;

use crate::read::{array, bytes, flag, same, text};

/// What is made of an input that decodes.
struct Decoded {
    canonical: Vec<u8>,
    signable_hash: Option<[u8; 32]>,
    passes_basic_check: bool,
}

pub fn check(case: &Value) -> Result<(), String> {
    let decoded = decode(text(case, "message")?, &bytes(case, "input")?);
    if !flag(case, "decodes")? {
        return same("decodes", decoded.is_ok(), false);
    }
    let decoded = match decoded {
        Err(_) if flag(case, "may_refuse")? => return Ok(()),
        decoded => decoded.map_err(|error| error.to_string())?,
    };
    same("canonical", decoded.canonical, bytes(case, "canonical")?)?;
    if let Some(hash) = decoded.signable_hash {
        same("hash", hash, array(case, "signable_hash")?)?;
        same(
            "passes the basic check",
            decoded.passes_basic_check,
            text(case, "basic_error")?.is_empty(),
        )?;
    }
    Ok(())
}

fn decode(message: &str, input: &[u8]) -> Result<Decoded, DecodeError> {
    match message {
        "RelayRequest" => RelayRequest::decode(input).map(|request| Decoded {
            canonical: encode_request(&request).to_vec(),
            signable_hash: Some(request_signable_hash(&request)),
            passes_basic_check: basic_request(&request).is_ok(),
        }),
        "RelayResponse" => RelayResponse::decode(input).map(|response| Decoded {
            canonical: encode_response(&response).to_vec(),
            signable_hash: Some(received_response_signable_hash(&response, input)),
            passes_basic_check: basic_response(&response).is_ok(),
        }),
        "Relay" => Relay::decode(input).map(|relay| unsigned(encode_relay(&relay).to_vec())),
        "SessionHeader" => SessionHeader::decode(input).map(|header| unsigned(header.encode_to_vec())),
        other => panic!("the message {other} is not known"),
    }
}

fn unsigned(canonical: Vec<u8>) -> Decoded {
    Decoded {
        canonical,
        signable_hash: None,
        passes_basic_check: true,
    }
}
