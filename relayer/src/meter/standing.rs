//! How all accounts stand together, for operators.

use super::Meter;
use super::account::Standing;

/// Counts of accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standings {
    pub sessions: u64,
    /// Nothing is left of their budgets.
    pub exhausted: u64,
    /// Redis or the chain could not be asked about them.
    pub away: u64,
}

impl Meter {
    /// As the last visits to Redis left them.
    pub fn standings(&self) -> Standings {
        let mut standings = Standings::default();
        for account in self.all() {
            standings.sessions += 1;
            match *account.standing.borrow() {
                Standing::Open => {}
                Standing::Exhausted => standings.exhausted += 1,
                Standing::Away => standings.away += 1,
            }
        }
        standings
    }

    /// Relays that were refused because a budget was spent.
    pub fn refused(&self) -> u64 {
        let services = self.services.load();
        services
            .iter()
            .map(|service| self.metrics.of(service.as_str()).over_limit.get())
            .sum()
    }
}
