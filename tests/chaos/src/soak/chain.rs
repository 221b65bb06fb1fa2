//! A real chain, and what it says of claims: roots and proofs from its state, all else from its blocks.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use pocket_demo::{ClaimKey, Observer, Outcome};
use pocket_devnet::Actor;
use pocket_integration::Localnet;
use pocket_proto::pocket::proof::Claim;
use pocket_protocol::{Height, SharedParams};
use pocket_query::{ChainClient, QueryError};
use tokio::time::{Instant, sleep};

use crate::book::Part;
use crate::fate::{Fate, Settled};
use crate::fleet::{Node, SUPPLIERS};

/// A node that does not answer for so long is gone.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two attempts to ask it.
const AGAIN: Duration = Duration::from_secs(1);

/// The chain and its observer.
pub struct RealChain {
    client: ChainClient,
    observer: Observer,
    /// Claims as they stood in the chain's state, by session and supplier.
    claims: BTreeMap<(String, String), Known>,
    suppliers: Vec<String>,
    /// What each supplier had staked at the start, upokt.
    stakes: Vec<String>,
    node: Node,
    // Runs as long as this.
    _localnet: Localnet,
}

/// A claim in the chain's state.
struct Known {
    key: ClaimKey,
    /// Every root that it was seen with.
    roots: Vec<Bytes>,
}

impl RealChain {
    /// Looks at a chain that has just started.
    pub async fn watch(localnet: Localnet) -> anyhow::Result<Self> {
        let node = Node::at(localnet.rpc_url(), localnet.grpc_url())?;
        let client = node.client()?;
        let mut this = Self {
            observer: Observer::new(client.clone(), Height(1)),
            client,
            claims: BTreeMap::new(),
            suppliers: (1..=SUPPLIERS)
                .map(|number| Actor::named(&format!("supplier{number}")).address)
                .collect(),
            stakes: Vec::new(),
            node,
            _localnet: localnet,
        };
        // It answers nothing before its first block.
        this.look().await?;
        this.stakes = this.stakes().await?;
        Ok(this)
    }

    /// Where its node answers.
    pub fn node(&self) -> Node {
        self.node
    }

    /// The last block that was looked at.
    pub fn height(&self) -> Height {
        self.observer.height()
    }

    /// Parameters of sessions and windows.
    pub async fn params(&self) -> anyhow::Result<SharedParams> {
        Ok(SharedParams::clone(&*self.client.shared_params().await?))
    }

    /// Takes in all blocks so far, and the claims of the moment.
    pub async fn look(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while let Err(error) = self.try_to_look().await {
            if began.elapsed() > PATIENCE {
                return Err(error).context("the chain does not answer");
            }
            sleep(AGAIN).await;
        }
        Ok(())
    }

    async fn try_to_look(&mut self) -> Result<(), QueryError> {
        let height = self.client.status().await?.height;
        // Before the blocks: what they settle must have been seen.
        for supplier in &self.suppliers {
            for claim in self.client.claims_of(supplier).await? {
                note(&mut self.claims, claim);
            }
        }
        self.observer.read_to(height).await
    }

    /// What the chain says of a part.
    pub fn fate(&self, part: &Part) -> Fate {
        let key = (part.session.clone(), part.supplier.clone());
        let Some(known) = self.claims.get(&key) else {
            return Fate::default();
        };
        let mut fate = Fate {
            claims: known.roots.clone(),
            ..Fate::default()
        };
        let Some(told) = self.told(&known.key) else { return fate };
        fate.proofs = usize::from(told.proof_included);
        fate.lost = told.slashed.then(|| "the supplier was slashed for it".to_owned());
        match &told.outcome {
            Some(Outcome::Settled { .. }) => {
                fate.settled = Some(Settled {
                    is_proven: told.proven(),
                    had_to_be_proven: told.proof_required() == Some(true),
                });
            }
            Some(Outcome::Expired { reason }) => fate.lost = Some(format!("the claim expired: {reason}")),
            Some(Outcome::Discarded { error }) => fate.lost = Some(format!("the claim was discarded: {error}")),
            None => {}
        }
        fate
    }

    /// upokt that the suppliers' shareholders got.
    pub fn earned(&self) -> u128 {
        let outcomes = self
            .observer
            .ledger()
            .claims()
            .filter_map(|(_, fate)| fate.outcome.as_ref());
        let earned = outcomes.map(|outcome| match outcome {
            Outcome::Settled { earned, .. } => earned.0,
            _ => 0,
        });
        earned.sum()
    }

    /// Claims that had to be proven.
    pub fn claims_to_prove(&self) -> usize {
        let fates = self.observer.ledger().claims().map(|(_, fate)| fate);
        fates.filter(|fate| fate.proof_required() == Some(true)).count()
    }

    /// Whatever is wrong with the chain's books as a whole: claims of sessions that nobody served, stakes that shrank.
    pub async fn faults(&self) -> anyhow::Result<Vec<String>> {
        let mut faults = Vec::new();
        for (key, fate) in self.observer.ledger().claims() {
            if !matches!(fate.outcome, Some(Outcome::Settled { .. })) || fate.slashed {
                faults.push(format!(
                    "claim of {} relays of {} at {} for {}: {:?}",
                    fate.relays, key.supplier, key.session_end, key.service, fate.outcome
                ));
            }
            if !self.claims.values().any(|known| known.key == *key) {
                faults.push(format!("a claim at {} came and went unseen", key.session_end));
            }
        }
        let stakes = self.stakes().await?;
        if stakes != self.stakes {
            faults.push(format!("stakes were {:?} and are {stakes:?}", self.stakes));
        }
        Ok(faults)
    }

    fn told(&self, key: &ClaimKey) -> Option<&pocket_demo::ClaimFate> {
        let mut claims = self.observer.ledger().claims();
        claims.find_map(|(known, fate)| (known == key).then_some(fate))
    }

    async fn stakes(&self) -> anyhow::Result<Vec<String>> {
        let mut stakes = Vec::new();
        for supplier in &self.suppliers {
            let record = self.client.supplier(supplier).await?;
            stakes.push(record.stake.clone().unwrap_or_default().amount);
        }
        Ok(stakes)
    }
}

fn note(claims: &mut BTreeMap<(String, String), Known>, claim: Claim) {
    let header = claim.session_header.unwrap_or_default();
    let key = (header.session_id, claim.supplier_operator_address.clone());
    let known = claims.entry(key).or_insert_with(|| Known {
        key: ClaimKey {
            supplier: claim.supplier_operator_address,
            application: header.application_address,
            service: header.service_id,
            session_end: header.session_end_block_height,
        },
        roots: Vec::new(),
    });
    if !known.roots.contains(&claim.root_hash) {
        known.roots.push(claim.root_hash);
    }
}
