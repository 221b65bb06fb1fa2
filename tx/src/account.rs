//! What is known of a signer's account between transactions.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use pocket_protocol::{Height, SupplierAddress};
use pocket_query::{ChainClient, QueryError};

/// A signer's number and next sequence, once read. Locked while a transaction is on its way to the mempool.
#[derive(Debug, Default)]
pub(crate) struct Account {
    known: Option<Known>,
    /// The last timestamp that an unordered transaction used, in nanoseconds of the Unix epoch.
    last_timestamp: i128,
}

/// Number and next sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) number: u64,
    pub(crate) sequence: u64,
}

impl Account {
    /// Reads the account unless it is known, from a node that has the block of the last transaction, `since`: one that is
    /// behind would tell a sequence that is used up.
    pub(crate) async fn read(
        &mut self,
        chain: &ChainClient,
        address: &SupplierAddress,
        since: Height,
    ) -> Result<Known, QueryError> {
        if let Some(known) = self.known {
            return Ok(known);
        }
        let account = chain.account_since(address.as_str(), since).await?;
        let known = Known {
            number: account.account_number,
            sequence: account.sequence,
        };
        self.known = Some(known);
        Ok(known)
    }

    /// The mempool took a transaction with the known sequence.
    pub(crate) fn advance(&mut self) {
        if let Some(known) = &mut self.known {
            known.sequence += 1;
        }
    }

    /// The node expects another sequence: the one it names, or else what the account says.
    pub(crate) fn correct(&mut self, expected: Option<u64>) {
        self.known = self
            .known
            .zip(expected)
            .map(|(known, sequence)| Known { sequence, ..known });
    }

    /// A timestamp not below the wanted one that no transaction of this process used.
    pub(crate) fn unique_timestamp(&mut self, wanted: i128) -> i128 {
        self.last_timestamp = wanted.max(self.last_timestamp + 1);
        self.last_timestamp
    }
}

/// The sequence that a node expects, from `account sequence mismatch, expected X, got Y`.
pub(crate) fn expected_sequence(log: &str) -> Option<u64> {
    let (_, rest) = log.split_once("account sequence mismatch, expected ")?;
    rest.split(|character: char| !character.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// The accounts of all signers; different signers do not wait for each other.
#[derive(Default)]
pub(crate) struct Accounts(Mutex<HashMap<SupplierAddress, Arc<tokio::sync::Mutex<Account>>>>);

impl Accounts {
    pub(crate) fn of(&self, signer: &SupplierAddress) -> Arc<tokio::sync::Mutex<Account>> {
        self.0.lock().entry(signer.clone()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_sequence_is_read_from_the_log() {
        let log = "account sequence mismatch, expected 17, got 4: incorrect account sequence";
        assert_eq!(expected_sequence(log), Some(17));
        assert_eq!(expected_sequence("incorrect account sequence"), None);
    }

    #[test]
    fn unnamed_sequence_is_read_again() {
        let mut account = Account {
            known: Some(Known { number: 3, sequence: 4 }),
            ..Account::default()
        };
        account.correct(Some(17));
        assert_eq!(
            account.known,
            Some(Known {
                number: 3,
                sequence: 17
            })
        );
        account.correct(None);
        assert_eq!(account.known, None);
    }

    #[test]
    fn timestamps_are_never_used_twice() {
        let mut account = Account::default();
        assert_eq!(account.unique_timestamp(100), 100);
        assert_eq!(account.unique_timestamp(100), 101);
        assert_eq!(account.unique_timestamp(50), 102);
        assert_eq!(account.unique_timestamp(200), 200);
    }
}
