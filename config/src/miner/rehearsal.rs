//! What is checked before a fee is paid.

use pocket_protocol::Upokt;

use crate::codec::{Amount, Choice, Flag, Named, Section};
use crate::reader::Fields;

/// What a rehearsal is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RehearsalMode {
    /// There is none.
    Off,
    /// What fails is told and counted, and sent all the same: the chain decides.
    #[default]
    Warn,
    /// What fails is told, counted and held back: a claim for good, a proof until its last chance.
    Enforce,
}

impl Named for RehearsalMode {
    const NAMES: &'static [(&'static str, Self)] =
        &[("warn", Self::Warn), ("enforce", Self::Enforce), ("off", Self::Off)];
    const MISTAKEN: &'static [(&'static str, &'static str)] = &[("on", "warn"), ("true", "warn"), ("false", "off")];
}

/// `rehearsal`: claims and proofs are checked with the chain's rules before they are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RehearsalConfig {
    /// `mode`: `off`, `warn` or `enforce`; `warn`.
    pub mode: RehearsalMode,
}

impl Section for RehearsalConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            mode: fields.or::<Choice<RehearsalMode>>("mode", RehearsalMode::default()),
        }
    }
}

/// `profitability`: claims that bring less than they cost are not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfitabilityConfig {
    /// `enabled`; true, as the peer does without a key for it.
    pub enabled: bool,
    /// `min_profit_upokt`: what a claim must bring above its cost, to be sent; more than 0 upokt.
    pub min_profit: Upokt,
}

impl Default for ProfitabilityConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            min_profit: Upokt(0),
        }
    }
}

impl Section for ProfitabilityConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            enabled: fields.or::<Flag>("enabled", true),
            min_profit: Upokt(fields.or::<Amount>("min_profit_upokt", 0).into()),
        }
    }
}
