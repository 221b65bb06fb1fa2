//! Accounts and balances.

use pocket_proto::cosmos::auth::v1beta1 as auth;
use pocket_proto::cosmos::bank::v1beta1 as bank;
use pocket_proto::cosmos::crypto::secp256k1::PubKey;
use pocket_proto::type_url;
use pocket_protocol::{Height, Upokt};
use prost::Message as _;

use crate::cache::{Hold, Key};
use crate::{ChainClient, QueryError};

/// The one denomination that pays.
const DENOMINATION: &str = "upokt";

impl ChainClient {
    /// An account's number, sequence and key, whatever its type. Never cached.
    pub async fn account(&self, address: &str) -> Result<auth::BaseAccount, QueryError> {
        self.account_since(address, Height(0)).await
    }

    /// [`account`](Self::account) as it is at `height` or later: a node that is behind may have an old sequence.
    pub async fn account_since(&self, address: &str, height: Height) -> Result<auth::BaseAccount, QueryError> {
        let ask = |channel| async move {
            let address = address.to_owned();
            let request = auth::QueryAccountInfoRequest { address };
            auth::query_client::QueryClient::new(channel)
                .account_info(request)
                .await
        };
        let take = |answer: auth::QueryAccountInfoResponse| answer.info.ok_or_else(|| QueryError::missing("info"));
        Ok(self.ask("auth.AccountInfo", height, ask, take).await?.value)
    }

    /// The compressed key of an account; kept for ever once found, since an account never changes it.
    /// [`QueryError::NotFound`] also when the account has not sent a transaction yet.
    pub async fn public_key(&self, address: &str) -> Result<[u8; 33], QueryError> {
        let ask = || async { Ok((key_of(&self.account(address).await?)?, Hold::Forever)) };
        self.0.caches.public_keys.get(Key::Of(address.to_owned()), ask).await
    }

    /// What an account holds, spendable or not. Never cached.
    pub async fn balance(&self, address: &str) -> Result<Upokt, QueryError> {
        let ask = |channel| async move {
            let request = bank::QueryBalanceRequest {
                address: address.to_owned(),
                denom: DENOMINATION.to_owned(),
            };
            bank::query_client::QueryClient::new(channel).balance(request).await
        };
        let take = |answer: bank::QueryBalanceResponse| {
            let coin = answer.balance.ok_or_else(|| QueryError::missing("balance"))?;
            let amount = coin.amount.parse().map(Upokt);
            amount.map_err(|_| QueryError::Malformed("the balance is no number".into()))
        };
        Ok(self.ask("bank.Balance", Height(0), ask, take).await?.value)
    }
}

fn key_of(account: &auth::BaseAccount) -> Result<[u8; 33], QueryError> {
    let Some(any) = &account.pub_key else {
        return Err(QueryError::NotFound(format!(
            "{} has no public key yet",
            account.address
        )));
    };
    let message = format!("{} has a key of type {}", account.address, any.type_url);
    if any.type_url != type_url::PUB_KEY {
        return Err(QueryError::Malformed(message));
    }
    let key = PubKey::decode(any.value.as_slice()).map_err(|_| QueryError::Malformed(message.clone()))?;
    key.key.as_ref().try_into().map_err(|_| QueryError::Malformed(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(type_url: &str, key: &[u8]) -> auth::BaseAccount {
        let key = bytes::Bytes::copy_from_slice(key);
        let value = PubKey { key }.encode_to_vec();
        let type_url = type_url.to_owned();
        auth::BaseAccount {
            pub_key: Some(prost_types::Any { type_url, value }),
            ..Default::default()
        }
    }

    #[test]
    fn account_that_never_sent_has_no_key() {
        let found = key_of(&auth::BaseAccount::default());
        assert!(matches!(found, Err(QueryError::NotFound(_))));
    }

    #[test]
    fn key_of_another_type_or_length_is_malformed() {
        assert_eq!(key_of(&account(type_url::PUB_KEY, &[2; 33])), Ok([2; 33]));
        for odd in [
            account(type_url::PUB_KEY, &[2; 32]),
            account("/cosmos.crypto.ed25519.PubKey", &[2; 33]),
        ] {
            assert!(matches!(key_of(&odd), Err(QueryError::Malformed(_))));
        }
    }
}
