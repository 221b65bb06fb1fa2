//! The options of `relay`: names and meanings are those of the Go peer's command, where it has them.

// The texts are what `--help` prints.
#![allow(clippy::doc_markdown, rustdoc::bare_urls)]

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, value_parser};
use pocket_protocol::{AppAddress, ServiceId, SupplierAddress};
use url::Url;

use crate::Mode;

/// Shown below the options.
const EXAMPLES: &str = "\
Examples:
  One relay for an application that signs itself, its answer shown
    relay-miner relay jsonrpc --app-priv-key HEX --service eth --node localhost:9090
  A gateway signs; the keys come from a file
    relay-miner relay rest --keys-file keys.yaml --service pocket --node localhost:9090 --path /cosmos/bank/v1beta1/params
  500 relays a second for 20 seconds, over all suppliers of the session
    relay-miner relay cometbft --localnet --load-test -n 10000 --rps 500 --all-suppliers
  A subscription over a WebSocket, and its first 5 messages
    relay-miner relay websocket --localnet --messages 6 \\
      --payload '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_subscribe\",\"params\":[\"newHeads\"]}'
  1,000 messages over 20 WebSockets
    relay-miner relay websocket --localnet --load-test -n 1000 --concurrency 20
  A stream of 10 batches, each verified
    relay-miner relay stream --localnet --batches 10
  A gRPC call with a message of its own, encoded
    relay-miner relay grpc --localnet --path /demo.DemoService/StreamBlockHeights --message 0803";

/// What `relay` is told on the command line.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RelayArgs {
    /// What the relay's backend speaks, and so what carries the relay
    #[arg(value_enum)]
    pub mode: Mode,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub keys: KeyArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub network: NetworkArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub call: CallArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub load: LoadArgs,

    /// Print the outcome as JSON
    #[arg(long)]
    pub output_json: bool,
    /// Log what happens on the way
    #[arg(long)]
    pub verbose: bool,
}

/// Who signs. One of the sources: hex, keyring or file.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Keys")]
pub struct KeyArgs {
    /// The application's private key in hex; for tests, since others see it in the list of processes
    #[arg(long, value_name = "HEX")]
    pub app_priv_key: Option<String>,
    /// The private key in hex of a gateway that the application delegates to: it signs instead of the application
    #[arg(long, value_name = "HEX")]
    pub gateway_priv_key: Option<String>,
    /// The application's address, when a gateway signs and the application's key is elsewhere
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["app_priv_key", "app_key", "keys_file"])]
    pub app_address: Option<AppAddress>,
    /// File with the keys: `applications: [hex]` and, for a gateway to sign, `gateway: [hex]`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["app_priv_key", "gateway_priv_key", "app_key", "gateway_key"])]
    pub keys_file: Option<PathBuf>,
    /// Name of the application's key in the keyring
    #[arg(long, value_name = "NAME", requires = "keyring_backend", conflicts_with_all = ["app_priv_key", "gateway_priv_key"])]
    pub app_key: Option<String>,
    /// Name of the gateway's key in the keyring
    #[arg(long, value_name = "NAME", requires = "keyring_backend", conflicts_with_all = ["app_priv_key", "gateway_priv_key"])]
    pub gateway_key: Option<String>,
    /// Kind of Cosmos keyring: file or test
    #[arg(long, value_name = "KIND", requires = "keyring_dir")]
    pub keyring_backend: Option<String>,
    /// Folder in which the keyring lies
    #[arg(long, value_name = "FOLDER")]
    pub keyring_dir: Option<PathBuf>,
    /// Password of a keyring of kind file
    #[arg(
        long,
        env = "KEYRING_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD",
        hide = true
    )]
    pub keyring_password: Option<String>,
}

/// Where the chain and the relayer are.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Network")]
// Each is an option of its own.
#[allow(clippy::struct_excessive_bools)]
pub struct NetworkArgs {
    /// Use the project's local network for all that is not given
    #[arg(long)]
    pub localnet: bool,
    /// The service
    #[arg(long, value_name = "ID", required_unless_present = "localnet")]
    pub service: Option<ServiceId>,
    /// The chain's gRPC, host:port; of several nodes with commas between them
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        required_unless_present = "localnet"
    )]
    pub node: Vec<String>,
    /// Speak TLS to --node
    #[arg(long)]
    pub grpc_tls: bool,
    /// The chain's CometBFT RPC, of one node or several as above [default: http://localhost:26657]
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub node_rpc: Vec<Url>,
    /// The chain's id; nothing is sent if the node's is another
    #[arg(long, value_name = "ID")]
    pub chain_id: Option<String>,
    /// The relayer [default: http://localhost:8080]
    #[arg(long, value_name = "URL")]
    pub relayer_url: Option<Url>,
    /// Operator address of the supplier to send to [default: the session's first]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "all_suppliers")]
    pub supplier: Option<SupplierAddress>,
    /// Send to all suppliers of the session in turn
    #[arg(long)]
    pub all_suppliers: bool,
    /// HTTP/2 with prior knowledge instead of HTTP/1.1; grpc is always that, websocket never
    #[arg(long)]
    pub http2: bool,
    /// Seconds to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
}

/// What the backend gets.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Call")]
pub struct CallArgs {
    /// Body for the backend [default: eth_blockNumber, for cometbft status, for rest and grpc none]
    #[arg(long, value_name = "TEXT")]
    pub payload: Option<String>,
    /// Path and query at the backend; of a gRPC call its method [default: /, for grpc /demo.DemoService/GetBlockHeight]
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// HTTP method [default: POST, for rest without a payload GET]
    #[arg(long, value_name = "METHOD")]
    pub method: Option<String>,
    /// stream: ask for so many batches, by a field of this name in the payload [default: as many as come]
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub batches: u32,
    /// websocket: messages to wait for after each request, each an answer that is verified [default: 1]
    #[arg(long, value_name = "N")]
    pub messages: Option<NonZeroUsize>,
    /// grpc: the call's message, encoded, in hex [default: an empty one]
    #[arg(long, value_name = "HEX", conflicts_with = "payload")]
    pub message: Option<String>,
}

/// How many relays, and how fast.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Load")]
pub struct LoadArgs {
    /// Send many relays and measure, instead of one and show its answer
    #[arg(long)]
    pub load_test: bool,
    /// How many relays
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, requires = "load_test")]
    pub count: u64,
    /// Relays at a time [default: 10; with --rps 1000]
    #[arg(long, value_name = "N", requires = "load_test")]
    pub concurrency: Option<NonZeroUsize>,
    /// Relays a second, started on time whatever became of the earlier ones; 0 sends as fast as answers come
    #[arg(long, value_name = "N", default_value_t = 0, requires = "load_test")]
    pub rps: u32,
    /// Check signature and payload hash of every nth answer; 0 of none
    #[arg(long, value_name = "N", default_value_t = 1, requires = "load_test")]
    pub verify_every: u64,
}

impl LoadArgs {
    /// The plan of these options.
    pub(crate) fn plan(&self) -> crate::load::LoadPlan {
        use crate::load::{LoadPlan, Pace};
        const AT_A_TIME: NonZeroUsize = NonZeroUsize::new(10).expect("not zero");
        const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(1000).expect("not zero");
        let pace = match NonZeroU32::new(self.rps) {
            Some(per_second) => Pace::Open {
                per_second,
                max_in_flight: self.concurrency.unwrap_or(IN_FLIGHT),
            },
            None => Pace::Closed {
                concurrency: self.concurrency.unwrap_or(AT_A_TIME),
            },
        };
        LoadPlan {
            relays: self.count,
            pace,
            verify_every: self.verify_every,
        }
    }
}
