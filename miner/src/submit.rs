//! Sending messages in batches until each is in a block or known to be hopeless.

use std::collections::VecDeque;

use pocket_protocol::{Height, SessionId, SupplierAddress};
use pocket_query::BlockFeed;
use pocket_tx::{ChainRefusal, Inclusion, Remedy, Sent, TxError, TxSender};
use prost_types::Any;

use crate::rehearsal::LastFee;

/// Most bytes of messages in one transaction: far below a block's size, above many proofs'.
const BYTES_A_TRANSACTION: usize = 256 << 10;
/// Blocks that a transaction gets to be included before it is made anew, if the window allows.
const PATIENCE: i64 = 4;

/// One session's message.
pub(crate) struct Item {
    pub session: SessionId,
    pub message: Any,
}

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// In a block, with effect. The transaction's hash in upper-case hex.
    Included { tx: String },
    /// The chain will not take it.
    Refused { reason: ChainRefusal, text: String },
    /// To be tried again at the next block.
    Later(String),
}

pub(crate) struct Submitter<'a> {
    pub tx: &'a TxSender,
    pub feed: &'a BlockFeed,
    pub supplier: &'a SupplierAddress,
    /// Most messages in one transaction.
    pub batch: usize,
    /// Last block in which the messages are worth anything.
    pub close: Height,
    /// What a message of this kind cost last.
    pub fee: &'a LastFee,
    /// Nothing is sent: a test wants to see what happens then.
    pub is_refused: bool,
}

impl Submitter<'_> {
    /// Sends the messages. One that the chain refuses does not take the others with it.
    pub async fn submit(&self, items: Vec<Item>) -> Vec<(SessionId, Outcome)> {
        let mut outcomes = Vec::with_capacity(items.len());
        let mut queue = self.batches(items);
        while let Some(mut batch) = queue.pop_front() {
            let messages: Vec<Any> = batch.iter().map(|item| item.message.clone()).collect();
            let error = match self.send(&messages).await {
                Ok(tx) => {
                    let included = |item: Item| (item.session, Outcome::Included { tx: tx.clone() });
                    outcomes.extend(batch.into_iter().map(included));
                    continue;
                }
                Err(error) => error,
            };
            match error {
                TxError::Refused {
                    message_index: Some(index),
                    reason,
                    text,
                } if index < batch.len() => {
                    outcomes.push((batch.remove(index).session, refusal(reason, text)));
                    if !batch.is_empty() {
                        queue.push_front(batch);
                    }
                }
                // It is not told which message is to blame: halves find out.
                TxError::Refused { .. } | TxError::TooLarge(_) | TxError::OutOfGas(_) if batch.len() > 1 => {
                    let rest = batch.split_off(batch.len() / 2);
                    queue.push_front(rest);
                    queue.push_front(batch);
                }
                TxError::Refused { reason, text, .. } => {
                    outcomes.extend(
                        batch
                            .into_iter()
                            .map(|item| (item.session, refusal(reason, text.clone()))),
                    );
                }
                error => {
                    let text = error.to_string();
                    outcomes.extend(
                        batch
                            .into_iter()
                            .map(|item| (item.session, Outcome::Later(text.clone()))),
                    );
                }
            }
        }
        outcomes
    }

    fn batches(&self, items: Vec<Item>) -> VecDeque<Vec<Item>> {
        let mut batches: VecDeque<Vec<Item>> = VecDeque::new();
        let mut bytes = 0;
        for item in items {
            bytes += item.message.value.len();
            match batches.back_mut() {
                Some(batch) if batch.len() < self.batch && bytes <= BYTES_A_TRANSACTION => batch.push(item),
                _ => {
                    bytes = item.message.value.len();
                    batches.push_back(vec![item]);
                }
            }
        }
        batches
    }

    /// Sends one transaction and waits until it is in a block, or can be in none any more.
    async fn send(&self, messages: &[Any]) -> Result<String, TxError> {
        if self.is_refused {
            return Err(TxError::Retry("refused by a test switch".to_owned()));
        }
        let mut blocks = self.feed.subscribe();
        let now = blocks.borrow_and_update().height;
        let timeout = self.close.min(now + PATIENCE.max((self.close - now) / 2));
        let sent: Sent = match self.tx.send(self.supplier, messages, timeout).await {
            // Uncertain ones may have arrived: to send them again could only waste a fee.
            Ok(sent) | Err(TxError::Uncertain(sent)) => sent,
            Err(error) => return Err(error),
        };
        let tx = hex::encode_upper(sent.hash);
        self.fee.paid(sent.fee, messages.len());
        tracing::info!(supplier = %self.supplier, tx, messages = messages.len(), fee = %sent.fee, "sent");
        let mut from = sent.sent_at;
        loop {
            match self.tx.inclusion(&sent.hash, from, timeout).await {
                Ok(Inclusion::Included { outcome, .. }) => return outcome.map(|_gas| tx),
                Ok(Inclusion::Absent) => {
                    return Err(TxError::Expired(format!(
                        "transaction {tx} was in no block up to {timeout}"
                    )));
                }
                Ok(Inclusion::Pending { next }) => from = next,
                Err(error) => tracing::warn!(%error, tx, "cannot look for a transaction, trying again"),
            }
            if blocks.changed().await.is_err() {
                return Err(TxError::Retry("the block feed ended".into()));
            }
        }
    }
}

fn refusal(reason: ChainRefusal, text: String) -> Outcome {
    match reason.remedy() {
        Remedy::Wait | Remedy::Fund => Outcome::Later(text),
        Remedy::Leave | Remedy::Rebuild => Outcome::Refused { reason, text },
    }
}
