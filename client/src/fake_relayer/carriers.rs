//! What the fake relayer's answers travel on, besides plain HTTP.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use pocket_proto::pocket::service::{RelayRequest, RelayRequestMetadata};
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::envelope::decode_http_request;
use pocket_protocol::relay::encode_response;
use pocket_websocket::{Kind, Message, MessageCodec, Role};
use prost::Message as _;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::codec::Framed;

use super::{Body, Manner, Shared, refusal, whole};

/// Batches of a stream, messages after a subscription.
const PIECES: usize = 3;
const DELIMITER: &[u8] = b"||POKT_STREAM||";

pub(super) fn is_call(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value == "application/grpc")
}

/// A call's answer, its status in the trailers.
pub(super) fn call(message: &Bytes) -> Response<Body> {
    let length = (message.len() as u32).to_be_bytes();
    let frame = [&[0][..], &length, message].concat();
    let frames = [
        Ok::<_, io::Error>(Frame::data(frame.into())),
        Ok(Frame::trailers(status("0"))),
    ];
    Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync())
}

/// A call that ends with its headers.
pub(super) fn refused_call(code: u16) -> Response<Body> {
    let mut answer = whole(Bytes::new());
    *answer.headers_mut() = status(&code.to_string());
    answer
        .headers_mut()
        .insert("grpc-message", HeaderValue::from_static("no%21"));
    answer
}

fn status(code: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), code.parse().unwrap())])
}

pub(super) fn wants_stream(request: &RelayRequest) -> bool {
    decode_http_request(&request.payload).is_ok_and(|envelope| {
        let accept = envelope.header.get("Accept");
        accept.is_some_and(|accept| accept.values[0].contains("text/event-stream"))
    })
}

impl Shared {
    pub(super) fn stream(&self, request: &RelayRequest) -> Response<Body> {
        let breaks_off = matches!(self.manner, Manner::BreakOff);
        let whole_pieces = if breaks_off { 2 } else { PIECES };
        let pieces =
            (0..whole_pieces).map(|index| Ok(Frame::data([&self.piece(request, index), DELIMITER].concat().into())));
        let end = breaks_off.then(|| Err(io::Error::other("broken off")));
        let frames: Vec<_> = pieces.chain(end).collect();
        // One after the other, or the break would overtake what is before it.
        let frames = stream::iter(frames).then(|frame| async {
            tokio::task::yield_now().await;
            frame
        });
        let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
        let media_type = HeaderValue::from_static("text/event-stream");
        answer.headers_mut().insert(header::CONTENT_TYPE, media_type);
        answer
    }

    pub(super) fn open_socket(self: Arc<Self>, mut request: Request<Incoming>) -> Response<Body> {
        if let Manner::Refuse(status) = self.manner {
            return refusal(status);
        }
        let headers = request.headers();
        if !self.ring_holds(&handshake_request(headers)) {
            return refusal(403);
        }
        let accept = derive_accept_key(headers[header::SEC_WEBSOCKET_KEY].as_bytes());
        let mut answer = whole(Bytes::new());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        for (name, value) in [
            (header::CONNECTION, "Upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_ACCEPT, &accept),
        ] {
            answer.headers_mut().insert(name, value.parse().unwrap());
        }
        let upgrade = hyper::upgrade::on(&mut request);
        let shared = self.clone();
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.sockets.lock().unwrap().spawn(async move {
            let upgraded = TokioIo::new(upgrade.await.unwrap());
            let mut frames = Framed::new(upgraded, MessageCodec::new(Role::Server, 1 << 20));
            // A client that went away.
            let _ = shared.converse(&mut frames).await;
        });
        answer
    }

    async fn converse<T>(&self, frames: &mut Framed<T, MessageCodec>) -> Result<(), pocket_websocket::FrameError>
    where
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        while let Some(message) = frames.next().await {
            let Message::Data(_, frame) = message? else { continue };
            let request = RelayRequest::decode(frame).unwrap();
            if !self.ring_holds(&request) {
                return frames.send(close(4001)).await;
            }
            let pieces = match self.manner {
                Manner::Silent => std::future::pending().await,
                Manner::BreakOff => 2,
                _ if request.payload.starts_with(b"subscribe") => PIECES,
                _ => 1,
            };
            // Pings come between, and an answer in text, as a backend gives it.
            frames.send(Message::Ping(Bytes::from_static(b"?"))).await?;
            for index in 0..pieces {
                let payload = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{index}}}"#);
                let response = self.response(&request, payload.into(), index);
                let message = Message::Data(Kind::Text, encode_response(&response));
                frames.send(message).await?;
            }
            if let Manner::BreakOff = self.manner {
                return frames.send(close(4000)).await;
            }
            self.said_all.notify_one();
            self.arrived.lock().unwrap().push(super::Arrived {
                headers: HeaderMap::new(),
                path: String::new(),
                request,
            });
        }
        Ok(())
    }
}

fn close(code: u16) -> Message {
    Message::Close([&code.to_be_bytes()[..], b"why"].concat().into())
}

/// What the handshake's headers say was signed.
fn handshake_request(headers: &HeaderMap) -> RelayRequest {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let signature = base64::engine::general_purpose::STANDARD
        .decode(text("pocket-signature"))
        .unwrap();
    RelayRequest {
        meta: Some(RelayRequestMetadata {
            session_header: Some(SessionHeader {
                application_address: text("app-address"),
                service_id: text("target-service-id"),
                session_id: text("pocket-session-id"),
                session_start_block_height: text("pocket-session-start-height").parse().unwrap(),
                session_end_block_height: text("pocket-session-end-height").parse().unwrap(),
            }),
            signature: signature.into(),
            supplier_operator_address: text("pocket-supplier-address"),
        }),
        payload: Bytes::new(),
    }
}
