//! Who pays and who is paid for a settled claim.

use std::collections::BTreeMap;
use std::sync::Arc;

use pocket_proto::pocket::application::Application;
use pocket_proto::pocket::proof::Claim;
use pocket_proto::pocket::session::SessionHeader;
use pocket_proto::pocket::shared::{Service, ServiceRevenueShare, Supplier};
use pocket_protocol::{Height, SessionBounds};
use serde_json::{Value, json};

use crate::chain::bank::DENOM;
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::figures::Figures;
use crate::chain::state::State;
use crate::genesis::{amount, coin};

const MILLION: u128 = 1_000_000;

/// Everyone whom a claim concerns.
pub struct Parties {
    supplier: Arc<Supplier>,
    service: Arc<Service>,
    shares: Vec<ServiceRevenueShare>,
}

impl Parties {
    /// All of them must be known; if not, the error says who is not.
    pub fn of(state: &State, claim: &Claim, header: &SessionHeader) -> Result<Self, String> {
        let (id, application) = (&header.service_id, &header.application_address);
        let service = state
            .services
            .get(id)
            .ok_or_else(|| format!("service with ID {id:?} not found"))?;
        if !state.applications.contains_key(application) {
            return Err(format!("application with address {application:?} not found"));
        }
        let operator = &claim.supplier_operator_address;
        let supplier = state.suppliers.get(operator);
        let supplier = supplier.ok_or_else(|| format!("supplier with address {operator:?} not found"))?;
        let config = supplier
            .service_config_history
            .iter()
            .filter_map(|update| update.service.as_ref())
            .find(|config| config.service_id == *id)
            .ok_or_else(|| format!("service {id:?} not found for supplier {operator}"))?;
        let shares = config.rev_share.clone();
        Ok(Self {
            supplier: Arc::clone(supplier),
            service: Arc::clone(service),
            shares,
        })
    }

    /// The supplier's owner.
    pub fn owner(&self) -> String {
        self.supplier.owner_address.clone()
    }

    /// Who gets what of the supplier's part; all goes to the owner where the shares make no sense.
    fn divide(&self, part: u128) -> BTreeMap<String, u128> {
        let total: u64 = self.shares.iter().map(|share| share.rev_share_percentage).sum();
        let mut divided: BTreeMap<String, u128> = BTreeMap::new();
        for share in &self.shares {
            divided.insert(
                share.address.clone(),
                part * u128::from(share.rev_share_percentage) / 100,
            );
        }
        if total != 100 || divided.len() != self.shares.len() {
            return BTreeMap::from([(self.owner(), part)]);
        }
        let rest = part - divided.values().sum::<u128>();
        *divided.entry(self.shares[0].address.clone()).or_default() += rest;
        divided
    }
}

/// What was paid.
pub struct Payment {
    settled: u128,
    minted: u128,
    mint_ratio: u64,
    rewards: Vec<Reward>,
}

struct Reward {
    recipient: String,
    reason: &'static str,
    upokt: u128,
}

/// Burns the settled amount from the application's stake, mints its share and pays it out.
pub fn pay(state: &mut State, parties: &Parties, header: &SessionHeader, settled: u128) -> Result<Payment, String> {
    let terms = state.params.tokenomics.clone();
    let part = |amount: u128, millionths: u64| amount * u128::from(millionths) / MILLION;
    let minted = part(settled, terms.mint_ratio);
    let mut payment = Payment {
        settled,
        minted,
        mint_ratio: terms.mint_ratio,
        rewards: Vec::new(),
    };
    if settled == 0 {
        return Ok(payment);
    }
    if minted == 0 {
        return Err("mint amount truncated to zero".to_owned());
    }
    burn_stake(state, header, settled)?;
    let supplier = part(minted, terms.supplier_share);
    let proposer = part(minted, terms.proposer_share);
    let owner = part(minted, terms.source_owner_share);
    let application = part(minted, terms.application_share);
    for (recipient, upokt) in parties.divide(supplier) {
        payment.reward(recipient, "SUPPLIER_SHAREHOLDER", upokt);
    }
    payment.reward(parties.service.owner_address.clone(), "SOURCE_OWNER", owner);
    payment.reward(
        terms.dao_address,
        "DAO",
        minted - supplier - proposer - owner - application,
    );
    payment.reward(header.application_address.clone(), "APPLICATION", application);
    for reward in &payment.rewards {
        state.bank.mint(&reward.recipient, reward.upokt);
    }
    // Validators are paid together after all claims, and no claim's event tells of it.
    state.bank.mint(&terms.proposer_address, proposer);
    Ok(payment)
}

fn burn_stake(state: &mut State, header: &SessionHeader, settled: u128) -> Result<(), String> {
    let address = &header.application_address;
    let application = state.applications.get_mut(address).ok_or("application not found")?;
    let rest = amount(application.stake.as_ref()).checked_sub(settled);
    let rest = rest.ok_or_else(|| format!("application {address:?} stake cannot be reduced to a negative amount"))?;
    Arc::make_mut(application).stake = Some(coin(rest));
    state
        .bank
        .burn_from_module("application", settled)
        .map_err(|refusal| refusal.to_string())
}

impl Payment {
    fn reward(&mut self, recipient: String, to: &'static str, upokt: u128) {
        if upokt > 0 {
            self.rewards.push(Reward {
                recipient,
                reason: to,
                upokt,
            });
        }
    }

    /// Adds what was paid to a settlement's event.
    pub fn describe(&self, event: Event, figures: Figures) -> Event {
        let coin = |upokt: u128| format!("{upokt}{DENOM}");
        let mut totals: BTreeMap<&str, u128> = BTreeMap::new();
        for reward in &self.rewards {
            *totals.entry(&reward.recipient).or_default() += reward.upokt;
        }
        let totals: serde_json::Map<_, _> = totals
            .into_iter()
            .map(|(recipient, upokt)| (recipient.to_owned(), Value::from(coin(upokt))))
            .collect();
        let detailed: Vec<_> = self
            .rewards
            .iter()
            .map(|reward| {
                let reason = format!("TLM_RELAY_BURN_EQUALS_MINT_{}_REWARD_DISTRIBUTION", reward.reason);
                json!({"amount": coin(reward.upokt), "op_reason": reason, "recipient_address": reward.recipient})
            })
            .collect();
        event
            .with("reward_distribution", totals)
            .with("reward_distribution_detailed", detailed)
            .with("settled_upokt", coin(self.settled))
            .with("minted_upokt", coin(self.minted))
            .with("mint_ratio", (self.mint_ratio as f64 / MILLION as f64).to_string())
            .with(
                "overservicing_loss_upokt",
                coin(figures.upokt.saturating_sub(self.settled)),
            )
            .with("deflation_loss_upokt", coin(self.settled.saturating_sub(self.minted)))
    }

    /// An application whose stake fell below the least one leaves at the end of the session.
    pub fn application_unbonding(
        &self,
        state: &mut State,
        context: &Context<'_>,
        header: &SessionHeader,
    ) -> Option<Event> {
        let least = amount(state.params.application.min_stake.as_ref());
        let params = *state.shared.live();
        let end = SessionBounds::containing(&params, Height(context.height)).end.0;
        let application = state.applications.get_mut(&header.application_address)?;
        if self.settled == 0 || amount(application.stake.as_ref()) >= least {
            return None;
        }
        let application: &mut Application = Arc::make_mut(application);
        application.unstake_session_end_height = end.unsigned_abs();
        let blocks = params.application_unbonding_period_sessions * params.num_blocks_per_session;
        let shown = json!({"address": application.address, "stake": {"amount": amount(application.stake.as_ref()).to_string(), "denom": DENOM}});
        let event = Event::new("pocket.application.EventApplicationUnbondingBegin")
            .with("application", shown)
            .with("reason", "APPLICATION_UNBONDING_REASON_BELOW_MIN_STAKE")
            .with_integer("session_end_height", end)
            .with_integer("unbonding_end_height", end + blocks as i64);
        Some(event)
    }
}
