//! Sending: gas, signature, sequence, broadcast.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pocket_keys::{KeySet, LiveKeys, SigningKey};
use pocket_protocol::{Height, SupplierAddress, Upokt};
use pocket_query::{ChainClient, NodeStatus, RetryPolicy};
use prost_types::{Any, Timestamp};

use crate::account::{Account, Accounts, Known, expected_sequence};
use crate::{Document, Mode, Parts, TxConfig, TxError, TxMetrics, Validity, gas, tx_hash};

/// How often a transaction is built anew when the node expects another sequence.
const ATTEMPTS: u32 = 4;
/// How often the same bytes are offered when the answer is lost.
const OFFERS: RetryPolicy = RetryPolicy {
    attempts: 4,
    first_wait: Duration::from_millis(200),
    longest_wait: Duration::from_secs(2),
};
/// The gas that the fee in a simulation pays for: enough that the transfer of the fee is measured too.
const PLAUSIBLE_GAS: u64 = 300_000;
/// The chain's limit for unordered transactions is ten minutes; some seconds are left for a fast block.
const LONGEST_UNORDERED: Duration = Duration::from_secs(590);

/// A transaction that a mempool took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// SHA-256 of its bytes.
    pub hash: [u8; 32],
    /// The most gas it may use.
    pub gas_limit: u64,
    /// What it costs if it is included, whatever its messages do.
    pub fee: Upokt,
    /// The newest block when it was sent: it can only be in a later one.
    pub sent_at: Height,
}

/// Builds, signs and sends transactions. Clones share the sequences.
#[derive(Clone)]
pub struct TxSender(Arc<Inner>);

struct Inner {
    chain: ChainClient,
    keys: LiveKeys,
    config: TxConfig,
    accounts: Accounts,
    /// The newest block that has a transaction of ours.
    included: AtomicI64,
    metrics: TxMetrics,
}

/// Why an attempt did not end in an accepted transaction.
enum Obstacle {
    /// The node expects another sequence; or the account's number is not what it was.
    Stale(Option<u64>, TxError),
    Final(TxError),
}

impl From<TxError> for Obstacle {
    fn from(error: TxError) -> Self {
        Self::Final(error)
    }
}

impl TxSender {
    /// Knows nothing of any account until the first transaction.
    pub fn new(chain: ChainClient, keys: KeySet, config: TxConfig) -> Self {
        Self::with_metrics(chain, keys, config, TxMetrics::default())
    }

    /// The same, and counts what is sent.
    pub fn with_metrics(chain: ChainClient, keys: KeySet, config: TxConfig, metrics: TxMetrics) -> Self {
        Self(Arc::new(Inner {
            chain,
            keys: keys.into(),
            config,
            accounts: Accounts::default(),
            included: AtomicI64::new(0),
            metrics,
        }))
    }

    /// Signs with other keys from now on. A transaction that is under way is signed with the old one.
    pub fn replace_keys(&self, keys: KeySet) {
        self.0.keys.replace(keys);
    }

    pub(crate) fn chain(&self) -> &ChainClient {
        &self.0.chain
    }

    /// A block has a transaction of ours: sequences are read from its state or a later one.
    pub(crate) fn note_included(&self, height: Height) {
        self.0.included.fetch_max(height.0, Ordering::AcqRel);
    }

    fn included(&self) -> Height {
        Height(self.0.included.load(Ordering::Acquire))
    }

    /// Sends messages of one signer in one transaction, which no block after `timeout` may include (0: any
    /// block). Returns when a mempool has it; whether a block has it, [`inclusion`](Self::inclusion) tells.
    pub async fn send(&self, signer: &SupplierAddress, messages: &[Any], timeout: Height) -> Result<Sent, TxError> {
        let began = Instant::now();
        let sent = self.send_in_turn(signer, messages, timeout).await;
        self.0.metrics.sent(signer, messages, began.elapsed(), &sent);
        sent
    }

    /// One transaction of a signer after the other.
    async fn send_in_turn(&self, signer: &SupplierAddress, messages: &[Any], timeout: Height) -> Result<Sent, TxError> {
        let key = self.0.keys.get(signer).ok_or_else(|| TxError::NoKey(signer.clone()))?;
        let account = self.0.accounts.of(signer);
        // An asynchronous lock, held until the mempool has the transaction: the next sequence is only
        // known then.
        let mut account = account.lock().await;
        let mut attempt = 1;
        loop {
            match self.attempt(&mut account, &key, messages, timeout).await {
                Ok(sent) => return Ok(sent),
                Err(Obstacle::Final(error)) => return Err(error),
                Err(Obstacle::Stale(expected, error)) => {
                    account.correct(expected);
                    if attempt == ATTEMPTS {
                        return Err(error);
                    }
                    attempt += 1;
                    tracing::info!(%signer, expected, "the account's sequence is corrected");
                }
            }
        }
    }

    async fn attempt(
        &self,
        account: &mut Account,
        key: &SigningKey,
        messages: &[Any],
        timeout: Height,
    ) -> Result<Sent, Obstacle> {
        let chain_id = self.0.chain.chain_id().await.map_err(TxError::from)?;
        let status = self.0.chain.status().await.map_err(TxError::from)?;
        if timeout > Height(0) && timeout <= status.height {
            let text = format!(
                "block {} is there, the transaction had to be in {timeout}",
                status.height
            );
            return Err(TxError::Expired(text).into());
        }
        let known = account
            .read(&self.0.chain, key.address(), self.included())
            .await
            .map_err(TxError::from)?;
        let public_key = key.public_key();
        let mut parts = Parts {
            messages,
            memo: &self.0.config.memo,
            validity: self.validity(account, known, &status, timeout).await?,
            public_key: &public_key,
            gas_limit: PLAUSIBLE_GAS,
            fee: self.0.config.gas_price.fee(PLAUSIBLE_GAS),
            chain_id: &chain_id,
            account_number: known.number,
        };
        parts.gas_limit = self.gas_limit(&parts).await?;
        parts.fee = self.0.config.gas_price.fee(parts.gas_limit);
        let document = Document::new(&parts)?;
        let tx = document.with_signature(&key.sign_message(&document.sign_bytes()));
        let sent = Sent {
            hash: tx_hash(&tx),
            gas_limit: parts.gas_limit,
            fee: parts.fee,
            sent_at: status.height,
        };
        self.offer(account, tx, sent).await
    }

    async fn validity(
        &self,
        account: &mut Account,
        known: Known,
        status: &NodeStatus,
        timeout: Height,
    ) -> Result<Validity, TxError> {
        if self.0.config.mode == Mode::Ordered {
            let sequence = known.sequence;
            return Ok(Validity::Ordered { sequence, timeout });
        }
        // Reckoned from block time, which may lag the clock: the chain compares with nothing else.
        let lifetime = match timeout {
            Height(0) => LONGEST_UNORDERED,
            _ => self.time_until(status, timeout).await?.min(LONGEST_UNORDERED),
        };
        let wanted = status.block_time.unix_timestamp_nanos() + lifetime.as_nanos() as i128;
        let nanos = account.unique_timestamp(wanted);
        Ok(Validity::Unordered {
            timeout: Timestamp {
                seconds: nanos.div_euclid(1_000_000_000) as i64,
                nanos: nanos.rem_euclid(1_000_000_000) as i32,
            },
        })
    }

    /// The time until a block, at the pace of the last ten.
    async fn time_until(&self, status: &NodeStatus, height: Height) -> Result<Duration, TxError> {
        let earlier = Height((status.height.0 - 10).max(1));
        let past = self.0.chain.block(earlier).await?.time;
        let span = (status.block_time - past).max(time::Duration::SECOND).unsigned_abs();
        let blocks = (status.height - earlier).max(1) as u32;
        Ok(span / blocks * (height - status.height).clamp(1, 10_000) as u32)
    }

    async fn gas_limit(&self, parts: &Parts<'_>) -> Result<u64, Obstacle> {
        if let Some(fixed) = self.0.config.gas_limit {
            return Ok(fixed);
        }
        let simulated = self.0.chain.simulate(Document::new(parts)?.with_signature(&[])).await;
        let used = simulated.map_err(|error| {
            let error = TxError::of_simulation(error);
            match &error {
                TxError::Retry(text) if text.contains("account sequence mismatch") => {
                    Obstacle::Stale(expected_sequence(text), error)
                }
                _ => Obstacle::Final(error),
            }
        })?;
        Ok(gas::adjusted(used, self.0.config.gas_adjustment))
    }

    /// Offers the same bytes until a node answers. After a lost answer a wrong sequence may mean that the
    /// first offer was taken, so it counts as uncertain.
    async fn offer(&self, account: &mut Account, tx: Bytes, sent: Sent) -> Result<Sent, Obstacle> {
        let mut lost = 0;
        loop {
            let answer = match self.0.chain.broadcast(tx.clone()).await {
                Ok(answer) => {
                    lost += answer.unanswered;
                    answer
                }
                Err(error) if error.is_transient() && lost + 1 < OFFERS.attempts => {
                    lost += 1;
                    tracing::warn!(%error, lost, "a broadcast's answer was lost");
                    tokio::time::sleep(OFFERS.wait_after(lost)).await;
                    continue;
                }
                Err(error) if error.is_transient() => {
                    account.correct(None);
                    return Err(TxError::Uncertain(sent).into());
                }
                Err(error) => return Err(TxError::from(error).into()),
            };
            return match (answer.codespace.as_str(), answer.code) {
                // 19: the mempool has the same bytes already.
                (_, 0) | ("sdk", 19) => {
                    account.advance();
                    Ok(sent)
                }
                ("sdk", 32) if lost > 0 => {
                    account.correct(None);
                    Err(TxError::Uncertain(sent).into())
                }
                ("sdk", code @ (4 | 32)) => {
                    let error = TxError::of_code("sdk", code, &answer.log);
                    Err(Obstacle::Stale(expected_sequence(&answer.log), error))
                }
                (codespace, code) => Err(TxError::of_code(codespace, code, &answer.log).into()),
            };
        }
    }
}
