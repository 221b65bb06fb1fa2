//! From signed relays to settled proofs, on the real chain or on the devnet. The last line of standard output is
//! JSON; all else goes to standard error. Exits with 1 when an answered relay was not claimed or a required proof is
//! missing, and with 2 when the run did not come to its end.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use pocket_client::Mode;
use pocket_demo::{Finale, Plan, Stage, Summary, View, World};
use pocket_integration::{Chain, ChainKind, LocalnetSettings};
use pocket_observability::{LogFormat, LogSettings, start_logs};

/// Serve relays over sessions of a chain, and check what the chain made of them.
#[derive(Parser)]
struct Arguments {
    /// The chain.
    #[arg(long, value_enum, default_value = "real")]
    chain: ChainKind,
    /// Relays to be answered.
    #[arg(long, default_value_t = 2_000)]
    relays: u64,
    /// Sessions that they are spread over.
    #[arg(long, default_value_t = 3)]
    sessions: u64,
    /// Suppliers that serve them.
    #[arg(long, default_value_t = 2)]
    suppliers: usize,
    /// Milliseconds from block to block. Ten sessions end at once and have four blocks for their claims: a machine that is
    /// busy with other things needs time for that.
    #[arg(long, default_value_t = 1_500)]
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
    let settings = LocalnetSettings {
        block_time: Duration::from_millis(arguments.block_time),
        suppliers: arguments.suppliers,
        proof_probability: arguments.proof_probability,
        ..LocalnetSettings::default()
    };
    let chain = Chain::start(arguments.chain, settings).await?;
    let finale = play(arguments, chain.world(arguments.suppliers)).await?;
    chain.stop().await;
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
