//! `relay-miner redis pubsub`.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::target::Target;
use crate::output::{DIM, Output};
use crate::signals;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  relay-miner redis pubsub --channel ha:events:blocks\n  relay-miner redis pubsub --channel 'ha:*' --duration 60\n\nChannels:\n  ha:events:blocks                  new blocks, told by the leading miner\n  ha:events:supplier_update         changes of the supplier registry\n  ha:meter:cleanup                  meters of sessions that are over\n  ha:events:cache:TYPE:invalidate   what Go relay miners are to forget\n  ha:*                              all of them"
)]
pub struct Arguments {
    /// The channel; * and ? stand for any text and any letter
    #[arg(long)]
    channel: String,
    /// Seconds to listen; 0 until Ctrl-C
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    duration: u64,
}

#[derive(Serialize)]
struct Said<'a> {
    channel: &'a str,
    payload: &'a str,
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DIM}{}{DIM:#}  {}", self.channel, self.payload)
    }
}

pub async fn run(target: &Target, arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let mut listening = target.store.listen(std::slice::from_ref(&arguments.channel)).await?;
    eprintln!("listening to {}", arguments.channel);
    let cancel = CancellationToken::new();
    signals::watch(cancel.clone())?;
    let end = async {
        match arguments.duration {
            0 => std::future::pending().await,
            seconds => tokio::time::sleep(Duration::from_secs(seconds)).await,
        }
    };
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Ok(ExitCode::SUCCESS),
            () = &mut end => return Ok(ExitCode::SUCCESS),
            heard = listening.next() => {
                let Some(heard) = heard else {
                    anyhow::bail!("the connection to Redis is gone");
                };
                output.print_next(&Said { channel: &heard.channel, payload: &heard.text })?;
            }
        }
    }
}
