use std::sync::Arc;

use pocket_devnet::{Actor, Devnet};
use pocket_keys::{KeySet, SigningKey};
use pocket_protocol::ServiceId;

/// A chain, and those on it who play: a set-up that the stage has no part in.
#[derive(Clone, Debug)]
pub struct World {
    /// `CometBFT` RPC, `http://host:port`.
    pub rpc_url: String,
    /// gRPC in plain text, `http://host:port`.
    pub grpc_url: String,
    /// The network's name.
    pub chain_id: String,
    /// What is asked for and served.
    pub service: ServiceId,
    /// Pays; is staked for the service.
    pub application: Arc<SigningKey>,
    /// Signs for the application, which delegates to it.
    pub gateway: Arc<SigningKey>,
    /// Serve; staked for the service.
    pub suppliers: KeySet,
}

impl World {
    /// `app1` and `gateway1` of the local network's genesis and its first `suppliers`, with the service `svc-http`,
    /// at these endpoints.
    pub fn localnet(rpc_url: impl Into<String>, grpc_url: impl Into<String>, suppliers: usize) -> Self {
        Self {
            rpc_url: rpc_url.into(),
            grpc_url: grpc_url.into(),
            chain_id: "pocket".to_owned(),
            service: "svc-http".parse().expect("letters and a hyphen make a service id"),
            application: Arc::new(key("app1")),
            gateway: Arc::new(key("gateway1")),
            suppliers: (1..=suppliers)
                .map(|number| key(&format!("supplier{number}")))
                .collect(),
        }
    }

    /// The local network of `devnet`, with its first `suppliers`.
    pub fn devnet(devnet: &Devnet, suppliers: usize) -> Self {
        Self::localnet(devnet.rpc_url(), devnet.grpc_url(), suppliers)
    }
}

fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&Actor::named(name).private_key).expect("an actor's key is a valid one")
}
