use pocket_client::Mode;
use pocket_protocol::Upokt;

use crate::ledger::{ClaimFate, ClaimKey, Outcome};

/// What came of the relays. All but the first three come from the chain's blocks alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Relays whose answer reached the client with a valid signature of the supplier.
    pub answered: u64,
    /// Relays that got no such answer.
    pub refused: u64,
    /// Leaves in the suppliers' trees, and entries that still wait for theirs.
    pub mined: u64,
    /// Sum of the relays of all claims on chain.
    pub claimed: u64,
    /// Claims in blocks.
    pub claims: u64,
    /// Claims that were settled: paid.
    pub settled: u64,
    /// Claims for which the chain wanted a proof, as far as it is known yet.
    pub proofs_required: u64,
    /// Proofs that the chain found valid.
    pub proofs_accepted: u64,
    /// Claims for which a proof was wanted and found valid.
    pub required_proofs_accepted: u64,
    /// Claims that ended unpaid.
    pub expired: u64,
    /// Claims that the chain dropped with an error.
    pub discarded: u64,
    /// Claims that cost their supplier stake.
    pub slashed: u64,
    /// Claim and proof transactions that failed in a block.
    pub failed_transactions: u64,
    /// What the suppliers' shareholders got.
    pub earned: Upokt,
}

/// Why a run did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortfall {
    /// Nothing was answered, so nothing was shown.
    #[error("no relay was answered")]
    NothingAnswered,
    /// Relays were served for free, or claimed without having been served.
    #[error("{answered} relays were answered, {claimed} were claimed")]
    ClaimedOthers {
        /// By the client's count.
        answered: u64,
        /// By the chain's count.
        claimed: u64,
    },
    /// Proofs that were wanted are not there.
    #[error("{required} proofs were required, {accepted} of them were accepted")]
    ProofsMissing {
        /// By the settlements.
        required: u64,
        /// By the chain's verdicts.
        accepted: u64,
    },
    /// Of one RPC type alone.
    #[error("{0}: {1}")]
    OfType(Mode, #[source] Box<Shortfall>),
    /// Claims that were not paid at the end.
    #[error("{claims} claims were accepted, {settled} were settled")]
    Unsettled {
        /// In blocks.
        claims: u64,
        /// Paid.
        settled: u64,
    },
}

impl Tally {
    /// Adds up what the chain said of these claims; what is not about claims is for the caller to set.
    pub fn of<'a>(claims: impl IntoIterator<Item = (&'a ClaimKey, &'a ClaimFate)>) -> Self {
        let mut tally = Self::default();
        for (_, fate) in claims {
            tally.claims += 1;
            tally.claimed += fate.relays;
            tally.proofs_accepted += u64::from(fate.proven());
            tally.slashed += u64::from(fate.slashed);
            if fate.proof_required() == Some(true) {
                tally.proofs_required += 1;
                tally.required_proofs_accepted += u64::from(fate.proven());
            }
            match &fate.outcome {
                Some(Outcome::Settled { earned, .. }) => {
                    tally.settled += 1;
                    tally.earned.0 += earned.0;
                }
                Some(Outcome::Expired { .. }) => tally.expired += 1,
                Some(Outcome::Discarded { .. }) => tally.discarded += 1,
                None => {}
            }
        }
        tally
    }

    /// Whether every answered relay was claimed, every required proof accepted, and every claim paid. Holds for
    /// services at base difficulty, where every answered relay is mined.
    pub fn check(&self) -> Result<(), Shortfall> {
        if self.answered == 0 {
            return Err(Shortfall::NothingAnswered);
        }
        if self.answered != self.claimed {
            let (answered, claimed) = (self.answered, self.claimed);
            return Err(Shortfall::ClaimedOthers { answered, claimed });
        }
        if self.required_proofs_accepted != self.proofs_required {
            let (required, accepted) = (self.proofs_required, self.required_proofs_accepted);
            return Err(Shortfall::ProofsMissing { required, accepted });
        }
        if self.settled != self.claims {
            let (claims, settled) = (self.claims, self.settled);
            return Err(Shortfall::Unsettled { claims, settled });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Tally {
        Tally {
            answered: 10,
            mined: 10,
            claimed: 10,
            claims: 2,
            settled: 2,
            proofs_required: 1,
            proofs_accepted: 2,
            required_proofs_accepted: 1,
            ..Tally::default()
        }
    }

    #[test]
    fn every_kind_of_loss_fails_the_check() {
        assert_eq!(whole().check(), Ok(()));
        let fails = |change: fn(&mut Tally)| {
            let mut tally = whole();
            change(&mut tally);
            tally.check().unwrap_err()
        };
        assert_eq!(fails(|t| t.answered = 0), Shortfall::NothingAnswered);
        assert!(matches!(
            fails(|t| t.claimed = 9),
            Shortfall::ClaimedOthers { claimed: 9, .. }
        ));
        assert!(matches!(
            fails(|t| t.required_proofs_accepted = 0),
            Shortfall::ProofsMissing { .. }
        ));
        assert!(matches!(fails(|t| t.settled = 1), Shortfall::Unsettled { .. }));
    }
}
