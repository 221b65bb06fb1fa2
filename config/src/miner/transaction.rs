//! `transaction`: claims and proofs on their way to the chain.

use std::time::Duration;

use crate::codec::{Amount, Count, Flag, Number, Section};
use crate::duration::{Milliseconds, Seconds};
use crate::gas_price::GasPrice;
use crate::reader::Fields;

/// The chain refuses unordered transactions that are valid for longer.
const LONGEST_VALIDITY: Duration = Duration::from_mins(10);

/// `transaction`.
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file")]
#[derive(Clone, Debug, PartialEq)]
pub struct TransactionConfig {
    /// `gas_limit`: for every transaction; `None` (0 or unset) for simulated gas times `gas_adjustment`.
    pub gas_limit: Option<u64>,
    /// `gas_price`; `0.000001upokt`.
    pub gas_price: GasPrice,
    /// `gas_adjustment`: simulated gas is multiplied by it, at least 1; 1.7.
    pub gas_adjustment: f64,
    /// `disable_claim_batching`: a transaction for each claim; false.
    pub disable_claim_batching: bool,
    /// `disable_proof_batching`: a transaction for each proof; false.
    pub disable_proof_batching: bool,
    /// `tx_timeout_min_seconds`: a transaction is valid for at least so long; 120 s.
    pub timeout_min: Duration,
    /// `tx_timeout_max_seconds`: and for at most so long, under 600 s; 590 s.
    pub timeout_max: Duration,
    /// `tx_timeout_default_seconds`: when no window is known; 120 s.
    pub timeout_default: Duration,
    /// `tx_timeout_clock_skew_buffer_seconds`: taken off the window's rest; 60 s.
    pub timeout_clock_skew_buffer: Duration,
    /// `disable_pre_proof_claim_verification`: proofs are sent without a look for their claim; false.
    pub disable_pre_proof_claim_verification: bool,
    /// `disable_inclusion_reconciler`: what was sent is not looked for on chain; false.
    pub disable_inclusion_reconciler: bool,
    /// `inclusion_reconciler_max_concurrent`: suppliers looked after at a time; 64.
    pub inclusion_reconciler_max_concurrent: u32,
    /// `max_rebroadcasts`: how often what is still missing is sent again within its window; 1.
    pub max_rebroadcasts: u32,
    /// `rebroadcast_safety_blocks`: not in the window's last so many blocks; 1.
    pub rebroadcast_safety_blocks: u64,
    /// `inclusion_reconciler_per_group_timeout_ms`: for one supplier and block; 10 s.
    pub inclusion_reconciler_timeout: Duration,
}

impl Section for TransactionConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let seconds = Duration::from_secs;
        let mut timeout = |name, default| fields.or_if_zero::<Seconds<0>>(name, seconds(default));
        let timeout_min = timeout("tx_timeout_min_seconds", 120);
        let timeout_max = timeout("tx_timeout_max_seconds", 590);
        let timeout_default = timeout("tx_timeout_default_seconds", 120);
        let timeout_clock_skew_buffer = timeout("tx_timeout_clock_skew_buffer_seconds", 60);
        let config = Self {
            gas_limit: fields.optional::<Amount>("gas_limit").filter(|gas| *gas > 0),
            gas_price: fields.or::<GasPrice>(
                "gas_price",
                GasPrice {
                    atto_upokt: GasPrice::STEPS / 1_000_000,
                },
            ),
            gas_adjustment: gas_adjustment(fields),
            disable_claim_batching: fields.or::<Flag>("disable_claim_batching", false),
            disable_proof_batching: fields.or::<Flag>("disable_proof_batching", false),
            timeout_min,
            timeout_max,
            timeout_default,
            timeout_clock_skew_buffer,
            disable_pre_proof_claim_verification: fields.or::<Flag>("disable_pre_proof_claim_verification", false),
            disable_inclusion_reconciler: fields.or::<Flag>("disable_inclusion_reconciler", false),
            inclusion_reconciler_max_concurrent: fields.or_if_zero::<Count>("inclusion_reconciler_max_concurrent", 64),
            max_rebroadcasts: fields.or::<Count>("max_rebroadcasts", 1),
            rebroadcast_safety_blocks: fields.or::<Amount>("rebroadcast_safety_blocks", 1),
            inclusion_reconciler_timeout: fields
                .or_if_zero::<Milliseconds>("inclusion_reconciler_per_group_timeout_ms", seconds(10)),
        };
        config.check(fields);
        config
    }
}

fn gas_adjustment(fields: &mut Fields<'_, '_>) -> f64 {
    let adjustment = fields.or_if_zero::<Number<0>>("gas_adjustment", 1.7);
    if adjustment < 1.0 {
        let what = format!("{adjustment} would pay for less gas than is used");
        fields.impossible(&["gas_adjustment"], what, "write 1 or more, such as 1.7");
    }
    adjustment
}

impl TransactionConfig {
    fn check(&self, fields: &mut Fields<'_, '_>) {
        let (least, most) = (self.timeout_min.as_secs(), self.timeout_max.as_secs());
        if self.timeout_max >= LONGEST_VALIDITY {
            let what = format!("{most} seconds is too long: the chain refuses transactions valid for 600 and more");
            fields.impossible(&["tx_timeout_max_seconds"], what, "write 599 or less");
        } else if least > most && fields.sound(&["tx_timeout_min_seconds"]) && fields.sound(&["tx_timeout_max_seconds"])
        {
            let what = format!("{least} seconds is more than tx_timeout_max_seconds, {most}");
            fields.impossible(
                &["tx_timeout_min_seconds"],
                what,
                "make the least the smaller of the two",
            );
        }
    }
}
