//! `cargo run -p pocket-tx --example send -- RPC_URL GRPC_URL PRIVATE_KEY_HEX APPLICATION SERVICE`:
//! sends small transfers to an application, ordered and unordered, and a claim of its session that is too
//! early, and says what came of each.

use std::time::Duration;

use pocket_keys::{KeySet, SigningKey};
use pocket_proto::cosmos::bank::v1beta1::MsgSend;
use pocket_proto::cosmos::base::v1beta1::Coin;
use pocket_proto::pocket::proof::MsgCreateClaim;
use pocket_proto::pocket::session::SessionHeader;
use pocket_proto::type_url;
use pocket_query::{ChainClient, NodeConfig};
use pocket_tx::{Inclusion, Mode, TxConfig, TxSender};
use prost::Message as _;
use prost_types::Any;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rpc, grpc, private_key, to, service] = arguments.as_slice() else {
        anyhow::bail!("usage: send RPC_URL GRPC_URL PRIVATE_KEY_HEX APPLICATION SERVICE");
    };
    let chain = ChainClient::new(NodeConfig::new(rpc, grpc))?;
    let key = SigningKey::from_hex(private_key)?;
    let signer = key.address().clone();
    let keys = KeySet::from_iter([key]);
    for mode in [Mode::Ordered, Mode::Unordered] {
        let sender = TxSender::new(
            chain.clone(),
            keys.clone(),
            TxConfig {
                mode,
                ..TxConfig::default()
            },
        );
        let timeout = chain.status().await?.height + 20;
        let mut sent = Vec::new();
        for amount in 1..=3 {
            let transfer = transfer(signer.as_str(), to, amount);
            sent.push(sender.send(&signer, &[transfer.clone(), transfer], timeout).await?);
        }
        for sent in sent {
            let found = loop {
                match sender.inclusion(&sent.hash, sent.sent_at + 1, timeout).await? {
                    Inclusion::Pending { .. } => tokio::time::sleep(Duration::from_millis(200)).await,
                    found => break found,
                }
            };
            println!(
                "{mode:?} {} gas {} fee {}: {found:?}",
                hex::encode_upper(sent.hash),
                sent.gas_limit,
                sent.fee
            );
        }
        let session = chain.session(to, service, chain.status().await?.height).await?;
        let transfer = |amount| transfer(signer.as_str(), to, amount);
        let refused = [
            (
                vec![transfer(1), claim(signer.as_str(), session.header.clone())],
                timeout,
            ),
            (vec![transfer(u64::MAX)], timeout),
            (vec![transfer(1)], timeout - 30),
        ];
        for (messages, timeout) in refused {
            println!("{mode:?} {:?}", sender.send(&signer, &messages, timeout).await);
        }
    }
    Ok(())
}

fn transfer(from: &str, to: &str, amount: u64) -> Any {
    let message = MsgSend {
        from_address: from.to_owned(),
        to_address: to.to_owned(),
        amount: vec![Coin {
            denom: "upokt".to_owned(),
            amount: amount.to_string(),
        }],
    };
    Any {
        type_url: type_url::MSG_SEND.to_owned(),
        value: message.encode_to_vec(),
    }
}

fn claim(supplier: &str, session_header: Option<SessionHeader>) -> Any {
    let message = MsgCreateClaim {
        supplier_operator_address: supplier.to_owned(),
        session_header,
        root_hash: vec![1; 48].into(),
    };
    Any {
        type_url: type_url::MSG_CREATE_CLAIM.to_owned(),
        value: message.encode_to_vec(),
    }
}
