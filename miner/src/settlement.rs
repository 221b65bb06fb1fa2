//! How claims ended, from the events of the block that settled them (spec: chain.md §9, §10).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use pocket_protocol::{Height, SessionId, Upokt};
use pocket_query::{BlockResults, ChainClient, Event, QueryError};
use pocket_store::{SessionRecord, SessionState};
use serde_json::Value;

use crate::error::WorkError;
use crate::lifecycle::Event as LifecycleEvent;
use crate::worker::Worker;

/// How a claim ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// Paid.
    Settled {
        /// What was claimed, before caps and shares.
        claimed: Upokt,
        /// Whether it was proven.
        proven: bool,
    },
    /// A required proof was missing or invalid; the supplier is slashed.
    Expired(String),
    /// The chain could not process it.
    Discarded(String),
    /// There was no claim.
    Absent,
}

impl Settlement {
    /// Its name in session records and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Settled { proven: true, .. } => "settled_proven",
            Self::Settled { proven: false, .. } => "settled_unproven",
            Self::Expired(_) => "expired",
            Self::Discarded(_) => "discarded",
            Self::Absent => "absent",
        }
    }

    /// Its name in metrics, the peer's where it has one.
    pub fn label(&self) -> &'static str {
        let name = self.as_str();
        name.strip_prefix("settled_").unwrap_or(name)
    }
}

/// What the settlement block says in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SettlementFacts {
    /// What the claim asked for.
    pub claimed: Upokt,
    /// What was paid to the supplier, and to those it shares with.
    pub earned: Upokt,
    /// Stake that was taken, if any was.
    pub slashed: Option<Upokt>,
}

impl SettlementFacts {
    /// Of a session's claim.
    fn of(record: &SessionRecord, results: &BlockResults) -> Self {
        let mut facts = Self::default();
        for event in results.end_block_events.iter().filter(|event| concerns(event, record)) {
            let amount = |key| text(event, key).as_deref().and_then(upokt);
            match event.kind.strip_prefix("pocket.tokenomics.") {
                Some("EventClaimSettled") => {
                    facts.claimed = amount("claimed_upokt").unwrap_or_default();
                    facts.earned = shared_out(event).unwrap_or(facts.claimed);
                }
                Some("EventClaimExpired") => facts.claimed = amount("claimed_upokt").unwrap_or_default(),
                Some("EventSupplierSlashed") => facts.slashed = amount("proof_missing_penalty"),
                _ => {}
            }
        }
        facts
    }
}

/// What a settled claim paid to the supplier's shareholders, whoever they are (spec: chain.md §10). `None` where the
/// node does not tell.
fn shared_out(event: &Event) -> Option<Upokt> {
    const SUPPLIERS: &str = "_SUPPLIER_SHAREHOLDER_REWARD_DISTRIBUTION";
    let rewards: Vec<Value> = serde_json::from_str(event.value("reward_distribution_detailed")?).ok()?;
    let ours = |reward: &&Value| {
        reward["op_reason"]
            .as_str()
            .is_some_and(|reason| reason.ends_with(SUPPLIERS))
    };
    let amounts = rewards.iter().filter(ours).map(|reward| {
        let Upokt(amount) = upokt(reward["amount"].as_str()?)?;
        Some(amount)
    });
    amounts.sum::<Option<u128>>().map(Upokt)
}

/// Whether an event is of a session's claim: supplier, application, service and end are its identity in every event.
fn concerns(event: &Event, record: &SessionRecord) -> bool {
    text(event, "supplier_operator_address").is_some_and(|value| value == record.supplier.as_str())
        && text(event, "service_id").is_some_and(|value| value == record.service.as_str())
        && text(event, "application_address").is_some_and(|value| value == record.application.as_str())
        && text(event, "session_end_block_height").and_then(|value| value.parse().ok()) == Some(record.end.0)
}

impl Settlement {
    /// What was paid for, before caps and shares.
    fn claimed(&self) -> Option<Upokt> {
        match self {
            Self::Settled { claimed, .. } => Some(*claimed),
            Self::Expired(_) | Self::Discarded(_) | Self::Absent => None,
        }
    }
}

/// The results of a block, to look settlements up in; `None` when the node does not keep them any more.
pub(crate) async fn results(chain: &ChainClient, height: Height) -> Result<Option<BlockResults>, QueryError> {
    match chain.block_results(height).await {
        Ok(results) => Ok(Some(results)),
        // Behind a balancer, the node that answers may not have the block yet.
        Err(error @ QueryError::NotFound(_)) if chain.status().await?.height <= height => Err(error),
        Err(QueryError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a settlement block did with a session's claim.
pub(crate) fn of(record: &SessionRecord, results: &BlockResults) -> Settlement {
    for event in results.end_block_events.iter().filter(|event| concerns(event, record)) {
        match event.kind.strip_prefix("pocket.tokenomics.") {
            Some("EventClaimSettled") => {
                return Settlement::Settled {
                    claimed: text(event, "claimed_upokt")
                        .as_deref()
                        .and_then(upokt)
                        .unwrap_or_default(),
                    proven: text(event, "claim_proof_status_int").as_deref() == Some("1"),
                };
            }
            Some("EventClaimExpired") => {
                return Settlement::Expired(text(event, "expiration_reason").unwrap_or_default());
            }
            Some("EventClaimDiscarded") => return Settlement::Discarded(text(event, "error").unwrap_or_default()),
            _ => {}
        }
    }
    Settlement::Absent
}

/// An attribute's value without its JSON quotes.
fn text(event: &Event, key: &str) -> Option<String> {
    let value = event.value(key)?;
    Some(match serde_json::from_str(value) {
        Ok(Value::String(text)) => text,
        _ => value.to_owned(),
    })
}

fn upokt(coin: &str) -> Option<Upokt> {
    coin.strip_suffix("upokt")?.parse().ok().map(Upokt)
}

impl Worker {
    /// Looks up how sessions were settled, and forgets them.
    pub(crate) async fn settle(&mut self, over: Vec<(Height, SessionId)>) -> Result<(), WorkError> {
        let mut blocks: HashMap<Height, Option<Option<BlockResults>>> = HashMap::new();
        for (height, id) in over {
            if let Entry::Vacant(block) = blocks.entry(height) {
                let results = self.ask(results(&self.deps.chain, height)).await;
                let results = results.inspect_err(|error| {
                    tracing::warn!(%error, %height, "the settlement of a block is not known yet");
                });
                block.insert(results.ok());
            }
            let session = self.sessions.get_mut(&id).expect("nobody else removes sessions");
            let Some(results) = &blocks[&height] else {
                session.try_later();
                continue;
            };
            let settlement = results.as_ref().map(|results| of(&session.record, results));
            let facts = results
                .as_ref()
                .map(|results| SettlementFacts::of(&session.record, results));
            session.record.settlement = Some(settlement.as_ref().map_or("unknown", Settlement::as_str).to_owned());
            session.record.settlement_height = Some(height);
            self.apply(&id, event(settlement.as_ref())).await?;
            self.forget(&id, settlement, facts.unwrap_or_default()).await?;
        }
        Ok(())
    }

    async fn forget(
        &mut self,
        id: &SessionId,
        settlement: Option<Settlement>,
        facts: SettlementFacts,
    ) -> Result<(), WorkError> {
        let record = &self.sessions[id].record;
        if let Some(settlement) = &settlement {
            report(record, settlement);
            self.deps.metrics.settled(record, settlement, &facts);
        }
        let claimed = settlement.as_ref().and_then(Settlement::claimed);
        let keep = self.settings.keep_seconds;
        self.retry("save a session", |store, lease, _| async move {
            store.save_session(&lease, record, keep).await
        })
        .await?;
        self.deps.metrics.sessions.saved(&record.supplier);
        self.retry("delete a tree", |store, lease, _| async move {
            store.delete_tree(&lease, &record.supplier, id).await
        })
        .await?;
        self.board.ended(record, claimed);
        self.sessions.remove(id);
        Ok(())
    }
}

/// What a settlement means for the lifecycle.
fn event(settlement: Option<&Settlement>) -> LifecycleEvent {
    match settlement {
        Some(Settlement::Settled { proven, .. }) => LifecycleEvent::Settled { proven: *proven },
        Some(Settlement::Expired(reason) | Settlement::Discarded(reason)) => LifecycleEvent::Unpaid(reason.clone()),
        Some(Settlement::Absent) => LifecycleEvent::Unsettled("the settlement block has nothing about the session"),
        None => LifecycleEvent::Unsettled("the node does not keep the settlement block any more"),
    }
}

fn report(record: &SessionRecord, settlement: &Settlement) {
    let (session, relays) = (&record.session, record.relays);
    match settlement {
        Settlement::Settled { claimed, proven } => {
            tracing::info!(%session, relays, %claimed, proven, "claim is settled");
        }
        Settlement::Expired(reason) => {
            tracing::error!(%session, relays, reason, "claim expired, the supplier is slashed");
        }
        Settlement::Discarded(reason) => tracing::error!(%session, relays, reason, "the chain discarded a claim"),
        Settlement::Absent if relays > 0 && record.state != SessionState::ClaimSkipped => {
            tracing::error!(%session, relays, state = record.state.as_str(), "session was never claimed");
        }
        Settlement::Absent => {}
    }
}

#[cfg(test)]
mod tests {
    use pocket_protocol::{AppAddress, SessionId, SupplierAddress};

    use super::*;

    fn record() -> SessionRecord {
        let supplier = SupplierAddress::of_public_key(&[2; 33]);
        let application = AppAddress::of_public_key(&[3; 33]);
        SessionRecord::new(
            supplier,
            SessionId::from("5e55"),
            "svc".parse().unwrap(),
            application,
            Height(1),
            Height(10),
        )
    }

    fn event(kind: &str, record: &SessionRecord, more: &[(&str, &str)]) -> Event {
        let quoted = |value: &str| format!("{value:?}");
        let mut attributes = vec![
            ("supplier_operator_address".to_owned(), quoted(record.supplier.as_str())),
            ("service_id".to_owned(), quoted(record.service.as_str())),
            ("application_address".to_owned(), quoted(record.application.as_str())),
            ("session_end_block_height".to_owned(), quoted(&record.end.0.to_string())),
        ];
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        Event {
            kind: format!("pocket.tokenomics.{kind}"),
            attributes,
        }
    }

    fn settled(events: Vec<Event>) -> Settlement {
        of(
            &record(),
            &BlockResults {
                txs: Vec::new(),
                end_block_events: events,
            },
        )
    }

    #[test]
    fn settled_claim_tells_its_amount_and_whether_it_was_proven() {
        let more = [("claimed_upokt", "\"42upokt\""), ("claim_proof_status_int", "1")];
        let expected = Settlement::Settled {
            claimed: Upokt(42),
            proven: true,
        };
        assert_eq!(settled(vec![event("EventClaimSettled", &record(), &more)]), expected);
    }

    #[test]
    fn expired_and_discarded_claims_tell_why() {
        let more = [("expiration_reason", "\"PROOF_MISSING\"")];
        let expired = settled(vec![event("EventClaimExpired", &record(), &more)]);
        assert_eq!(expired, Settlement::Expired("PROOF_MISSING".into()));
        let discarded = settled(vec![event(
            "EventClaimDiscarded",
            &record(),
            &[("error", "\"bad root\"")],
        )]);
        assert_eq!(discarded, Settlement::Discarded("bad root".into()));
    }

    #[test]
    fn settled_claim_tells_what_was_paid_to_whom() {
        let rewards = r#"[{"amount":"30upokt","op_reason":"TLM_RELAY_BURN_EQUALS_MINT_SUPPLIER_SHAREHOLDER_REWARD_DISTRIBUTION"},
            {"amount":"8upokt","op_reason":"TLM_RELAY_BURN_EQUALS_MINT_SUPPLIER_SHAREHOLDER_REWARD_DISTRIBUTION"},
            {"amount":"4upokt","op_reason":"TLM_RELAY_BURN_EQUALS_MINT_DAO_REWARD_DISTRIBUTION"}]"#;
        let facts = |more: &[(&str, &str)]| {
            let events = vec![event("EventClaimSettled", &record(), more)];
            let results = BlockResults {
                txs: Vec::new(),
                end_block_events: events,
            };
            SettlementFacts::of(&record(), &results)
        };
        let claimed = ("claimed_upokt", "\"42upokt\"");
        let told = facts(&[claimed, ("reward_distribution_detailed", rewards)]);
        assert_eq!((told.claimed, told.earned, told.slashed), (Upokt(42), Upokt(38), None));
        assert_eq!(facts(&[claimed]).earned, Upokt(42), "a node that does not tell shares");
    }

    #[test]
    fn expired_claim_tells_what_was_slashed() {
        let events = vec![
            event("EventClaimExpired", &record(), &[("claimed_upokt", "\"42upokt\"")]),
            event(
                "EventSupplierSlashed",
                &record(),
                &[("proof_missing_penalty", "\"7upokt\"")],
            ),
        ];
        let results = BlockResults {
            txs: Vec::new(),
            end_block_events: events,
        };
        let expected = SettlementFacts {
            claimed: Upokt(42),
            earned: Upokt(0),
            slashed: Some(Upokt(7)),
        };
        assert_eq!(SettlementFacts::of(&record(), &results), expected);
    }

    #[test]
    fn events_of_other_sessions_are_not_ours() {
        let other = SessionRecord {
            end: Height(20),
            ..record()
        };
        assert_eq!(
            settled(vec![event("EventClaimSettled", &other, &[])]),
            Settlement::Absent
        );
    }
}
