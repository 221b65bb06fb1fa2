//! Files sealed as compact JWE (RFC 7516): PBES2-HS256+A128KW wraps the content key, A256GCM seals.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use aes_kw::KekAes128;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::KeyFault;

/// Keyrings use 8192 rounds; more than this would only stall the start on a damaged file.
const MOST_ROUNDS: u32 = 2_000_000;

#[derive(Deserialize)]
struct Header {
    alg: String,
    enc: String,
    p2c: u32,
    p2s: String,
}

/// Opens a sealed file.
pub(crate) fn open(file: &[u8], password: &str) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let damaged = KeyFault::Damaged("it is not five parts of base64url, joined by dots");
    let text = std::str::from_utf8(file).unwrap_or_default().trim();
    let parts: Vec<&str> = text.split('.').collect();
    let [header, wrapped_key, nonce, sealed, tag] = parts[..] else {
        return Err(damaged);
    };
    let content_key = unwrap_key(&read_header(header)?, &decode(wrapped_key)?, password)?;

    let nonce: [u8; 12] = decode(nonce)?.try_into().map_err(|_| damaged)?;
    let mut sealed = decode(sealed)?;
    sealed.extend_from_slice(&decode(tag)?);
    let payload = Payload {
        msg: &sealed,
        aad: header.as_bytes(),
    };
    Aes256Gcm::new_from_slice(content_key.as_ref())
        .expect("the content key has 32 bytes")
        .decrypt(&Nonce::from(nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| KeyFault::Damaged("its content does not fit its seal"))
}

fn read_header(part: &str) -> Result<Header, KeyFault> {
    let header: Header =
        serde_json::from_slice(&decode(part)?).map_err(|_| KeyFault::Damaged("its header is not readable"))?;
    if header.alg != "PBES2-HS256+A128KW" || header.enc != "A256GCM" {
        return Err(KeyFault::Unsupported(format!("{} with {}", header.alg, header.enc)));
    }
    if !(1..=MOST_ROUNDS).contains(&header.p2c) {
        return Err(KeyFault::Unsupported(format!("{} rounds of PBKDF2", header.p2c)));
    }
    Ok(header)
}

/// RFC 7518 §4.8: the salt is the algorithm's name, a zero byte and `p2s`.
fn unwrap_key(header: &Header, wrapped: &[u8], password: &str) -> Result<Zeroizing<[u8; 32]>, KeyFault> {
    let mut salt = header.alg.clone().into_bytes();
    salt.push(0);
    salt.extend_from_slice(&decode(&header.p2s)?);
    let mut wrapping = Zeroizing::new([0; 16]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, header.p2c, wrapping.as_mut());
    if wrapped.len() != 40 {
        return Err(KeyFault::Damaged("its wrapped key has not 40 bytes"));
    }
    let mut content_key = Zeroizing::new([0; 32]);
    KekAes128::from(*wrapping)
        .unwrap(wrapped, content_key.as_mut())
        .map_err(|_| KeyFault::WrongPassword)?;
    Ok(content_key)
}

fn decode(part: &str) -> Result<Vec<u8>, KeyFault> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| KeyFault::Damaged("a part of it is not base64url"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLE: &[u8] = include_bytes!("../../../tests/vectors/keyring/keyring-test/supplier1.info");

    #[test]
    fn wrong_password_is_told_from_damage() {
        assert!(open(SAMPLE, "test").is_ok());
        assert!(matches!(open(SAMPLE, "tset"), Err(KeyFault::WrongPassword)));
        let mut changed = SAMPLE.to_vec();
        let last_dot = changed.iter().rposition(|byte| *byte == b'.').unwrap();
        changed[last_dot - 8] ^= 1;
        assert!(matches!(open(&changed, "test"), Err(KeyFault::Damaged(_))));
    }

    #[test]
    fn other_algorithms_and_absurd_round_counts_are_refused() {
        for header in [
            r#"{"alg":"dir","enc":"A256GCM","p2c":1,"p2s":""}"#,
            r#"{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":4000000000,"p2s":""}"#,
        ] {
            let file = format!("{}.AA.AA.AA.AA", URL_SAFE_NO_PAD.encode(header));
            assert!(matches!(open(file.as_bytes(), "test"), Err(KeyFault::Unsupported(_))));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn cut_or_foreign_file_is_an_error_and_no_panic(
            length in 0..SAMPLE.len(),
            foreign in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            prop_assert!(open(&SAMPLE[..length], "test").is_err());
            prop_assert!(open(&foreign, "test").is_err());
        }
    }
}
