//! Transactions as bytes: dry runs and broadcast.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use parking_lot::Mutex;
use pocket_proto::cosmos::tx::v1beta1 as proto;
use pocket_protocol::Height;
use proto::service_client::ServiceClient;
use tokio::time::timeout;

use crate::nodes::Reply;
use crate::{ChainClient, QueryError, RetryPolicy};

/// What one node's mempool said to a transaction. Messages have not been run (spec `chain.md` §7.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// 0 is accepted.
    pub code: u32,
    /// Who numbers the code; the ante handler's is `sdk`.
    pub codespace: String,
    /// The refusal in words; may be empty.
    pub log: String,
    /// Nodes that were offered it before and whose answer is not known: it may be in their mempools.
    pub unanswered: u32,
}

/// The same bytes are in the mempool already.
const KNOWN: u32 = 19;
/// Each node has a lowest price of its own.
const FEE_TOO_LOW: u32 = 13;
/// So has each mempool a size.
const FULL: u32 = 20;
/// A node that takes longer to take what another has taken is not waited for.
const SPREAD: Duration = Duration::from_secs(1);

impl Broadcast {
    /// A mempool has it.
    fn is_taken(&self) -> bool {
        self.code == 0 || (self.codespace == "sdk" && self.code == KNOWN)
    }

    /// A node's own limits refused it: its price, or the size of its mempool.
    fn is_of_one_node(&self) -> bool {
        self.codespace == "sdk" && matches!(self.code, FEE_TOO_LOW | FULL)
    }
}

impl ChainClient {
    /// Runs a transaction on the newest state without checking its signature: the gas used. A message that
    /// the chain would refuse is [`QueryError::Refused`] with code `Unknown` and the chain's log.
    pub async fn simulate(&self, tx: Bytes) -> Result<u64, QueryError> {
        let request = proto::SimulateRequest { tx_bytes: tx };
        let ask = |channel| {
            let request = request.clone();
            async move { ServiceClient::new(channel).simulate(request).await }
        };
        let take = |answer: proto::SimulateResponse| {
            let gas = answer.gas_info.ok_or_else(|| QueryError::missing("gas_info"))?;
            Ok(gas.gas_used)
        };
        Ok(self.ask("tx.Simulate", Height(0), ask, take).await?.value)
    }

    /// Offers a transaction to a mempool, to each node at most once: after [`QueryError::Unavailable`] it may or may
    /// not be there, which only its sender can sort out. What one of several nodes takes is offered to the others too:
    /// one that dies before its peers have heard of it takes nothing with it, and the next sequence is known to all.
    pub async fn broadcast(&self, tx: Bytes) -> Result<Broadcast, QueryError> {
        let (nodes, config) = (&self.0.nodes, &self.0.config);
        nodes.introduced().await;
        let request = proto::BroadcastTxRequest {
            tx_bytes: tx,
            mode: proto::BroadcastMode::Sync.into(),
        };
        let refusal = Mutex::new(None);
        let offer = |index: usize| Box::pin(self.offer(index, request.clone(), &refusal));
        let told = nodes
            .grpc
            .ask("tx.BroadcastTx", config.query_timeout, &RetryPolicy::ONCE, offer)
            .await;
        let (by, answer) = match told {
            Ok(told) => {
                let unanswered = told.open;
                (
                    told.by,
                    Broadcast {
                        unanswered,
                        ..told.value
                    },
                )
            }
            // No node took it, and one at least said why.
            Err(error) => return refusal.into_inner().ok_or(error),
        };
        if answer.is_taken() {
            let others = nodes.grpc.others(by).into_iter().map(offer);
            // Only their mempools matter: what they say is another's business, or the sender's who asks again.
            let _ = timeout(config.query_timeout.min(SPREAD), join_all(others)).await;
        }
        Ok(answer)
    }

    /// What one node's mempool says. Of several, another may take what this one refuses for reasons of its own, and a
    /// "no" from one that is behind says nothing: it may lack the last sequence. Such a refusal is kept in `refusal`.
    async fn offer(
        &self,
        index: usize,
        request: proto::BroadcastTxRequest,
        refusal: &Mutex<Option<Broadcast>>,
    ) -> Reply<Broadcast> {
        let known = self.highest_seen();
        let mut client = ServiceClient::new(self.0.nodes.grpc.node(index).clone());
        let take = |answer: proto::BroadcastTxResponse| {
            let response = answer.tx_response.ok_or_else(|| QueryError::missing("tx_response"))?;
            Ok(Broadcast {
                code: response.code,
                codespace: response.codespace,
                log: response.raw_log,
                unanswered: 0,
            })
        };
        let sent = client.broadcast_tx(request);
        match self.reply(index, "tx.BroadcastTx", Height(0), sent, take).await {
            Reply::Answer(answer) => {
                let is_behind = !answer.value.is_taken() && answer.read_at < known;
                if self.0.nodes.grpc.is_several() && (is_behind || answer.value.is_of_one_node()) {
                    let error = QueryError::Unavailable(format!("tx.BroadcastTx: {}", answer.value.log));
                    // Whether others took it before is not known any more when this is all that is known.
                    let unanswered = 1;
                    *refusal.lock() = Some(Broadcast {
                        unanswered,
                        ..answer.value
                    });
                    return Reply::Weak(error);
                }
                Reply::Answer(answer.value)
            }
            Reply::Final(error) => Reply::Final(error),
            Reply::Weak(error) => Reply::Weak(error),
            Reply::Lost(error) => Reply::Lost(error),
        }
    }
}
