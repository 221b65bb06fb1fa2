//! A chain with actors who sign relays, claims and proofs.
#![allow(dead_code, reason = "each test program uses a part")]

use bytes::Bytes;
use pocket_devnet::chain::{Chain, DENOM, Event, Message, TxResult};
use pocket_devnet::{Actor, Genesis, Localnet};
use pocket_proto::cosmos::base::v1beta1::Coin;
use pocket_proto::cosmos::crypto::secp256k1::PubKey;
use pocket_proto::cosmos::tx::v1beta1::{
    AuthInfo, Fee, ModeInfo, SignDoc, SignMode, SignerInfo, TxBody, TxRaw, mode_info,
};
use pocket_proto::pocket::proof::{Claim, MsgCreateClaim, MsgSubmitProof};
use pocket_proto::pocket::service::{RelayRequest, RelayRequestMetadata, RelayResponse, RelayResponseMetadata};
use pocket_proto::pocket::session::SessionHeader;
use pocket_proto::type_url;
use pocket_protocol::claim::proof_path;
use pocket_protocol::relay::{mined_relay, payload_hash, request_signable_hash, response_signable_hash};
use pocket_ring::{PrivateKey, PublicKey};
use pocket_smst::{Leaf, Path, Tree};
use prost::Message as _;
use prost_types::Any;
use time::Duration;

pub const SERVICE: &str = "svc-http";

/// Sessions of 4 blocks; claims in blocks 6 to 8 of the first, proofs in 8 to 10.
pub fn localnet() -> Localnet {
    Localnet {
        session_blocks: 4,
        claim_window: 2,
        proof_window: 2,
        ..Localnet::default()
    }
}

pub struct World {
    pub chain: Chain,
}

impl World {
    pub fn new(localnet: &Localnet) -> Self {
        Self::of(&localnet.genesis())
    }

    pub fn of(genesis: &Genesis) -> Self {
        Self {
            chain: Chain::new(genesis),
        }
    }

    /// One block with these transactions.
    pub fn block(&mut self, txs: impl IntoIterator<Item = Bytes>) -> Vec<TxResult> {
        self.chain.begin_block(self.chain.time() + Duration::seconds(1));
        let results = txs.into_iter().map(|tx| self.chain.deliver_tx(tx)).collect();
        self.chain.end_block();
        results
    }

    pub fn advance_to(&mut self, height: i64) {
        while self.chain.height() < height {
            self.block([]);
        }
    }

    /// The last block's events of a kind, by the end of its name.
    pub fn events(&self, kind: &str) -> Vec<Event> {
        let block = self.chain.block(self.chain.height()).unwrap();
        let all = block
            .results
            .iter()
            .flat_map(|result| &result.events)
            .chain(&block.events);
        all.filter(|event| event.kind.rsplit('.').next() == Some(kind))
            .cloned()
            .collect()
    }

    pub fn balance(&self, name: &str) -> u128 {
        self.chain.view().state.bank.balance(&Actor::named(name).address)
    }

    pub fn claim(&self, work: &Work) -> Option<Claim> {
        let claim = self
            .chain
            .view()
            .state
            .claim(&work.header.session_id, &work.supplier.address);
        claim.map(|claim| Claim::clone(claim))
    }

    /// `relays` relays of the session that contains the last block.
    pub fn work(&self, supplier: &str, relays: usize) -> Work {
        let view = self.chain.view();
        let app = Actor::named("app1");
        let session =
            pocket_devnet::chain::session::get_session(view.state, &view.context, &app.address, SERVICE, 0).unwrap();
        Work::new(session.header.unwrap(), Actor::named(supplier), relays)
    }

    /// A signed transaction with the account's sequence, a good price and plenty of gas.
    pub fn tx(&self, signer: &str, messages: &[Message]) -> Bytes {
        self.draft(signer, messages).sign()
    }

    pub fn draft(&self, signer: &str, messages: &[Message]) -> Draft {
        let signer = Actor::named(signer);
        let account = self.chain.view().state.bank.account(&signer.address).cloned();
        let (number, sequence) = account.map_or((0, 0), |account| (account.number, account.sequence));
        Draft {
            body: TxBody {
                messages: messages.iter().map(any).collect(),
                ..TxBody::default()
            },
            fee: Fee {
                amount: vec![Coin {
                    denom: DENOM.to_owned(),
                    amount: "10".to_owned(),
                }],
                gas_limit: 2_000_000,
                ..Fee::default()
            },
            chain_id: self.chain.chain_id().to_owned(),
            number,
            sequence,
            signer,
        }
    }
}

/// A transaction before it is signed.
#[derive(Clone)]
pub struct Draft {
    pub body: TxBody,
    pub fee: Fee,
    pub chain_id: String,
    pub number: u64,
    pub sequence: u64,
    pub signer: Actor,
}

impl Draft {
    pub fn sign(&self) -> Bytes {
        let key = PubKey {
            key: Bytes::copy_from_slice(&self.signer.public_key),
        };
        let single = mode_info::Single {
            mode: SignMode::Direct.into(),
        };
        let auth_info = AuthInfo {
            signer_infos: vec![SignerInfo {
                public_key: Some(Any {
                    type_url: type_url::PUB_KEY.to_owned(),
                    value: key.encode_to_vec(),
                }),
                mode_info: Some(ModeInfo { single: Some(single) }),
                sequence: self.sequence,
            }],
            fee: Some(self.fee.clone()),
        };
        let document = SignDoc {
            body_bytes: self.body.encode_to_vec().into(),
            auth_info_bytes: auth_info.encode_to_vec().into(),
            chain_id: self.chain_id.clone(),
            account_number: self.number,
        };
        let signature = self.signer.sign(&document.encode_to_vec());
        let raw = TxRaw {
            body_bytes: document.body_bytes,
            auth_info_bytes: document.auth_info_bytes,
            signatures: vec![Bytes::copy_from_slice(&signature)],
        };
        raw.encode_to_vec().into()
    }
}

fn any(message: &Message) -> Any {
    let value = match message {
        Message::CreateClaim(message) => message.encode_to_vec(),
        Message::SubmitProof(message) => message.encode_to_vec(),
        Message::Send(message) => message.encode_to_vec(),
    };
    Any {
        type_url: message.type_url().to_owned(),
        value,
    }
}

/// A supplier's tree of one session.
pub struct Work {
    pub header: SessionHeader,
    pub supplier: Actor,
    pub tree: Tree,
}

impl Work {
    pub fn new(header: SessionHeader, supplier: Actor, relays: usize) -> Self {
        let leaves = (0..relays).map(|index| {
            let relay = relay(&header, &supplier, index);
            Leaf::of_relay(&relay.hash, &relay.bytes, 100)
        });
        Self {
            tree: Tree::from_leaves(leaves),
            header,
            supplier,
        }
    }

    pub fn claim(&mut self) -> Message {
        Message::CreateClaim(MsgCreateClaim {
            supplier_operator_address: self.supplier.address.clone(),
            session_header: Some(self.header.clone()),
            root_hash: Bytes::copy_from_slice(self.tree.root().as_bytes()),
        })
    }

    /// The proof of the path that the seed block chooses.
    pub fn proof(&mut self, chain: &Chain) -> Message {
        let seed = self.header.session_end_block_height + 3;
        let path = proof_path(&chain.block(seed).unwrap().hash, &self.header.session_id);
        self.proof_of(Path(path))
    }

    pub fn proof_of(&mut self, path: Path) -> Message {
        Message::SubmitProof(MsgSubmitProof {
            supplier_operator_address: self.supplier.address.clone(),
            session_header: Some(self.header.clone()),
            proof: self.tree.prove(path).unwrap().encode(),
        })
    }
}

fn relay(header: &SessionHeader, supplier: &Actor, index: usize) -> pocket_protocol::relay::MinedRelay {
    let gateway = PrivateKey::parse(&Actor::named("gateway1").private_key).unwrap();
    let app = PublicKey::parse(&Actor::named("app1").public_key).unwrap();
    let meta = RelayRequestMetadata {
        session_header: Some(header.clone()),
        signature: Bytes::new(),
        supplier_operator_address: supplier.address.clone(),
    };
    let mut request = RelayRequest {
        meta: Some(meta),
        payload: Bytes::from(format!("request {index}")),
    };
    let ring = [app, gateway.public_key()];
    let signature = pocket_ring::sign(&request_signable_hash(&request), &gateway, &ring, &mut rand::rng())
        .unwrap()
        .to_bytes();
    request.meta.as_mut().unwrap().signature = signature.into();

    let payload = Bytes::from(format!("response {index}"));
    let meta = RelayResponseMetadata {
        session_header: Some(header.clone()),
        ..RelayResponseMetadata::default()
    };
    let mut response = RelayResponse {
        meta: Some(meta),
        payload_hash: Bytes::copy_from_slice(&payload_hash(&payload)),
        payload,
        relay_miner_error: None,
    };
    let signature = supplier.sign(&response_signable_hash(&response));
    response.meta.as_mut().unwrap().supplier_operator_signature = Bytes::copy_from_slice(&signature);
    mined_relay(&request, &response)
}
