//! Keys from words: BIP-39 and BIP-32.

use bip32::{DerivationPath, XPrv};
use bip39::{Language, Mnemonic};
use zeroize::Zeroizing;

use crate::{SigningKey, SigningKeyError};

/// The path that wallets and the chain's own program derive an account's first key with.
pub const COSMOS_PATH: &str = "m/44'/118'/0'/0/0";

/// Why words gave no key. Never says what the words were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MnemonicError {
    /// Not 12, 15, 18, 21 or 24 words.
    #[error("a mnemonic has 12, 15, 18, 21 or 24 words, this one {0}")]
    WordCount(usize),
    /// A word that is not in the English list.
    #[error("word {0} (from 1) is not in the English list")]
    Word(usize),
    /// The words are of the list, but they do not belong together.
    #[error("the words' checksum is wrong: one is another, or they are out of order")]
    Checksum,
    /// Not of the form `m/44'/118'/0'/0/0`.
    #[error("the derivation path is not of the form m/44'/118'/0'/0/0")]
    Path,
    /// The derived number is no key; so rare that it never happens by chance.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
}

impl SigningKey {
    /// The key of an English mnemonic. The passphrase, which is mostly empty, is taken as its bytes
    /// stand, as the Cosmos SDK does, and not in BIP-39's normal form.
    ///
    /// ```
    /// use pocket_keys::{COSMOS_PATH, SigningKey};
    /// let words = "abandon abandon abandon abandon abandon abandon \
    ///              abandon abandon abandon abandon abandon about";
    /// let key = SigningKey::from_mnemonic(words, "", COSMOS_PATH)?;
    /// assert!(key.address().as_str().starts_with("pokt1"));
    /// # Ok::<(), pocket_keys::MnemonicError>(())
    /// ```
    pub fn from_mnemonic(words: &str, passphrase: &str, path: &str) -> Result<Self, MnemonicError> {
        let path: DerivationPath = path.parse().map_err(|_| MnemonicError::Path)?;
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, words).map_err(|error| match error {
            bip39::Error::BadWordCount(count) => MnemonicError::WordCount(count),
            bip39::Error::UnknownWord(index) => MnemonicError::Word(index + 1),
            _ => MnemonicError::Checksum,
        })?;
        let seed = Zeroizing::new(mnemonic.to_seed_normalized(passphrase));
        let key = XPrv::derive_from_path(seed.as_ref(), &path).map_err(|_| SigningKeyError::Range)?;
        let bytes = Zeroizing::new(<[u8; 32]>::from(key.private_key().to_bytes()));
        Ok(Self::from_bytes(bytes.as_ref())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_words_are_told_by_position() {
        let fault = |words: &str| SigningKey::from_mnemonic(words, "", COSMOS_PATH).unwrap_err();
        assert_eq!(fault("abandon about"), MnemonicError::WordCount(2));
        assert_eq!(fault(&"abandon ".repeat(12)), MnemonicError::Checksum);
        assert_eq!(
            fault(&format!("abandon secret2 {}", "abandon ".repeat(10))),
            MnemonicError::Word(2)
        );
        let words = format!("{}about", "abandon ".repeat(11));
        assert_eq!(
            SigningKey::from_mnemonic(&words, "", "44/118").unwrap_err(),
            MnemonicError::Path
        );
    }
}
