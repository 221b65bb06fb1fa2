use std::sync::Arc;

use pocket_client::Mode;
use pocket_devnet::{Actor, Devnet};
use pocket_keys::{KeySet, SigningKey};
use pocket_protocol::{AppAddress, ServiceId};

/// A chain, and those on it who play: a set-up that the stage has no part in.
#[derive(Clone, Debug)]
pub struct World {
    /// `CometBFT` RPC, `http://host:port`; of several nodes with commas between them.
    pub rpc_url: String,
    /// gRPC in plain text, `http://host:port`; of several nodes with commas between them.
    pub grpc_url: String,
    /// The network's name.
    pub chain_id: String,
    /// What is served; never nothing.
    pub services: Vec<PaidService>,
    /// What is asked for, one relay after the other in turn.
    pub modes: Vec<Mode>,
    /// Signs for the applications, which delegate to it.
    pub gateway: Arc<SigningKey>,
    /// Serve; staked for all services.
    pub suppliers: KeySet,
}

/// A service, and who pays for it.
#[derive(Clone, Debug)]
pub struct PaidService {
    /// Its id on chain.
    pub id: ServiceId,
    /// The application that is staked for it.
    pub application: AppAddress,
    /// What is asked for there: the first names its RPC type.
    pub modes: Vec<Mode>,
}

/// The local network's services, of the applications `app1` and so on.
const SERVICES: [(&str, &[Mode]); 5] = [
    ("svc-http", &[Mode::JsonRpc]),
    ("svc-ws", &[Mode::WebSocket]),
    ("svc-grpc", &[Mode::Grpc]),
    ("svc-rest", &[Mode::Rest, Mode::Stream]),
    ("svc-comet", &[Mode::CometBft]),
];

impl World {
    /// `gateway1` of the local network's genesis, its five services and its first `suppliers`, at these endpoints.
    /// JSON-RPC alone is asked for.
    pub fn localnet(rpc_url: impl Into<String>, grpc_url: impl Into<String>, suppliers: usize) -> Self {
        let services = SERVICES.iter().zip(1..).map(|((id, modes), number)| PaidService {
            id: id.parse().expect("letters and a hyphen make a service id"),
            application: AppAddress::of_public_key(&key(&format!("app{number}")).public_key()),
            modes: modes.to_vec(),
        });
        Self {
            rpc_url: rpc_url.into(),
            grpc_url: grpc_url.into(),
            chain_id: "pocket".to_owned(),
            services: services.collect(),
            modes: vec![Mode::JsonRpc],
            gateway: Arc::new(key("gateway1")),
            suppliers: (1..=suppliers)
                .map(|number| key(&format!("supplier{number}")))
                .collect(),
        }
    }

    /// The same world, in which these are asked for.
    #[must_use]
    pub fn asking(self, modes: impl Into<Vec<Mode>>) -> Self {
        Self {
            modes: modes.into(),
            ..self
        }
    }

    /// The service in which a mode is asked for.
    pub fn service_of(&self, mode: Mode) -> Option<&PaidService> {
        self.services.iter().find(|service| service.modes.contains(&mode))
    }

    /// The local network of `devnet`, with its first `suppliers`.
    pub fn devnet(devnet: &Devnet, suppliers: usize) -> Self {
        Self::localnet(devnet.rpc_url(), devnet.grpc_url(), suppliers)
    }
}

fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&Actor::named(name).private_key).expect("an actor's key is a valid one")
}
