//! Before a fee is paid: would the chain take this, and is it worth it?
//!
//! A claim is held against the chain's rules, and one leaf of its tree is proven for trial: what cannot be proven is
//! better not claimed. A proof is held against all rules that the chain will. Each is one check: a path of the tree and
//! one ring signature. What the chain cannot be asked about is not held against anybody.

mod alert;
mod claim;
mod facts;
mod profit;
mod proof;
mod series;

use std::fmt::Display;
use std::sync::Arc;

use pocket_config::{ProfitabilityConfig, RehearsalConfig, RehearsalMode};
use pocket_ring::{Limits, Verifier};
use pocket_rules::BrokenRule;

pub(crate) use claim::Withheld;
pub(crate) use facts::{SessionFacts, Signers};
pub(crate) use profit::LastFee;
pub(crate) use series::Series;

/// What is checked before a fee is paid.
#[derive(Clone, Copy, Debug, Default)]
pub struct RehearsalSettings {
    /// What a rehearsal is good for.
    pub rehearsal: RehearsalConfig,
    /// Which claims are not worth their cost.
    pub profitability: ProfitabilityConfig,
}

/// A supplier's rehearsals, and what its transactions cost lately.
pub(crate) struct Rehearsal {
    settings: RehearsalSettings,
    verifier: Arc<Verifier>,
    pub claim_fee: LastFee,
    pub proof_fee: LastFee,
}

impl Rehearsal {
    pub fn new(settings: RehearsalSettings) -> Self {
        Self {
            settings,
            // One signature a session: large tables would cost more than they save.
            verifier: Arc::new(Verifier::new(Limits { table_bytes: 0 })),
            claim_fee: LastFee::default(),
            proof_fee: LastFee::default(),
        }
    }

    fn is_off(&self) -> bool {
        self.settings.rehearsal.mode == RehearsalMode::Off
    }

    /// Whether what fails is held back.
    fn enforces(&self) -> bool {
        self.settings.rehearsal.mode == RehearsalMode::Enforce
    }
}

/// What a rehearsal found.
#[derive(Debug)]
enum Verdict {
    /// The chain will take it, as far as can be known.
    Passed,
    /// The chain will not take it.
    Failed(Fault),
    /// Not everything could be asked.
    Unknown(String),
}

/// What is wrong with a claim or proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The rule's name, one of a few.
    pub rule: &'static str,
    /// What was expected and what was found.
    pub text: String,
}

impl Fault {
    /// The stored tree is damaged, and its leaves do not mend it.
    pub fn tree(reason: impl Display) -> Self {
        Self {
            rule: "tree",
            text: reason.to_string(),
        }
    }
}

impl From<BrokenRule> for Fault {
    fn from(broken: BrokenRule) -> Self {
        Self {
            rule: broken.name(),
            text: broken.to_string(),
        }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it breaks the rule {}: {}", self.rule, self.text)
    }
}
