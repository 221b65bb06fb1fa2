//! Ring signatures over secp256k1, as the chain verifies them: the back-linkable scheme of its Go
//! library. Pure: bytes in, verdicts out; no I/O, no async, no clock, no logging.
//!
//! A relay's request is signed by some member of its application's ring: the application or one of
//! its gateways. Verifying that is most of a relay's cost, hence the arithmetic of our own in
//! `field`, `point` and `pile`. All of it is variable time: verification knows nothing secret, and
//! [`sign()`] leaves the secret multiplications to k256. Source: spec relay.md §3.

mod field;
mod halves;
mod hash;
mod inverse;
mod key;
mod large_table;
mod multiples;
mod pile;
mod point;
mod scalar;
mod shelf;
mod sign;
mod signature;
mod signer;
mod small_table;
mod trace;
mod verify;

pub use hash::{HashedPoint, HashedScalar, hash_to_point, hash_to_scalar};
pub use key::{InvalidPrivateKey, InvalidPublicKey, PrivateKey, PublicKey};
pub use point::CompressedPoint;
pub use scalar::Scalar;
pub use sign::{SignError, sign};
pub use signature::{ParseError, RingSignature};
pub use signer::Signer;
pub use trace::{Step, closes, trace};
pub use verify::{Limits, Verifier, VerifyError};
