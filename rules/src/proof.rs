//! Proofs (spec §4), but for the fee and whether one is asked for.

use bytes::Bytes;
use pocket_proto::pocket::proof::{Claim, MsgSubmitProof};
use pocket_proto::pocket::session::{Session, SessionHeader};
use pocket_protocol::claim::{MessageError, RootTotals, basic_submit_proof, proof_path};
use pocket_protocol::{Height, Windows};
use pocket_ring::{PublicKey, Verifier};
use pocket_smst::{ClosestProof, CompactClosestProof, Digest, ProofError};

use crate::{BrokenRule, RelayFacts, check_proof_window, check_relay, check_session};

/// What the chain knows of a claim that is to be proven.
#[derive(Clone, Copy, Debug)]
pub struct ProofFacts<'a> {
    /// The session of the claim's application, service and start.
    pub session: &'a Session,
    /// By the parameters at the session's end.
    pub windows: Windows,
    /// The claim as the chain holds it.
    pub claim: &'a Claim,
    /// Hash of the block before the proof window.
    pub seed_block_hash: &'a [u8],
    /// The service's difficulty target at the session's start, big-endian.
    pub target: &'a [u8],
    /// The keys that may sign for the application in this session.
    pub ring: &'a [PublicKey],
    /// The key of the supplier's account, compressed.
    pub supplier_key: &'a [u8; 33],
}

/// Whether the chain takes a proof in block `height` and finds it valid, if it asks for one.
///
/// What is wrong with the tree is told before what is wrong with a leaf of it; the chain has another order.
pub fn check_proof(
    message: &MsgSubmitProof,
    facts: &ProofFacts<'_>,
    height: Height,
    verifier: &Verifier,
) -> Result<(), BrokenRule> {
    basic_submit_proof(message)?;
    let operator = &message.supplier_operator_address;
    let given = message.session_header.as_ref().ok_or(MessageError::NoHeader)?;
    check_session(facts.session, given, operator)?;
    // From here on the chain's own header counts.
    let header = facts.session.header.as_ref().ok_or(MessageError::NoHeader)?;
    check_proof_window(&facts.windows, height)?;
    check_claim_header(header, facts.claim.session_header.as_ref())?;
    let opened = OpenedProof::open(&message.proof)?;
    check_path(&opened.proof, &proof_path(facts.seed_block_hash, &header.session_id))?;
    RootTotals::of(&facts.claim.root_hash).map_err(MessageError::Root)?;
    let root = Digest::try_from(facts.claim.root_hash.as_ref());
    let root = root.expect("a root with totals has a root's length");
    check_root(&opened.proof, &root)?;
    let relay = RelayFacts {
        header,
        supplier: operator,
        supplier_key: facts.supplier_key,
        target: facts.target,
        ring: facts.ring,
    };
    check_relay(&opened.relay_bytes, &relay, verifier)
}

/// A proof's bytes taken apart.
#[derive(Clone, Debug)]
pub struct OpenedProof {
    /// The path, the leaf and its side nodes.
    pub proof: ClosestProof,
    /// The leaf's value.
    pub relay_bytes: Bytes,
}

impl OpenedProof {
    /// Reads a proof (step 4).
    pub fn open(bytes: &[u8]) -> Result<Self, BrokenRule> {
        let compact = CompactClosestProof::decode(bytes).map_err(BrokenRule::ProofBytes)?;
        let proof = compact.decompact().map_err(BrokenRule::ProofForm)?;
        let no_value = BrokenRule::ProofForm(ProofError::Malformed("the leaf's value"));
        let relay_bytes = proof.value().ok_or(no_value)?;
        Ok(Self { proof, relay_bytes })
    }
}

/// The claim is one of this session, in all fields but the id, by which it was found (step 12).
pub fn check_claim_header(header: &SessionHeader, claimed: Option<&SessionHeader>) -> Result<(), BrokenRule> {
    let claimed = claimed.cloned().unwrap_or_default();
    let same = claimed.session_start_block_height == header.session_start_block_height
        && claimed.session_end_block_height == header.session_end_block_height
        && claimed.application_address == header.application_address
        && claimed.service_id == header.service_id;
    if same {
        return Ok(());
    }
    Err(BrokenRule::ClaimHeader {
        expected: Box::new(header.clone()),
        got: Box::new(claimed),
    })
}

/// The proof opens the path that the seed block chose.
pub fn check_path(proof: &ClosestProof, expected: &[u8; 32]) -> Result<(), BrokenRule> {
    if proof.path.0 == *expected {
        return Ok(());
    }
    Err(BrokenRule::Path {
        expected: *expected,
        got: proof.path.0,
    })
}

/// The leaf is one of the claimed tree.
pub fn check_root(proof: &ClosestProof, root: &Digest) -> Result<(), BrokenRule> {
    let reason = match proof.verify(root) {
        Ok(true) => return Ok(()),
        Ok(false) => None,
        Err(error) => Some(error),
    };
    Err(BrokenRule::Root { root: *root, reason })
}

#[cfg(test)]
mod tests {
    use pocket_smst::{Leaf, Path, Tree};

    use super::*;

    fn leaves(weight: u64) -> impl Iterator<Item = Leaf> {
        (0u8..9).map(move |key| Leaf::new(&[key; 32], b"a relay", weight))
    }

    #[test]
    fn proof_is_of_one_path_and_one_root() {
        let (mut tree, mut other) = (Tree::from_leaves(leaves(7)), Tree::from_leaves(leaves(8)));
        let (root, other) = (tree.root(), other.root());
        let bytes = tree.prove(Path([3; 32])).unwrap().compact().encode();
        let opened = OpenedProof::open(&bytes).unwrap();
        assert_eq!(&opened.relay_bytes[..], b"a relay");
        assert_eq!(check_path(&opened.proof, &[3; 32]), Ok(()));
        assert_eq!(check_path(&opened.proof, &[4; 32]).unwrap_err().name(), "path");
        assert_eq!(check_root(&opened.proof, &root), Ok(()));
        assert_eq!(check_root(&opened.proof, &other).unwrap_err().name(), "root");
    }

    #[test]
    fn bytes_that_are_no_proof_are_refused() {
        assert_eq!(OpenedProof::open(b"no proof").unwrap_err().name(), "proof_bytes");
    }

    #[test]
    fn claim_is_of_the_session_in_all_fields_but_the_id() {
        let header = SessionHeader {
            session_start_block_height: 1,
            session_end_block_height: 4,
            session_id: "ours".into(),
            ..SessionHeader::default()
        };
        let with = |change: fn(&mut SessionHeader)| {
            let mut claimed = header.clone();
            change(&mut claimed);
            check_claim_header(&header, Some(&claimed)).is_ok()
        };
        assert!(with(|claimed| claimed.session_id = "theirs".into()));
        assert!(!with(|claimed| claimed.session_end_block_height = 5));
        assert!(!with(|claimed| claimed.session_start_block_height = 2));
        assert!(!with(|claimed| claimed.service_id = "other".into()));
        assert!(!with(|claimed| claimed.application_address = "other".into()));
        assert!(check_claim_header(&header, None).is_err());
    }
}
