//! What a relay costs and how much an application can pay, as the chain and the operator say it.

use std::sync::Arc;
use std::time::Instant;

use pocket_protocol::reward::{Price, relay_cost};
use pocket_protocol::{ComputeUnits, Height, Upokt};
use pocket_query::{ChainClient, QueryError};

use super::account::Holder;
use super::budget::{base_limit, chosen_limit};

/// Price and limit of an account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Upokt of one relay; 0 needs no account.
    pub cost: u64,
    /// Upokt that may be spent.
    pub limit: Upokt,
    /// Upokt that the supplier can be sure of; a higher limit is the operator's choice.
    pub base: Upokt,
    /// What the limit was computed from.
    pub stake: Upokt,
    pub factor: Option<f64>,
    pub read_at: Instant,
}

impl Terms {
    /// Asks the chain. The price is that at the session's start; the stake is the current one, and so are the
    /// parameters behind the limit until the session has ended.
    pub async fn ask(
        chain: &ChainClient,
        holder: &Holder,
        factor: Option<f64>,
        current: Height,
    ) -> Result<Self, QueryError> {
        let read_at = Instant::now();
        let window_params = async {
            if current.0 <= 0 || holder.end >= current {
                chain.shared_params().await
            } else {
                chain.shared_params_at(holder.end).await
            }
        };
        let service = holder.service.as_str();
        let (at_start, units, application, session, at_end) = tokio::try_join!(
            chain.shared_params_at(holder.start),
            chain.compute_units_at(service, holder.start),
            chain.application(&holder.application),
            chain.session_params(),
            window_params,
        )?;
        let malformed = |what: &str| QueryError::Malformed(what.to_owned());
        // The chain counts at least one for a service that says nothing.
        let cost = relay_cost(ComputeUnits(units.0.max(1)), Price::from(&*at_start))
            .map_err(|error| malformed(&error.to_string()))?;
        let cost = u64::try_from(cost.0).map_err(|_| malformed("a relay costs more than there is"))?;
        let stake = application.stake.as_ref().and_then(|stake| stake.amount.parse().ok());
        let stake = Upokt(stake.ok_or_else(|| malformed("the application's stake is no number"))?);
        let base = base_limit(stake, session.num_suppliers_per_session, &at_end);
        Ok(Self {
            cost,
            limit: factor.map_or(base, |factor| chosen_limit(stake, factor)),
            base,
            stake,
            factor,
            read_at,
        })
    }

    /// Whether the limit follows from the same stake and factor.
    // A factor is compared with itself: it is read, never computed.
    #[allow(clippy::float_cmp)]
    pub fn is_same_limit(&self, other: &Arc<Self>) -> bool {
        self.stake == other.stake && self.factor == other.factor && self.limit == other.limit
    }
}
