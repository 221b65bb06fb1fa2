//! Ending on SIGTERM and SIGINT: the first drains, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `cancel` at the first signal and exits the process at the second.
pub fn watch(cancel: CancellationToken) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // Lives as long as the process, which is its only owner.
    tokio::spawn(async move {
        let mut seen = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if seen {
                tracing::warn!("second signal: ending at once");
                std::process::exit(130);
            }
            seen = true;
            tracing::info!("shutting down: finishing what is under way; a second signal ends at once");
            cancel.cancel();
        }
    });
    Ok(())
}
