//! From signed relays to settled proofs, on the real chain or on the devnet. The last line of standard output is
//! JSON; all else goes to standard error. Exits with 1 when an answered relay was not claimed or a required proof is
//! missing, and with 2 when the run did not come to its end.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use pocket_client::Mode;
use pocket_demo::{Finale, Plan, Stage, Summary, View, World};
use pocket_devnet::{Devnet, DevnetConfig};
use pocket_integration::{Localnet, LocalnetSettings};
use pocket_observability::{LogFormat, LogSettings, start_logs};

/// Which chain judges.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Chain {
    /// pocketd, built from Go modules.
    Real,
    /// The devnet of this project.
    Devnet,
}

/// Serve relays over sessions of a chain, and check what the chain made of them.
#[derive(Parser)]
struct Arguments {
    /// The chain.
    #[arg(long, value_enum, default_value = "real")]
    chain: Chain,
    /// Relays to be answered.
    #[arg(long, default_value_t = 2_000)]
    relays: u64,
    /// Sessions that they are spread over.
    #[arg(long, default_value_t = 3)]
    sessions: u64,
    /// Suppliers that serve them.
    #[arg(long, default_value_t = 2)]
    suppliers: usize,
    /// Milliseconds from block to block.
    #[arg(long, default_value_t = 500)]
    block_time: u64,
    /// Share of claims that must be proven.
    #[arg(long, default_value_t = 1.0)]
    proof_probability: f64,
    /// What is asked for, in turn; by default every RPC type, streams included.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Mode::ALL)]
    modes: Vec<Mode>,
    /// Which log lines are shown, as in `info` or `pocket_miner=debug`.
    #[arg(long, default_value = "warn")]
    log: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(summary) => {
            eprintln!("\n{summary}");
            println!("{}", summary.to_json());
            ExitCode::from(u8::from(summary.verdict().is_err()))
        }
        Err(error) => {
            eprintln!("e2e: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<Summary> {
    let logs = LogSettings {
        format: LogFormat::Text,
        level: arguments.log.clone(),
        ..LogSettings::default()
    };
    let _logs = start_logs(&logs)?;
    let block_time = Duration::from_millis(arguments.block_time);
    let suppliers = arguments.suppliers;
    let finale = match arguments.chain {
        Chain::Real => {
            let settings = LocalnetSettings {
                block_time,
                suppliers,
                proof_probability: arguments.proof_probability,
            };
            let chain = Localnet::start(settings)?;
            play(arguments, World::localnet(chain.rpc_url(), chain.grpc_url(), suppliers)).await?
        }
        Chain::Devnet => {
            let genesis = pocket_devnet::Localnet {
                suppliers,
                proof_probability: arguments.proof_probability,
                ..pocket_devnet::Localnet::default()
            };
            let config = DevnetConfig {
                genesis: genesis.genesis(),
                block_time: Some(block_time),
                ..DevnetConfig::default()
            };
            let chain = Devnet::start(config).await?;
            let finale = play(arguments, World::devnet(&chain, suppliers)).await?;
            chain.shutdown().await;
            finale
        }
    };
    Ok(Summary { finale })
}

async fn play(arguments: &Arguments, world: World) -> anyhow::Result<Finale> {
    let plan = Plan {
        relays: arguments.relays,
        sessions: arguments.sessions,
    };
    let stage = Stage::start(world.asking(arguments.modes.clone())).await?;
    let mut view = View::new(io::stderr(), io::stderr().is_terminal(), plan.relays);
    let finale = pocket_demo::run(&stage, plan, |scene| {
        // Standard error that cannot be written to changes nothing about the result.
        let _ = view.show(scene);
    })
    .await;
    stage.stop().await;
    Ok(finale?)
}
