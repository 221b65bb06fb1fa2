//! Whether suppliers can pay fees, and bear missed proofs.

use pocket_config::BalanceMonitorConfig;
use pocket_proto::cosmos::base::v1beta1::Coin;
use pocket_protocol::{SupplierAddress, Upokt};
use pocket_query::QueryError;
use tokio::time::MissedTickBehavior;

use crate::Deps;

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Critical,
    Low,
    Good,
}

/// What the chain says of a supplier.
struct Stake {
    staked: u128,
    least: u128,
    penalty: u128,
}

/// Looks at all suppliers whose keys are held, again and again.
pub(super) async fn run(config: &BalanceMonitorConfig, deps: &Deps) {
    if !config.enabled {
        return;
    }
    let mut tick = tokio::time::interval(config.check_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        for supplier in deps.keys.current().addresses() {
            if let Err((kind, error)) = look(config, deps, supplier).await {
                let labels = [supplier.as_str(), kind];
                deps.metrics.watch.errors.with_label_values(&labels).inc();
                tracing::debug!(%supplier, kind, %error, "a supplier cannot be looked after");
            }
        }
    }
}

/// One supplier. A key that is not staked is no reason to warn.
async fn look(
    config: &BalanceMonitorConfig,
    deps: &Deps,
    supplier: &SupplierAddress,
) -> Result<(), (&'static str, QueryError)> {
    let operator = supplier.as_str();
    let staked = match deps.chain.supplier(operator).await {
        Ok(found) => amount(found.stake.as_ref()),
        Err(QueryError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(("stake_query", error)),
    };
    let Upokt(balance) = deps
        .chain
        .balance(operator)
        .await
        .map_err(|error| ("balance_query", error))?;
    tell_balance(config, deps, supplier, balance);
    let supplier_params = deps
        .chain
        .supplier_params()
        .await
        .map_err(|error| ("params_cache", error))?;
    let proof_params = deps
        .chain
        .proof_params()
        .await
        .map_err(|error| ("proof_params_cache", error))?;
    let stake = Stake {
        staked,
        least: amount(supplier_params.min_stake.as_ref()),
        penalty: amount(proof_params.proof_missing_penalty.as_ref()),
    };
    tell_stake(config, deps, supplier, &stake);
    Ok(())
}

fn tell_balance(config: &BalanceMonitorConfig, deps: &Deps, supplier: &SupplierAddress, balance: u128) {
    let (series, label) = (&deps.metrics.watch, &[supplier.as_str()]);
    let threshold = config.balance_threshold.0;
    let health = health(balance, threshold, threshold.saturating_mul(2));
    series.balance.with_label_values(label).set(as_level(balance));
    series.balance_health.with_label_values(label).set(health as i64);
    match health {
        Health::Critical => {
            series.balance_alarms.with_label_values(label).inc();
            tracing::error!(%supplier, balance, threshold, "the balance is too low for fees: send upokt to the operator's address");
        }
        Health::Low => {
            series.balance_warnings.with_label_values(label).inc();
            tracing::warn!(%supplier, balance, threshold, "the balance gets low: send upokt to the operator's address");
        }
        Health::Good => {}
    }
}

fn tell_stake(config: &BalanceMonitorConfig, deps: &Deps, supplier: &SupplierAddress, stake: &Stake) {
    let (series, label) = (&deps.metrics.watch, &[supplier.as_str()]);
    series.stake.with_label_values(label).set(as_level(stake.staked));
    if stake.least > 0 {
        let ratio = stake.staked as f64 / stake.least as f64;
        series.stake_ratio.with_label_values(label).set(ratio);
    }
    let Some(left) = stake.missed_proofs_left() else { return };
    series.missed_proofs_left.with_label_values(label).set(as_level(left));
    let critical = u128::from(config.stake_critical_proof_threshold);
    let staked = stake.staked;
    match health(left, critical, config.stake_warning_proof_threshold.into()) {
        Health::Critical => {
            series.stake_alarms.with_label_values(label).inc();
            tracing::error!(%supplier, staked, left, "the stake bears few more missed proofs before the supplier is unstaked: stake more");
        }
        Health::Low => {
            series.stake_warnings.with_label_values(label).inc();
            tracing::warn!(%supplier, staked, left, "the stake gets low: it bears this many more missed proofs");
        }
        Health::Good => {}
    }
}

fn health(value: u128, critical: u128, low: u128) -> Health {
    if value < critical {
        Health::Critical
    } else if value < low {
        Health::Low
    } else {
        Health::Good
    }
}

impl Stake {
    /// Missed proofs until the stake is below the least allowed; `None` where they cost nothing.
    fn missed_proofs_left(&self) -> Option<u128> {
        self.staked.saturating_sub(self.least).checked_div(self.penalty)
    }
}

fn amount(coin: Option<&Coin>) -> u128 {
    coin.and_then(|coin| coin.amount.parse().ok()).unwrap_or(0)
}

fn as_level(value: u128) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stake_bears_missed_proofs_down_to_the_least_stake() {
        let stake = |staked, penalty| Stake {
            staked,
            least: 1_000,
            penalty,
        };
        assert_eq!(stake(1_999, 100).missed_proofs_left(), Some(9));
        assert_eq!(stake(500, 100).missed_proofs_left(), Some(0));
        assert_eq!(stake(1_999, 0).missed_proofs_left(), None);
    }

    #[test]
    fn health_changes_at_the_thresholds() {
        let found = [9, 10, 19, 20].map(|value| health(value, 10, 20));
        assert_eq!(found, [Health::Critical, Health::Low, Health::Low, Health::Good]);
    }
}
