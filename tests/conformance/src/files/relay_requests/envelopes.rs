//! HTTP envelopes, written and read.

use bytes::Bytes;
use pocket_proto::sdk::types::{Header, PokthttpRequest, PokthttpResponse};
use pocket_protocol::envelope::{
    Headers, decode_http_request, decode_http_response, encode_http_request, encode_http_response,
};
use serde_json::Value;

use crate::read::{bytes, flag, number, same, text, texts};

pub fn check(case: &Value) -> Result<(), String> {
    let is_request = match text(case, "message")? {
        "POKTHTTPRequest" => true,
        "POKTHTTPResponse" => false,
        other => return Err(format!("the message {other} is not known")),
    };
    if case["input"].is_null() {
        return check_encoding(case, is_request);
    }
    let input = Bytes::from(bytes(case, "input")?);
    let decoded = if is_request {
        read_request(case, &input)?
    } else {
        read_response(case, &input)?
    };
    same("decodes", decoded.is_some(), flag(case, "decodes")?)?;
    let Some(again) = decoded else {
        return Ok(());
    };
    let expected = Bytes::from(bytes(case, "encoded_again")?);
    // Go keeps fields that it does not know, behind the others; ours leaves them out. Nobody hashes
    // what is written again (spec relay.md §2).
    let (known, unknown) = expected
        .split_at_checked(again.len())
        .ok_or("written again: ours is longer")?;
    same("written again", &again[..], known)?;
    let unknown = Bytes::copy_from_slice(unknown);
    let is_unknown = if is_request {
        decode_http_request(&unknown) == Ok(PokthttpRequest::default())
    } else {
        decode_http_response(&unknown) == Ok(PokthttpResponse::default())
    };
    same("the rest is unknown", is_unknown, true)
}

fn check_encoding(case: &Value, is_request: bool) -> Result<(), String> {
    let value = &case["value"];
    if !flag(case, "encodes")? {
        // Text that is not UTF-8 cannot be in an envelope of ours; it has no place in the type.
        return same("has text that is not UTF-8", headers(value)?.is_none(), true);
    }
    let header = headers(value)?.ok_or("a header is not UTF-8")?;
    let body_bz = Bytes::from(bytes(value, "body")?);
    let expected = Bytes::from(bytes(case, "encoded")?);
    if is_request {
        let (method, url) = (text(value, "method")?.to_owned(), text(value, "url")?.to_owned());
        let request = PokthttpRequest {
            method,
            header,
            url,
            body_bz,
        };
        same("encoded", encode_http_request(&request), expected.clone())?;
        same("decoded again", decode_http_request(&expected), Ok(request))
    } else {
        let response = PokthttpResponse {
            status_code: number(value, "status_code")?,
            header,
            body_bz,
        };
        same("encoded", encode_http_response(&response), expected.clone())?;
        same("decoded again", decode_http_response(&expected), Ok(response))
    }
}

/// A case's headers, each with its name as key; none if a value is not UTF-8.
fn headers(value: &Value) -> Result<Option<Headers>, String> {
    let mut headers = Headers::new();
    for name in value["header"].as_object().ok_or("field header is missing")?.keys() {
        let mut values = Vec::new();
        for text in texts(&value["header"], name)? {
            let bytes = match text.strip_prefix("hex:") {
                Some(digits) => hex::decode(digits).map_err(|error| error.to_string())?,
                None => text.as_bytes().to_vec(),
            };
            match String::from_utf8(bytes) {
                Ok(text) => values.push(text),
                Err(_) => return Ok(None),
            }
        }
        headers.insert(
            name.clone(),
            Header {
                key: name.clone(),
                values,
            },
        );
    }
    Ok(Some(headers))
}

fn same_headers(ours: &Headers, value: &Value) -> Result<(), String> {
    let theirs = headers(value)?.ok_or("a header is not UTF-8")?;
    let plain = |headers: &Headers| -> Vec<_> {
        headers
            .iter()
            .map(|(name, header)| (name.clone(), header.values.clone()))
            .collect()
    };
    same("headers", plain(ours), plain(&theirs))
}

fn read_request(case: &Value, input: &Bytes) -> Result<Option<Bytes>, String> {
    let Ok(request) = decode_http_request(input) else {
        return Ok(None);
    };
    let value = &case["value"];
    same("method", request.method.as_str(), text(value, "method")?)?;
    same("url", request.url.as_str(), text(value, "url")?)?;
    same("body", request.body_bz.to_vec(), bytes(value, "body")?)?;
    same_headers(&request.header, value)?;
    Ok(Some(encode_http_request(&request)))
}

fn read_response(case: &Value, input: &Bytes) -> Result<Option<Bytes>, String> {
    let Ok(response) = decode_http_response(input) else {
        return Ok(None);
    };
    let value = &case["value"];
    same("status", response.status_code, number(value, "status_code")?)?;
    same("body", response.body_bz.to_vec(), bytes(value, "body")?)?;
    same_headers(&response.header, value)?;
    Ok(Some(encode_http_response(&response)))
}
