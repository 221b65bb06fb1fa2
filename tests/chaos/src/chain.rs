//! The devnet, whose blocks are made here so that they can stop, and what its blocks say of claims and proofs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pocket_devnet::chain::{Block, Event, Message, Tx};
use pocket_devnet::{Devnet, DevnetConfig, Localnet};
use pocket_protocol::{Height, Windows};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::book::Part;
use crate::fate::{Fate, Settled};
use crate::fleet::Node;

/// From block to block.
#[derive(Clone, Copy, Debug)]
enum Pace {
    Every(Duration),
    Stopped,
}

/// A chain that can be stopped.
pub struct Chain {
    devnet: Arc<Devnet>,
    pace: watch::Sender<Pace>,
    usual: Duration,
    heights: watch::Receiver<i64>,
    fates: Arc<Mutex<BTreeMap<(String, String), Fate>>>,
    producing: AbortOnDropHandle<()>,
}

impl Chain {
    /// Starts making blocks.
    pub async fn start(localnet: &Localnet, block_time: Duration) -> anyhow::Result<Self> {
        let config = DevnetConfig {
            genesis: localnet.genesis(),
            ..DevnetConfig::default()
        };
        let devnet = Arc::new(Devnet::start(config).await?);
        let (pace, paced) = watch::channel(Pace::Every(block_time));
        let (tell, heights) = watch::channel(devnet.height());
        let fates = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let producing = tokio::spawn(produce(devnet.clone(), paced, tell, fates.clone()));
        Ok(Self {
            devnet,
            pace,
            usual: block_time,
            heights,
            fates,
            producing: AbortOnDropHandle::new(producing),
        })
    }

    /// Where it answers.
    pub fn node(&self) -> anyhow::Result<Node> {
        Node::at(&self.devnet.rpc_url(), &self.devnet.grpc_url())
    }

    /// Height of the last block.
    pub fn height(&self) -> i64 {
        *self.heights.borrow()
    }

    /// Waits for a block.
    pub async fn until(&self, height: i64) {
        // The sender lives as long as this.
        let _ = self.heights.clone().wait_for(|now| *now >= height).await;
    }

    /// No block comes any more.
    pub fn stop_blocks(&self) {
        self.pace.send_replace(Pace::Stopped);
    }

    /// Blocks come as usual.
    pub fn go_on(&self) {
        self.pace.send_replace(Pace::Every(self.usual));
    }

    /// Blocks come as fast as `every`, until [`Self::go_on`].
    pub fn hurry(&self, every: Duration) {
        self.pace.send_replace(Pace::Every(every));
    }

    /// Makes several blocks at once, besides those of the usual pace.
    pub fn burst(&self, blocks: u64) {
        self.devnet.advance(blocks);
    }

    /// Refuses the next transactions with claims or proofs.
    pub fn refuse(&self, transactions: u32) {
        self.devnet.refuse_next(transactions);
    }

    /// Windows of a session.
    pub fn windows(&self, end: i64) -> Windows {
        self.devnet.read(|chain| chain.view().state.windows(end))
    }

    /// What the blocks say of a part.
    pub fn fate(&self, part: &Part) -> Fate {
        let key = (part.session.clone(), part.supplier.clone());
        self.fates.lock().get(&key).cloned().unwrap_or_default()
    }

    /// Whether time alone is missing for this part: it is claimed and its proof is not due yet, or it is proven.
    pub fn only_waits(&self, part: &Part) -> bool {
        let windows = self.windows(part.end);
        let claim = self.devnet.read(|chain| {
            let claim = chain.view().state.claim(&part.session, &part.supplier).cloned();
            claim.map(|claim| claim.proof_validation_status)
        });
        let is_early = Height(self.height() + 2) < windows.proof_open;
        match claim {
            Some(status) => is_early || status == VALIDATED,
            None => self.height() > windows.claim_close.0,
        }
    }

    /// Ends the node.
    pub async fn shutdown(self) {
        drop(self.producing);
        if let Some(devnet) = Arc::into_inner(self.devnet) {
            devnet.shutdown().await;
        }
    }
}

/// `ClaimProofStatus::Validated` on the wire.
const VALIDATED: i32 = 1;

async fn produce(
    devnet: Arc<Devnet>,
    mut pace: watch::Receiver<Pace>,
    tell: watch::Sender<i64>,
    fates: Arc<Mutex<BTreeMap<(String, String), Fate>>>,
) {
    let mut blocks = devnet.subscribe();
    loop {
        let now = *pace.borrow_and_update();
        match now {
            Pace::Stopped => {
                if pace.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Pace::Every(time) => {
                let stopped = pace.wait_for(|pace| matches!(pace, Pace::Stopped));
                if tokio::time::timeout(time, stopped).await.is_ok() {
                    continue;
                }
            }
        }
        devnet.advance(1);
        while let Ok(block) = blocks.try_recv() {
            note(&mut fates.lock(), &block);
        }
        tell.send_replace(devnet.height());
    }
}

fn note(fates: &mut BTreeMap<(String, String), Fate>, block: &Block) {
    for (tx, result) in block.txs.iter().zip(&block.results) {
        let messages = Tx::decode(tx).map(|tx| tx.messages).unwrap_or_default();
        for message in messages.into_iter().filter(|_| result.code == 0) {
            match message {
                Message::CreateClaim(claim) => {
                    let session = claim.session_header.unwrap_or_default().session_id;
                    let fate = fates.entry((session, claim.supplier_operator_address)).or_default();
                    fate.claims.push(claim.root_hash);
                }
                Message::SubmitProof(proof) => {
                    let session = proof.session_header.unwrap_or_default().session_id;
                    let fate = fates.entry((session, proof.supplier_operator_address)).or_default();
                    fate.proofs += 1;
                }
                Message::Send(_) => {}
            }
        }
    }
    for event in block.events.iter().filter(|event| is_settlement(event)) {
        let text = |key| event.value(key).unwrap_or_default();
        let fate = fates.entry((text("session_id"), text("supplier_operator_address")));
        fate.or_default().settled = Some(Settled {
            is_proven: text("claim_proof_status_int") == VALIDATED.to_string(),
            // Here every claim is drawn.
            had_to_be_proven: true,
        });
    }
}

fn is_settlement(event: &Event) -> bool {
    event.kind.ends_with(".EventClaimSettled")
}
