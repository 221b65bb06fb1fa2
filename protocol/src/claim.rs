//! What a claim is worth, and whether and how it must be proven (spec `claims-and-proofs.md` §3, §5, §6).

use pocket_proto::pocket::proof::{Claim, MsgCreateClaim, MsgSubmitProof, Params as ProofParams};
use pocket_proto::pocket::session::SessionHeader;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::address::{AddressError, check_account};
use crate::admission::{HeaderError, basic_header};
use crate::go_rand;
use crate::types::{ComputeUnits, Upokt};

/// Bytes of a root: 32 of hash, 8 of sum, 8 of count, big-endian.
pub const ROOT_BYTES: usize = 48;

/// What is wrong with a claim or proof message, whatever the chain's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The supplier is no account address.
    #[error("supplier's operator address: {0}")]
    Supplier(#[from] AddressError),
    /// There is no session header.
    #[error("the session header is missing")]
    NoHeader,
    /// The session header is malformed.
    #[error("session header: {0}")]
    Header(#[from] HeaderError),
    /// The root is malformed, or of an empty tree.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The proof is empty.
    #[error("the proof is empty")]
    NoProof,
}

/// Why a root cannot be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// Not 48 bytes.
    #[error("a root has {ROOT_BYTES} bytes, not {0}")]
    Length(usize),
    /// A tree without leaves.
    #[error("the tree is empty")]
    NoRelays,
    /// Leaves without weight.
    #[error("the tree's sum is 0")]
    NoComputeUnits,
}

/// Sum and count of a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootTotals {
    /// The leaves' weights together, modulo 2^64.
    pub sum: ComputeUnits,
    /// How many leaves.
    pub count: u64,
}

impl RootTotals {
    /// Reads the totals of a root that may be claimed: neither is 0.
    pub fn of(root: &[u8]) -> Result<Self, RootError> {
        let root: &[u8; ROOT_BYTES] = root.try_into().map_err(|_| RootError::Length(root.len()))?;
        let (_, totals) = root.split_last_chunk::<16>().expect("48 bytes end in 16");
        let totals = u128::from_be_bytes(*totals);
        let (sum, count) = ((totals >> 64) as u64, totals as u64);
        if count == 0 {
            return Err(RootError::NoRelays);
        }
        if sum == 0 {
            return Err(RootError::NoComputeUnits);
        }
        Ok(Self {
            sum: ComputeUnits(sum),
            count,
        })
    }
}

/// The chain's stateless check of a claim message.
pub fn basic_create_claim(message: &MsgCreateClaim) -> Result<(), MessageError> {
    check_account(&message.supplier_operator_address)?;
    check_header(message.session_header.as_ref())?;
    RootTotals::of(&message.root_hash)?;
    Ok(())
}

/// The chain's stateless check of a proof message. The proof's bytes are not looked into.
pub fn basic_submit_proof(message: &MsgSubmitProof) -> Result<(), MessageError> {
    check_account(&message.supplier_operator_address)?;
    check_header(message.session_header.as_ref())?;
    if message.proof.is_empty() {
        return Err(MessageError::NoProof);
    }
    Ok(())
}

fn check_header(header: Option<&SessionHeader>) -> Result<(), MessageError> {
    Ok(basic_header(header.ok_or(MessageError::NoHeader)?)?)
}

/// The claim that the chain stores for a message.
pub fn claim_of(message: &MsgCreateClaim) -> Claim {
    Claim {
        supplier_operator_address: message.supplier_operator_address.clone(),
        session_header: message.session_header.clone(),
        root_hash: message.root_hash.clone(),
        proof_validation_status: 0,
    }
}

/// SHA-256 of the stored claim, whose status counts if it is not pending (spec §5.1).
pub fn claim_hash(claim: &Claim) -> [u8; 32] {
    Sha256::digest(claim.encode_to_vec()).into()
}

/// The path in the tree that a proof must open (spec §6). The block is the one before the proof
/// window opens; the session id is hashed as text.
pub fn proof_path(seed_block_hash: &[u8], session_id: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(seed_block_hash)
        .chain_update(session_id)
        .finalize()
        .into()
}

/// The claim's draw, in [0, 1): a proof is due if it is at most the probability (spec §5.2). The
/// block is the one before the proof window opens.
pub fn sample(claim: &Claim, seed_block_hash: &[u8]) -> f64 {
    let digest = Sha256::new()
        .chain_update(claim_hash(claim))
        .chain_update(seed_block_hash)
        .finalize();
    go_rand::first_float64(sample_seed(&digest.into()))
}

/// The seed of a draw: the signed varint that a digest begins with, 0 if it passes 64 bits.
pub fn sample_seed(digest: &[u8; 32]) -> i64 {
    go_rand::signed_varint(digest).map_or(0, |(seed, _)| seed)
}

/// Whether a claim needs a proof, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProofRequirement {
    /// Neither worth enough nor drawn.
    NotRequired,
    /// Drawn by chance.
    Probabilistic,
    /// Worth the threshold or more.
    Threshold,
}

/// The chain's decision (spec §5), repeated by it at submission and at settlement. The block is the
/// one before the proof window opens; `terms` are the live ones each time.
pub fn proof_requirement(
    claim: &Claim,
    claimed: Upokt,
    seed_block_hash: &[u8],
    terms: &ProofTerms,
) -> ProofRequirement {
    if claimed >= terms.requirement_threshold {
        ProofRequirement::Threshold
    } else if sample(claim, seed_block_hash) <= terms.request_probability {
        ProofRequirement::Probabilistic
    } else {
        ProofRequirement::NotRequired
    }
}

/// The proof module's parameters, read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProofTerms {
    /// A claim that draws this or less is proven.
    pub request_probability: f64,
    /// A claim worth this or more is proven.
    pub requirement_threshold: Upokt,
    /// What a missing proof costs the supplier.
    pub missing_penalty: Upokt,
    /// What each proof costs besides gas.
    pub submission_fee: Upokt,
}

/// An amount among the proof module's parameters is missing or no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof parameter {0} is missing or no amount")]
pub struct ProofTermsError(pub &'static str);

impl TryFrom<&ProofParams> for ProofTerms {
    type Error = ProofTermsError;

    fn try_from(params: &ProofParams) -> Result<Self, ProofTermsError> {
        let amount = |coin: &Option<pocket_proto::cosmos::base::v1beta1::Coin>, name| {
            let amount = coin.as_ref().and_then(|coin| coin.amount.parse().ok());
            amount.map(Upokt).ok_or(ProofTermsError(name))
        };
        Ok(Self {
            request_probability: params.proof_request_probability,
            requirement_threshold: amount(&params.proof_requirement_threshold, "proof_requirement_threshold")?,
            missing_penalty: amount(&params.proof_missing_penalty, "proof_missing_penalty")?,
            submission_fee: amount(&params.proof_submission_fee, "proof_submission_fee")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The claim of spec §17.
    fn claim() -> Claim {
        let root = "5f104a46ad23fa00c2746d3ccee8f79ef6b3c4e8b6275b58accf97719405a480\
                    000000000000a41000000000000003e8";
        let header = SessionHeader {
            application_address: "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4".into(),
            service_id: "svc1".into(),
            session_id: "2f21730453bee5dfdb1529b3c5a902d58c1d5091fee0c45672b2bf42d8d9f8c7".into(),
            session_start_block_height: 61,
            session_end_block_height: 120,
        };
        claim_of(&MsgCreateClaim {
            supplier_operator_address: "pokt1v6ja23y6xg0h3wjkfxnz44qkct5tqjq8gsd4s7".into(),
            session_header: Some(header),
            root_hash: hex::decode(root).unwrap().into(),
        })
    }

    fn block_hash() -> Vec<u8> {
        hex::decode("abcdef0123456789".repeat(4)).unwrap()
    }

    #[test]
    fn hash_and_sample_depend_on_the_status() {
        let known = [
            (
                "99a13b6d7bfb4bb0494fefc17bc71c42025a4b3f199021b3f5b2a59ada2a06cf",
                0.586_880_349_299_309_2,
            ),
            (
                "4aed11dddce29fef37ec48d95db81d386523fa047420ce1a9aef966ace91837c",
                0.169_723_147_902_359,
            ),
            (
                "aeb3d4fbacd34ce039b6e43c1614d89f6287d42efaade09bfc0417b58cc06993",
                0.767_824_560_189_317,
            ),
        ];
        for (status, (hash, drawn)) in (0..).zip(known) {
            let claim = Claim {
                proof_validation_status: status,
                ..claim()
            };
            assert_eq!(hex::encode(claim_hash(&claim)), hash);
            assert_eq!(sample(&claim, &block_hash()).to_bits(), f64::to_bits(drawn));
        }
    }

    #[test]
    fn amount_at_the_threshold_needs_a_proof() {
        let terms = ProofTerms {
            request_probability: 0.0,
            requirement_threshold: Upokt(100),
            missing_penalty: Upokt(0),
            submission_fee: Upokt(0),
        };
        let required = |claimed, terms: &ProofTerms| proof_requirement(&claim(), Upokt(claimed), &block_hash(), terms);
        assert_eq!(required(100, &terms), ProofRequirement::Threshold);
        assert_eq!(required(99, &terms), ProofRequirement::NotRequired);
        let certain = ProofTerms {
            request_probability: 1.0,
            ..terms
        };
        assert_eq!(required(99, &certain), ProofRequirement::Probabilistic);
        let drawn = ProofTerms {
            request_probability: sample(&claim(), &block_hash()),
            ..terms
        };
        assert_eq!(required(99, &drawn), ProofRequirement::Probabilistic);
    }

    #[test]
    fn root_of_an_empty_tree_is_refused() {
        let mut root = [1; ROOT_BYTES];
        root[32..].fill(0);
        assert_eq!(RootTotals::of(&root), Err(RootError::NoRelays));
        root[47] = 5;
        assert_eq!(RootTotals::of(&root), Err(RootError::NoComputeUnits));
        root[32] = 1;
        assert_eq!(
            RootTotals::of(&root),
            Ok(RootTotals {
                sum: ComputeUnits(1 << 56),
                count: 5
            })
        );
        assert_eq!(RootTotals::of(&root[1..]), Err(RootError::Length(47)));
    }

    #[test]
    fn overflowing_varint_seeds_0() {
        assert_eq!(sample_seed(&Sha256::digest("").into()), -69_766_194);
        assert_eq!(sample_seed(&Sha256::digest("ovf-267").into()), 0);
    }
}
