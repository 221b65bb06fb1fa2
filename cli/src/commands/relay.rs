//! `relay-miner relay`.

use std::process::ExitCode;

use pocket_client::command::{RelayArgs, run as send};
use tokio_util::sync::CancellationToken;

use crate::output::Output;
use crate::signals;

/// Sends relays and reports on them.
pub async fn run(arguments: RelayArgs, output: Output) -> anyhow::Result<ExitCode> {
    let cancel = CancellationToken::new();
    signals::watch(cancel.clone())?;
    let report = send(&arguments, &cancel).await?;
    output.or_json(arguments.output_json).print(&report)?;
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
