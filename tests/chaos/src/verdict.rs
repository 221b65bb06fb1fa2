//! Whether a part got what it was due, by its claim's root alone: the root fixes every relay in the claim.

use std::ops::AddAssign;

use pocket_smst::{Digest, Leaf, Tree};

use crate::book::{Book, Part, Relays};
use crate::fate::Fate;
use crate::traffic::UNITS;

/// Most sets of relays without an answer that are tried for a root.
const MOST_SETS: u64 = 100_000;

/// What a part was found to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Relays that were answered, all of them claimed.
    pub answered: usize,
    /// Relays in the claim whose answer was lost.
    pub unanswered: usize,
    /// Claims: none if nothing was served.
    pub claims: usize,
    /// Those of them that were proven.
    pub proven: usize,
    /// Claims of the same root that came again, because a miner could not know of the first.
    pub repeated: usize,
}

impl AddAssign for Verdict {
    fn add_assign(&mut self, other: Self) {
        self.answered += other.answered;
        self.unanswered += other.unanswered;
        self.claims += other.claims;
        self.proven += other.proven;
        self.repeated += other.repeated;
    }
}

/// All parts of the sessions that ended at one height.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Of the parts that are right.
    pub sum: Verdict,
    /// Relays that were refused.
    pub refused: usize,
    /// What is wrong, a line a part.
    pub faults: Vec<String>,
}

impl Audit {
    /// Compares what clients saw of sessions that ended at `end` with what the chain says of each.
    pub fn of_end(book: &Book, end: i64, fate: impl Fn(&Part) -> Fate) -> Self {
        let mut audit = Self::default();
        for (part, relays) in book.of_end(end) {
            audit.refused += relays.refused;
            match judge(&relays, &fate(&part)) {
                Ok(verdict) => audit.sum += verdict,
                Err(fault) => {
                    let supplier = &part.supplier[part.supplier.len() - 6..];
                    let session = &part.session[..8];
                    audit.faults.push(format!("session {session} of …{supplier}: {fault}"));
                }
            }
        }
        audit
    }
}

/// Compares what clients saw with what the blocks say; `Err` tells what is wrong.
pub fn judge(relays: &Relays, fate: &Fate) -> Result<Verdict, String> {
    if let Some(fault) = relays.faults.first() {
        return Err(fault.clone());
    }
    let Some(root) = fate.claims.last() else {
        return match relays.answered.len() {
            0 => Ok(Verdict::default()),
            answered => Err(format!("{answered} relays were answered, and there is no claim")),
        };
    };
    if fate.claims.iter().any(|other| other != root) {
        return Err(format!("{} claims with different roots", fate.claims.len()));
    }
    let root = Digest::try_from(root.as_ref()).map_err(|error| error.to_string())?;
    let unanswered = whose(&root, relays)?;
    if let Some(lost) = &fate.lost {
        return Err(lost.clone());
    }
    let is_proven = fate.settled.is_some_and(|settled| settled.is_proven);
    match fate.settled {
        Some(settled) if settled.is_proven || !settled.had_to_be_proven => {}
        Some(_) => return Err("settled without a proof".to_owned()),
        None if fate.proofs == 0 => return Err("the claim was not proven".to_owned()),
        None => return Err("the proof was sent, but the claim was not settled".to_owned()),
    }
    Ok(Verdict {
        answered: relays.answered.len(),
        unanswered,
        claims: 1,
        proven: usize::from(is_proven),
        repeated: fate.claims.len() - 1,
    })
}

/// Finds the set of relays that has this root: all that were answered, and of those without an answer as many as are
/// missing. Gives their number.
fn whose(root: &Digest, relays: &Relays) -> Result<usize, String> {
    let (answered, claimed) = (relays.answered.len(), root.count() as usize);
    let missing = |count: usize| format!("{answered} relays were answered, {count} of them are in no claim");
    let Some(more) = claimed.checked_sub(answered) else {
        return Err(missing(answered - claimed));
    };
    if more > relays.uncertain.len() {
        let lost = relays.uncertain.len();
        return Err(format!(
            "{claimed} relays claimed, {answered} answered and {lost} more sent"
        ));
    }
    let base = Tree::from_leaves(relays.answered.iter().cloned());
    // Without any answer nothing tells what the supplier signed: the count must do.
    let Some(candidates) = relays.uncertain_leaves(UNITS) else {
        return Ok(more);
    };
    let mut budget = MOST_SETS;
    if matches(root, &base, &candidates, more, &mut budget) {
        Ok(more)
    } else if budget == 0 {
        Err(format!(
            "too many of {} lost answers to tell which were claimed",
            candidates.len()
        ))
    } else {
        Err(format!(
            "the claim of {claimed} relays is not of the {answered} that were answered and {more} others"
        ))
    }
}

/// Whether some `more` of the candidates make the root, added to the tree.
fn matches(root: &Digest, tree: &Tree, candidates: &[Leaf], more: usize, budget: &mut u64) -> bool {
    if more == 0 {
        *budget = budget.saturating_sub(1);
        return tree.clone().root() == *root;
    }
    (0..candidates.len()).any(|first| {
        if *budget == 0 || candidates.len() - first < more {
            return false;
        }
        let mut tree = tree.clone();
        let inserted = tree.insert(candidates[first].clone());
        inserted.is_ok() && matches(root, &tree, &candidates[first + 1..], more - 1, budget)
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pocket_proto::pocket::service::{RelayRequest, RelayResponse};
    use pocket_protocol::relay::mined_relay;

    use super::*;
    use crate::book::{Book, Part};
    use crate::fate::Settled;

    fn request(number: u8) -> RelayRequest {
        RelayRequest {
            meta: None,
            payload: Bytes::copy_from_slice(&[number]),
        }
    }

    fn leaf_of(number: u8) -> Leaf {
        let relay = mined_relay(&request(number), &RelayResponse::default());
        Leaf::of_relay(&relay.hash, &relay.bytes, UNITS)
    }

    /// Relays of which some were answered and some lost their answer.
    fn relays(answered: &[u8], uncertain: &[u8]) -> Relays {
        let (book, part) = (
            Book::default(),
            Part {
                end: 1,
                session: String::new(),
                supplier: String::new(),
            },
        );
        for number in answered {
            book.answered(&part, &request(*number), RelayResponse::default(), UNITS);
        }
        for number in uncertain {
            book.uncertain(&part, request(*number));
        }
        book.of_end(1).pop().unwrap_or_default().1
    }

    /// A claim of these relays, settled.
    fn fate(claimed: &[u8]) -> Fate {
        let root = Tree::from_leaves(claimed.iter().map(|number| leaf_of(*number))).root();
        Fate {
            claims: vec![Bytes::copy_from_slice(root.as_ref())],
            proofs: 1,
            settled: Some(Settled {
                is_proven: true,
                had_to_be_proven: true,
            }),
            lost: None,
        }
    }

    #[test]
    fn claim_of_what_was_answered_is_right_with_or_without_lost_answers() {
        let verdict = judge(&relays(&[1, 2], &[3, 4]), &fate(&[1, 2])).unwrap();
        assert_eq!((verdict.answered, verdict.unanswered, verdict.claims), (2, 0, 1));
        let verdict = judge(&relays(&[1, 2], &[3, 4]), &fate(&[1, 2, 4])).unwrap();
        assert_eq!((verdict.answered, verdict.unanswered), (2, 1));
    }

    #[test]
    fn claim_without_an_answered_relay_is_wrong() {
        assert!(judge(&relays(&[1, 2], &[]), &fate(&[1])).is_err());
        // As many as were answered, but not the same.
        assert!(judge(&relays(&[1, 2], &[3]), &fate(&[1, 3])).is_err());
    }

    #[test]
    fn relay_that_nobody_sent_is_wrong() {
        assert!(judge(&relays(&[1, 2], &[]), &fate(&[1, 2, 3])).is_err());
        assert!(judge(&relays(&[1, 2], &[4]), &fate(&[1, 2, 3])).is_err());
    }

    #[test]
    fn missing_claim_proof_and_settlement_are_wrong() {
        assert!(judge(&relays(&[1], &[]), &Fate::default()).is_err());
        let unproven = |had_to_be_proven| Fate {
            settled: Some(Settled {
                is_proven: false,
                had_to_be_proven,
            }),
            ..fate(&[1])
        };
        assert!(judge(&relays(&[1], &[]), &unproven(true)).is_err());
        assert!(judge(&relays(&[1], &[]), &unproven(false)).is_ok());
        let slashed = Fate {
            lost: Some("slashed".to_owned()),
            ..fate(&[1])
        };
        assert!(judge(&relays(&[1], &[]), &slashed).is_err());
        assert!(
            judge(
                &relays(&[1], &[]),
                &Fate {
                    settled: None,
                    ..fate(&[1])
                }
            )
            .is_err()
        );
        assert_eq!(judge(&relays(&[], &[]), &Fate::default()), Ok(Verdict::default()));
    }

    #[test]
    fn two_claims_must_have_one_root() {
        let mut twice = fate(&[1]);
        twice.claims.push(twice.claims[0].clone());
        assert_eq!(judge(&relays(&[1], &[]), &twice).unwrap().repeated, 1);
        twice.claims.push(fate(&[1, 2]).claims[0].clone());
        assert!(judge(&relays(&[1], &[2]), &twice).is_err());
    }
}
