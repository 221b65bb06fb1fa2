//! Exported keys: the SDK's ASCII armour, sealed with a passphrase.
//!
//! Header lines `kdf`, `salt` (hex) and `type`, an empty line, base64, and a checksum line. The salt
//! and the passphrase make the key; the content is an amino-encoded private key. Two ages exist:
//! Argon2id with ChaCha20-Poly1305 (nonce zero), and bcrypt with XSalsa20-Poly1305 (nonce in front).

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::XSalsa20Poly1305;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{KeyFault, SigningKey};

const BEGIN: &str = "-----BEGIN TENDERMINT PRIVATE KEY-----";
const END: &str = "-----END TENDERMINT PRIVATE KEY-----";
/// Amino's name of a secp256k1 private key, and its length: 32 bytes follow.
const AMINO_SECP256K1: [u8; 5] = [0xe1, 0xb0, 0xf7, 0x9b, 0x20];
const BCRYPT_COST: u32 = 12;

struct Armor<'a> {
    kdf: &'a str,
    salt: [u8; 16],
    algorithm: &'a str,
    content: Vec<u8>,
}

impl SigningKey {
    /// The key in an armoured export, opened with the passphrase it was exported with.
    pub fn from_armored(text: &str, passphrase: &str) -> Result<Self, KeyFault> {
        let armor = parse(text)?;
        if armor.algorithm != "secp256k1" {
            return Err(KeyFault::Algorithm(armor.algorithm.to_owned()));
        }
        let opened = match armor.kdf {
            "argon2" => open_argon2(&armor, passphrase)?,
            "bcrypt" => open_bcrypt(&armor, passphrase)?,
            other => return Err(KeyFault::Unsupported(format!("kdf {other}"))),
        };
        match opened.strip_prefix(&AMINO_SECP256K1) {
            Some(key) => Ok(Self::from_bytes(key)?),
            None => Err(KeyFault::Algorithm("another".to_owned())),
        }
    }
}

fn open_argon2(armor: &Armor<'_>, passphrase: &str) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let params = Params::new(64 * 1024, 1, 4, Some(32)).expect("these parameters are in Argon2's range");
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), &armor.salt, key.as_mut())
        .map_err(|_| KeyFault::WrongPassword)?;
    ChaCha20Poly1305::new_from_slice(key.as_ref())
        .expect("the key has 32 bytes")
        .decrypt(&[0; 12].into(), armor.content.as_slice())
        .map(Zeroizing::new)
        .map_err(|_| KeyFault::WrongPassword)
}

/// The key is the SHA-256 of the text that bcrypt makes.
fn open_bcrypt(armor: &Armor<'_>, passphrase: &str) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let hash = bcrypt::hash_with_salt(passphrase, BCRYPT_COST, armor.salt)
        .map_err(|_| KeyFault::WrongPassword)?
        .format_for_version(bcrypt::Version::TwoA);
    let key = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(Zeroizing::new(hash).as_bytes())));
    let (nonce, sealed) = armor
        .content
        .split_first_chunk::<24>()
        .ok_or(KeyFault::Damaged("its content is cut short"))?;
    XSalsa20Poly1305::new_from_slice(key.as_ref())
        .expect("the key has 32 bytes")
        .decrypt(&(*nonce).into(), sealed)
        .map(Zeroizing::new)
        .map_err(|_| KeyFault::WrongPassword)
}

/// Exports older than the `type` header hold secp256k1 keys.
fn parse(text: &str) -> Result<Armor<'_>, KeyFault> {
    let (_, rest) = text
        .split_once(BEGIN)
        .ok_or(KeyFault::Damaged("its BEGIN line is missing"))?;
    let (inner, _) = rest
        .split_once(END)
        .ok_or(KeyFault::Damaged("its END line is missing"))?;
    let (mut kdf, mut salt, mut algorithm) = (None, None, "secp256k1");
    let (mut encoded, mut checksum) = (String::new(), None);
    for line in inner.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(": ") {
            match name {
                "kdf" => kdf = Some(value),
                "salt" => salt = Some(value),
                "type" => algorithm = value,
                _ => {}
            }
        } else if let Some(sum) = line.strip_prefix('=') {
            checksum = Some(sum);
        } else {
            encoded.push_str(line);
        }
    }
    let content = STANDARD
        .decode(&encoded)
        .map_err(|_| KeyFault::Damaged("its content is not base64"))?;
    // The checksum tells damage from a wrong passphrase, which the seal alone cannot.
    if checksum.is_some_and(|sum| sum != STANDARD.encode(crc24(&content))) {
        return Err(KeyFault::Damaged("its checksum is wrong"));
    }
    let mut salt_bytes = [0; 16];
    hex::decode_to_slice(salt.ok_or(KeyFault::Missing("salt"))?, &mut salt_bytes)
        .map_err(|_| KeyFault::Damaged("its salt is not 16 bytes of hex"))?;
    Ok(Armor {
        kdf: kdf.ok_or(KeyFault::Missing("kdf"))?,
        salt: salt_bytes,
        algorithm,
        content,
    })
}

/// The checksum of `OpenPGP` (RFC 4880 §6.1), big-endian.
fn crc24(bytes: &[u8]) -> [u8; 3] {
    let mut sum: u32 = 0x00b7_04ce;
    for byte in bytes {
        sum ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            sum <<= 1;
            if sum & 0x0100_0000 != 0 {
                sum ^= 0x0186_4cfb;
            }
        }
    }
    let [_, high, middle, low] = sum.to_be_bytes();
    [high, middle, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An export of the age before Argon2, passphrase `123456789`: a published sample of the SDK.
    const BCRYPT: &str = "-----BEGIN TENDERMINT PRIVATE KEY-----\n\
        salt: A790BB721D1C094260EA84F5E5B72289\nkdf: bcrypt\n\n\
        HbP+c6JmeJy9JXe2rbbF1QtCX1gLqGcDQPBXiCtFvP7/8wTZtVOPj8vREzhZ9ElO\n\
        3P7YnrzPQThG0Q+ZnRSbl9MAS8uFAM4mqm5r/Ys=\n=f3l4\n-----END TENDERMINT PRIVATE KEY-----\n";

    #[test]
    fn old_export_is_opened_with_its_passphrase_only() {
        assert!(SigningKey::from_armored(BCRYPT, "123456789").is_ok());
        let wrong = SigningKey::from_armored(BCRYPT, "987654321");
        assert!(matches!(wrong, Err(KeyFault::WrongPassword)));
    }

    #[test]
    fn changed_export_is_damaged_whatever_the_passphrase() {
        let changed = BCRYPT.replace("HbP+", "HbQ+");
        let fault = SigningKey::from_armored(&changed, "123456789").unwrap_err();
        assert!(matches!(fault, KeyFault::Damaged("its checksum is wrong")), "{fault}");
    }

    #[test]
    fn missing_parts_are_named() {
        let fault = |text: &str| SigningKey::from_armored(text, "").unwrap_err();
        assert!(matches!(fault(""), KeyFault::Damaged(_)));
        assert!(matches!(
            fault(&BCRYPT.replace("kdf: bcrypt\n", "")),
            KeyFault::Missing("kdf")
        ));
        assert!(matches!(
            fault(&BCRYPT.replace("bcrypt", "scrypt")),
            KeyFault::Unsupported(_)
        ));
        let ed25519 = BCRYPT.replace("kdf:", "type: ed25519\nkdf:");
        assert!(matches!(fault(&ed25519), KeyFault::Algorithm(_)));
    }
}
