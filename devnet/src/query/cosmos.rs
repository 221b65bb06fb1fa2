//! Accounts and balances.

use bytes::Bytes;
use pocket_proto::cosmos::auth::v1beta1::{
    BaseAccount, QueryAccountInfoRequest, QueryAccountInfoResponse, QueryAccountRequest, QueryAccountResponse,
};
use pocket_proto::cosmos::bank::v1beta1::{
    QueryBalanceRequest, QueryBalanceResponse, QuerySpendableBalanceByDenomRequest,
    QuerySpendableBalanceByDenomResponse,
};
use pocket_proto::cosmos::base::v1beta1::Coin;
use pocket_proto::cosmos::crypto::secp256k1::PubKey;
use pocket_proto::type_url;
use prost::Message as _;
use prost_types::Any;
use tonic::Status;

use crate::chain::{DENOM, View};

/// An account, as `Any`.
pub fn account(view: View<'_>, request: &QueryAccountRequest) -> Result<QueryAccountResponse, Status> {
    let account = base_account(view, &request.address)?;
    let any = Any {
        type_url: type_url::BASE_ACCOUNT.to_owned(),
        value: account.encode_to_vec(),
    };
    Ok(QueryAccountResponse { account: Some(any) })
}

/// An account of any type.
pub fn account_info(view: View<'_>, request: &QueryAccountInfoRequest) -> Result<QueryAccountInfoResponse, Status> {
    Ok(QueryAccountInfoResponse {
        info: Some(base_account(view, &request.address)?),
    })
}

fn base_account(view: View<'_>, address: &str) -> Result<BaseAccount, Status> {
    if address.is_empty() {
        return Err(Status::invalid_argument("Address cannot be empty"));
    }
    check_address(address)?;
    let account = view.state.bank.account(address);
    let account = account.ok_or_else(|| Status::not_found(format!("account {address} not found")))?;
    let pub_key = account.public_key.map(|key| Any {
        type_url: type_url::PUB_KEY.to_owned(),
        value: PubKey {
            key: Bytes::copy_from_slice(&key),
        }
        .encode_to_vec(),
    });
    Ok(BaseAccount {
        address: address.to_owned(),
        pub_key,
        account_number: account.number,
        sequence: account.sequence,
    })
}

/// Coins of one denomination; zero for who has none.
pub fn balance(view: View<'_>, request: &QueryBalanceRequest) -> Result<QueryBalanceResponse, Status> {
    coins(view, &request.address, &request.denom).map(|coin| QueryBalanceResponse { balance: Some(coin) })
}

/// The same: nothing is ever locked here.
pub fn spendable_balance(
    view: View<'_>,
    request: &QuerySpendableBalanceByDenomRequest,
) -> Result<QuerySpendableBalanceByDenomResponse, Status> {
    let coin = coins(view, &request.address, &request.denom)?;
    Ok(QuerySpendableBalanceByDenomResponse { balance: Some(coin) })
}

fn coins(view: View<'_>, address: &str, denom: &str) -> Result<Coin, Status> {
    check_address(address)?;
    if denom.is_empty() {
        return Err(Status::invalid_argument("empty denom"));
    }
    let amount = if denom == DENOM {
        view.state.bank.balance(address)
    } else {
        0
    };
    Ok(Coin {
        denom: denom.to_owned(),
        amount: amount.to_string(),
    })
}

fn check_address(address: &str) -> Result<(), Status> {
    let reason = |error| Status::invalid_argument(format!("invalid address: {error}"));
    pocket_protocol::decode_account(address).map(drop).map_err(reason)
}
