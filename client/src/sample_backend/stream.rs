//! Streams of server-sent events or NDJSON.
//!
//! They are asked for by a field `batches` in a JSON body, by `Accept`, or by a path that ends in `/sse` or `/ndjson`.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::request::Parts;
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};

use super::{Answer, Call};

/// How many batches, when it is not said.
const USUAL_BATCHES: u64 = 3;

/// How batches are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `data:` lines, each with an empty line after it.
    Events,
    /// JSON lines.
    Lines,
}

/// A stream as it was asked for.
pub(super) struct Wanted {
    form: Form,
    batches: u64,
    /// Of a JSON-RPC call.
    id: Value,
}

/// The stream that is asked for; `None` if none is.
pub(super) fn wanted(head: &Parts, body: &[u8]) -> Option<Wanted> {
    let call: Value = serde_json::from_slice(body).unwrap_or_default();
    let batches = call["batches"].as_u64();
    let accepts = |media_type: &str| {
        let accept = head.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        accept.is_some_and(|accept| accept.contains(media_type))
    };
    let path = head.uri.path();
    let form = if path.ends_with("/ndjson") {
        Form::Lines
    } else if path.ends_with("/sse") || accepts("text/event-stream") {
        Form::Events
    } else if accepts("application/x-ndjson") {
        Form::Lines
    } else {
        batches.map(|_| Form::Events)?
    };
    Some(Wanted {
        form,
        batches: batches.unwrap_or(USUAL_BATCHES),
        id: call["id"].clone(),
    })
}

/// One batch after the other, with pauses between them.
pub(super) fn answer(wanted: Wanted, call: Call) -> Response<Answer> {
    let media_type = match wanted.form {
        Form::Events => "text/event-stream",
        Form::Lines => "application/x-ndjson",
    };
    let batches = stream::unfold((wanted, call, 0), |(wanted, call, sent)| async move {
        if sent == wanted.batches {
            return None;
        }
        if sent > 0 && call.behaviour.batch_pause > Duration::ZERO {
            tokio::time::sleep(call.behaviour.batch_pause).await;
        }
        let batch = wanted.batch(sent, &call);
        Some((Ok::<_, Infallible>(Frame::data(batch)), (wanted, call, sent + 1)))
    });
    let mut answer = Response::new(StreamBody::new(batches).boxed_unsync());
    let media_type = HeaderValue::from_static(media_type);
    answer.headers_mut().insert(header::CONTENT_TYPE, media_type);
    answer
}

impl Wanted {
    fn batch(&self, index: u64, call: &Call) -> Bytes {
        let mut said = json!({
            "jsonrpc": "2.0",
            "id": self.id,
            "result": { "call": call.number, "batch": index + 1, "of": self.batches },
        });
        let missing = call.behaviour.answer_bytes.saturating_sub(said.to_string().len());
        if missing > 0 {
            said["padding"] = "x".repeat(missing).into();
        }
        match self.form {
            Form::Events => format!("data: {said}\n\n").into(),
            Form::Lines => format!("{said}\n").into(),
        }
    }
}
