//! A relay as a gRPC call (spec `relay.md` §5.13).

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use percent_encoding::percent_decode;

use super::{ReceivedAnswer, Transport, broken, refused};
use crate::call::FRAME_PREFIX;
use crate::{RelayError, SignedRelay};

const METHOD: &str = "/pocket.service.RelayService/SendRelay";

impl Transport {
    pub(super) async fn call(&self, relay: &SignedRelay) -> Result<ReceivedAnswer, RelayError> {
        let mut body = BytesMut::with_capacity(FRAME_PREFIX + relay.bytes.len());
        body.put_u8(0);
        body.put_u32(relay.bytes.len() as u32);
        body.put(relay.bytes.clone());
        let mut request = Request::new(Full::new(body.freeze()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = method_uri(&self.uri);
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert("rpc-type", HeaderValue::from_static(relay.mode().header_value()));
        let answer = self.calls.request(request).await.map_err(|error| broken(&error))?;
        let (head, body) = answer.into_parts();
        if head.status != StatusCode::OK {
            return Err(refused(head.status, body).await);
        }
        let limit = self.max_answer_bytes;
        let collected = match Limited::new(body, limit).collect().await {
            Ok(collected) => collected,
            Err(error) if error.is::<LengthLimitError>() => return Err(RelayError::TooLong(limit)),
            Err(error) => return Err(broken(error.as_ref())),
        };
        // A call without a message has its status where the others have their headers.
        let trailers = collected.trailers().unwrap_or(&head.headers);
        check_status(trailers)?;
        message(collected.to_bytes()).map(ReceivedAnswer::whole)
    }
}

fn method_uri(relayer: &Uri) -> Uri {
    let mut parts = relayer.clone().into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static(METHOD));
    Uri::from_parts(parts).expect("the path is one, all else is as it was")
}

fn check_status(trailers: &HeaderMap) -> Result<(), RelayError> {
    let text = |name| trailers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
    let code = std::str::from_utf8(text("grpc-status")).unwrap_or_default();
    match code.trim().parse() {
        Ok(0) => Ok(()),
        Ok(code) => Err(RelayError::Status {
            code,
            message: percent_decode(text("grpc-message")).decode_utf8_lossy().into_owned(),
        }),
        Err(_) => Err(RelayError::Connection("the call ended without a status".to_owned())),
    }
}

/// The one message of a body.
fn message(mut body: Bytes) -> Result<Bytes, RelayError> {
    let malformed = |text: &str| Err(RelayError::Malformed(text.to_owned()));
    if body.len() < FRAME_PREFIX {
        return malformed("no message in the call's answer");
    }
    let prefix = body.split_to(FRAME_PREFIX);
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    if prefix[0] != 0 {
        return malformed("a compressed message, which was not asked for");
    }
    if body.len() != length as usize {
        return malformed("the call's answer is not one message");
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_told_with_its_words() {
        let trailers = |code: &'static str| {
            let pairs = [("grpc-status", code), ("grpc-message", "no %C3%A4")];
            pairs
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
                .into_iter()
                .collect::<HeaderMap>()
        };
        assert!(check_status(&trailers("0")).is_ok());
        let refused = check_status(&trailers("7")).unwrap_err();
        assert!(
            matches!(&refused, RelayError::Status { code: 7, message } if message == "no ä"),
            "{refused}"
        );
        assert!(matches!(
            check_status(&HeaderMap::new()),
            Err(RelayError::Connection(_))
        ));
    }

    #[test]
    fn body_is_exactly_one_message() {
        assert_eq!(message(Bytes::from_static(&[0, 0, 0, 0, 1, 9])).unwrap(), [9][..]);
        for wrong in [
            &[0, 0, 0, 0][..],
            &[1, 0, 0, 0, 1, 9],
            &[0, 0, 0, 0, 2, 9],
            &[0, 0, 0, 0, 0, 9],
        ] {
            assert!(message(Bytes::copy_from_slice(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn method_is_called_at_the_relayers_own_root() {
        let uri = method_uri(&"http://a:1/b/svc-grpc".parse().unwrap());
        assert_eq!(uri, "http://a:1/pocket.service.RelayService/SendRelay");
    }
}
