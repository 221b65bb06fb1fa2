//! The question and answer of `grpc.health.v1.Health/Check`, as they stand in a body.

use bytes::Bytes;

/// Where it is asked.
pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";
/// `HealthCheckResponse.ServingStatus.SERVING`.
const SERVING: u8 = 1;
/// Tag of a varint in field 1.
const STATUS_TAG: u8 = 0x08;

/// One length-prefixed `HealthCheckRequest`, for a service or, when empty, for the whole server.
pub(super) fn question(service: &str) -> Bytes {
    let name = service.as_bytes();
    let mut message = Vec::with_capacity(name.len() + 12);
    if !name.is_empty() {
        // Field 1, a string. Its length is a varint.
        message.push(0x0a);
        let mut length = name.len();
        while length >= 0x80 {
            message.push(length as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(name);
    }
    let mut body = vec![0];
    body.extend_from_slice(&(message.len() as u32).to_be_bytes());
    body.extend_from_slice(&message);
    body.into()
}

/// Whether a body is one uncompressed `HealthCheckResponse` that says `SERVING`.
pub(super) fn is_serving(body: &[u8]) -> bool {
    let [0, a, b, c, d, message @ ..] = body else {
        return false;
    };
    let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    message.len() == length && message == [STATUS_TAG, SERVING]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_is_a_prefixed_message() {
        assert_eq!(question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(question("a.B")[..], [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        let long = "x".repeat(200);
        assert_eq!(question(&long)[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
    }

    #[test]
    fn only_serving_serves() {
        assert!(is_serving(&[0, 0, 0, 0, 2, 8, 1]));
        for other in [
            &[0, 0, 0, 0, 2, 8, 2][..],
            &[0, 0, 0, 0, 0],
            &[],
            &[1, 0, 0, 0, 2, 8, 1],
        ] {
            assert!(!is_serving(other), "{other:?}");
        }
    }
}
