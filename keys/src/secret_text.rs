//! Text that is wiped when it is dropped.

use serde::Deserialize;
use zeroize::ZeroizeOnDrop;

/// A secret field of a file. It has no `Debug`.
#[derive(Default, Deserialize, ZeroizeOnDrop)]
#[serde(transparent)]
pub(crate) struct SecretText(String);

impl SecretText {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}
