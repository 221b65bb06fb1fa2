//! The command `relay`: options, one relay or a load of them, and what to print.

mod args;
mod call;
mod identity;
mod one;

use std::fmt;
use std::time::Duration;

use pocket_protocol::ServiceId;
use pocket_query::{BlockFeed, ChainClient, NodeConfig, QueryError};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::load::{LoadReport, load};
use crate::{
    ClientConfig, ClientError, Mode, Payload, RelayClient, RelayError, Sessions, SigningStyle, SupplierChoice,
};

pub use args::{CallArgs, KeyArgs, LoadArgs, NetworkArgs, RelayArgs};
pub use call::CallError;
pub use identity::IdentityError;
pub use one::OneReport;

pub use crate::keys_file::KeysFileError;

/// Why the command has nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The keys.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// What the backend shall get.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The chain's endpoints, or its id.
    #[error("the chain: {0}")]
    Chain(#[from] QueryError),
    /// The relayer's URL, or the system's certificates.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The one relay failed, or there is no session for a load.
    #[error(transparent)]
    Relay(#[from] RelayError),
}

/// What the command found.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum RelayReport {
    /// Of a single relay.
    One(OneReport),
    /// Of many.
    Load(LoadReport),
}

impl RelayReport {
    /// Whether everything went well: what the process's exit status should say.
    pub fn is_clean(&self) -> bool {
        match self {
            Self::One(report) => report.is_clean(),
            Self::Load(report) => report.is_clean(),
        }
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report is text and finite numbers")
    }
}

impl fmt::Display for RelayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(report) => report.fmt(f),
            Self::Load(report) => report.fmt(f),
        }
    }
}

/// Sends what the options say and reports. `cancel` ends a load early; it is reported as far as it came.
pub async fn run(args: &RelayArgs, cancel: &CancellationToken) -> Result<RelayReport, RunError> {
    let payload = args.call.payload(args.mode)?;
    let chain = ChainClient::new(args.network.node())?;
    if args.network.chain_id.is_some() {
        chain.chain_id().await?;
    }
    let following = cancel.child_token();
    let (blocks, follower) = BlockFeed::start(chain.clone(), following.clone());
    let outcome = send(args, &payload, chain, blocks, cancel).await;
    following.cancel();
    follower.await.expect("the block feed does not panic");
    outcome
}

async fn send(
    args: &RelayArgs,
    payload: &Payload,
    chain: ChainClient,
    blocks: BlockFeed,
    cancel: &CancellationToken,
) -> Result<RelayReport, RunError> {
    let service = args.network.service(args.mode);
    let signatory = identity::signatory(&args.keys, args.network.localnet.then_some(&service))?;
    let style = if args.load.load_test {
        SigningStyle::Fast
    } else {
        SigningStyle::Careful
    };
    let sessions = Sessions::on_chain(
        chain,
        blocks,
        signatory,
        service.clone(),
        args.network.suppliers(),
        style,
    );
    let config = ClientConfig {
        http2: args.network.http2,
        timeout: Duration::from_secs(args.network.timeout),
        ..ClientConfig::new(args.network.relayer(), service)
    };
    let client = RelayClient::new(&config, sessions)?;
    if args.load.load_test {
        Ok(RelayReport::Load(
            load(&client, payload, &args.load.plan(), cancel).await?,
        ))
    } else {
        Ok(RelayReport::One(one::send(&client, payload).await?))
    }
}

/// Ports of a chain on this machine, as it has them by default.
const LOCAL_RPC: &str = "http://localhost:26657";
const LOCAL_GRPC: &str = "localhost:9090";
const LOCAL_RELAYER: &str = "http://localhost:8080";

/// The local network's service of the mode's type.
fn local_service(mode: Mode) -> &'static str {
    match mode {
        Mode::JsonRpc => "svc-http",
        Mode::WebSocket => "svc-ws",
        Mode::Grpc => "svc-grpc",
        Mode::Rest | Mode::Stream => "svc-rest",
        Mode::CometBft => "svc-comet",
    }
}

impl NetworkArgs {
    fn node(&self) -> NodeConfig {
        let mut config = NodeConfig {
            grpc_insecure: !self.grpc_tls,
            chain_id: self.chain_id.clone(),
            ..NodeConfig::new(LOCAL_RPC, LOCAL_GRPC)
        };
        if !self.node_rpc.is_empty() {
            config.rpc_urls = self.node_rpc.iter().map(Url::to_string).collect();
        }
        if !self.node.is_empty() {
            config.grpc_urls.clone_from(&self.node);
        }
        config
    }

    fn service(&self, mode: Mode) -> ServiceId {
        let local = || local_service(mode).parse().expect("the constants are service ids");
        self.service.clone().unwrap_or_else(local)
    }

    fn relayer(&self) -> Url {
        let local = || LOCAL_RELAYER.parse().expect("the constant is a URL");
        self.relayer_url.clone().unwrap_or_else(local)
    }

    fn suppliers(&self) -> SupplierChoice {
        match &self.supplier {
            Some(supplier) => SupplierChoice::One(supplier.clone()),
            None if self.all_suppliers => SupplierChoice::All,
            None => SupplierChoice::First,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::load::Pace;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        relay: RelayArgs,
    }

    fn parse(line: &str) -> Result<RelayArgs, clap::Error> {
        Program::try_parse_from(format!("relay {line}").split(' ')).map(|program| program.relay)
    }

    #[test]
    fn options_fit_together() {
        use clap::CommandFactory as _;
        Program::command().debug_assert();
    }

    #[test]
    fn go_peers_options_are_understood() {
        let args = parse(
            "jsonrpc --load-test -n 1000 --concurrency 100 --app-priv-key 01 --service develop --node localhost:9090 \
             --node-rpc http://localhost:26657 --chain-id pocket --relayer-url http://a:1 --all-suppliers --timeout 5 \
             --output-json --verbose",
        )
        .unwrap();
        let plan = args.load.plan();
        assert_eq!((plan.relays, plan.verify_every), (1000, 1));
        assert!(matches!(plan.pace, Pace::Closed { concurrency } if concurrency.get() == 100));
        assert_eq!(args.network.suppliers(), SupplierChoice::All);
        assert_eq!(args.network.node().chain_id.as_deref(), Some("pocket"));
    }

    #[test]
    fn rate_is_kept_with_many_in_flight() {
        let args = parse("rest --localnet --load-test -n 10 --rps 500").unwrap();
        let Pace::Open {
            per_second,
            max_in_flight,
        } = args.load.plan().pace
        else {
            panic!("a rate makes an open loop");
        };
        assert_eq!((per_second.get(), max_in_flight.get()), (500, 1000));
    }

    #[test]
    fn options_that_would_have_no_effect_are_refused() {
        for line in [
            "jsonrpc --localnet --rps 5",
            "jsonrpc --localnet -n 5",
            "jsonrpc --localnet --keys-file a --app-priv-key 01",
            "jsonrpc --localnet --app-key a",
            "jsonrpc --localnet --timeout 0",
            "grpc --localnet --message 00 --payload {}",
            "jsonrpc --node a:1",
            "jsonrpc --service a",
            "telnet --localnet",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn local_network_has_a_service_for_each_mode() {
        for (mode, service) in [("jsonrpc", "svc-http"), ("stream", "svc-rest"), ("grpc", "svc-grpc")] {
            let args = parse(&format!("{mode} --localnet")).unwrap();
            assert_eq!(args.network.service(args.mode).as_str(), service);
        }
        let args = parse("grpc --localnet --service other").unwrap();
        assert_eq!(args.network.service(args.mode).as_str(), "other");
    }
}
