//! A node with one account, a mempool that checks sequences, and blocks made on command.

mod grpc;
mod rpc;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use pocket_keys::{KeySet, SigningKey};
use pocket_proto::cosmos::tx::v1beta1::{AuthInfo, TxBody, TxRaw};
use pocket_protocol::SupplierAddress;
use pocket_query::{ChainClient, NodeConfig, RetryPolicy};
use pocket_tx::{TxConfig, TxSender};
use prost::Message as _;
use prost_types::Any;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What the node holds and does.
#[derive(Default)]
pub struct Node {
    /// The account's next sequence, with the mempool's transactions counted.
    pub sequence: u64,
    /// The simulated gas, or why there is none.
    pub simulation: Option<String>,
    pub simulations: u32,
    /// So many broadcasts are taken, but their answers get lost.
    pub lose_answers: u32,
    /// The next broadcast is answered with this code and log, and not taken.
    pub refuse: Option<(u32, &'static str)>,
    /// Every broadcast that came in.
    pub offered: Vec<Bytes>,
    pub mempool: Vec<Bytes>,
    /// Transactions of each block from height 1, each with code and log.
    pub blocks: Vec<Vec<(Bytes, u32, &'static str)>>,
}

/// What every simulation uses.
pub const GAS: u64 = 100_001;

pub struct World {
    pub node: Arc<Mutex<Node>>,
    pub sender: TxSender,
    pub signer: SupplierAddress,
    _stop: DropGuard,
}

impl World {
    pub async fn new(config: TxConfig) -> Self {
        let node = Arc::new(Mutex::new(Node {
            sequence: 7,
            blocks: vec![vec![]; 20],
            ..Node::default()
        }));
        let stop = CancellationToken::new();
        let grpc = grpc::serve(node.clone(), stop.clone()).await;
        let rpc = rpc::serve(node.clone(), stop.clone()).await;
        let mut node_config = NodeConfig::new(format!("http://{rpc}"), grpc.to_string());
        node_config.retry = RetryPolicy {
            attempts: 2,
            first_wait: Duration::from_millis(1),
            longest_wait: Duration::from_millis(2),
        };
        let key = SigningKey::from_bytes(&[7; 32]).unwrap();
        let signer = key.address().clone();
        let chain = ChainClient::new(node_config).unwrap();
        Self {
            node,
            sender: TxSender::new(chain, KeySet::from_iter([key]), config),
            signer,
            _stop: stop.drop_guard(),
        }
    }

    /// Puts the mempool into a block; every transaction in it ends so.
    pub fn make_block(&self, code: u32, log: &'static str) {
        let mut node = self.node.lock();
        let block = node.mempool.drain(..).map(|tx| (tx, code, log)).collect();
        node.blocks.push(block);
    }
}

/// A message that only its bytes tell from others.
pub fn message(number: u8) -> Any {
    Any {
        type_url: "/test.Message".to_owned(),
        value: vec![number],
    }
}

pub fn body(tx: &[u8]) -> TxBody {
    TxBody::decode(TxRaw::decode(tx).unwrap().body_bytes).unwrap()
}

pub fn auth_info(tx: &[u8]) -> AuthInfo {
    AuthInfo::decode(TxRaw::decode(tx).unwrap().auth_info_bytes).unwrap()
}
