//! What the miner watches: balances and stakes, and the pace of blocks.

use std::time::Duration;

use pocket_protocol::Upokt;

use crate::codec::{Amount, Flag, Number, Section};
use crate::duration::Seconds;
use crate::reader::Fields;

/// `balance_monitor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceMonitorConfig {
    /// `enabled`; true.
    pub enabled: bool,
    /// `check_interval_seconds`; 300 s.
    pub check_interval: Duration,
    /// `balance_threshold_upokt`: an account with less is warned about; 1 000 000 upokt.
    pub balance_threshold: Upokt,
    /// `stake_warning_proof_threshold`: warned when the stake bears fewer missed proofs; 10.
    pub stake_warning_proof_threshold: u64,
    /// `stake_critical_proof_threshold`: alarmed when it bears fewer; 3.
    pub stake_critical_proof_threshold: u64,
}

impl Section for BalanceMonitorConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            enabled: fields.or::<Flag>("enabled", true),
            check_interval: fields.or_if_zero::<Seconds<0>>("check_interval_seconds", Duration::from_mins(5)),
            balance_threshold: Upokt(fields.or::<Amount>("balance_threshold_upokt", 1_000_000).into()),
            stake_warning_proof_threshold: fields.or_if_zero::<Amount>("stake_warning_proof_threshold", 10),
            stake_critical_proof_threshold: fields.or_if_zero::<Amount>("stake_critical_proof_threshold", 3),
        }
    }
}

/// `block_health_monitor`.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockHealthConfig {
    /// `enabled`; false.
    pub enabled: bool,
    /// `slowness_threshold`: a block is slow after so many times `block_time_seconds`; 1.5.
    pub slowness_threshold: f64,
}

impl Section for BlockHealthConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let enabled = fields.or::<Flag>("enabled", false);
        Self {
            enabled,
            slowness_threshold: fields.or_if_zero::<Number<0>>("slowness_threshold", 1.5),
        }
    }
}
