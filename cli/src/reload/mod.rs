//! Reading the configuration again while a half runs: on SIGHUP, and when one of its files changes.
//!
//! All or nothing. The file, its secrets, the keys and the log level are read and checked first; what is wrong anywhere
//! leaves everything as it was, and is told with what to do.

mod half;
mod series;
mod watched;

use std::time::Duration;

use anyhow::bail;
use pocket_keys::KeySet;
use pocket_observability::{LogControl, ReloadOutcome, Reloads};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub use half::{Half, MinerHalf, Place, RelayerHalf};
pub use series::KeySeries;
pub use watched::{Referred, Watched};

use crate::keys::KeySource;
use crate::parts;

/// Between two looks at the files. A change is taken up after the second look that sees it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// SIGHUP, from the start of a process on, which it would end otherwise.
pub struct Hangups(Signal);

impl Hangups {
    /// From now on.
    pub fn catch() -> std::io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }
}

/// What a running half is reloaded with.
pub struct Reloader<H: Half> {
    pub half: H,
    pub place: Place,
    /// The configuration in use.
    pub config: H::Config,
    /// The keys in use.
    pub keys: KeySet,
    pub source: KeySource,
    pub watched: Watched,
    pub logs: LogControl,
    pub reloads: Reloads,
    pub series: KeySeries,
}

/// What an attempt found.
struct Found<C> {
    config: C,
    keys: KeySet,
    level: String,
}

impl<H: Half> Reloader<H> {
    /// Reloads whenever there is reason to, until `cancel`.
    pub async fn run(mut self, mut hangups: Hangups, cancel: CancellationToken) {
        let follows_files = H::follows_files(&self.config);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let reason = tokio::select! {
                () = cancel.cancelled() => return,
                Some(()) = hangups.0.recv() => "SIGHUP",
                _ = look.tick(), if follows_files => match self.with_files(Watched::have_changed).await {
                    true => "a file changed",
                    false => continue,
                },
            };
            self.reload(reason).await;
        }
    }

    /// Does something with the files, on a thread that may block: they can be on a network.
    async fn with_files<T: Send + 'static>(&mut self, work: impl FnOnce(&mut Watched) -> T + Send + 'static) -> T {
        let mut watched = std::mem::take(&mut self.watched);
        let working = spawn_blocking(move || {
            let outcome = work(&mut watched);
            (watched, outcome)
        });
        let (watched, outcome) = working.await.expect("looking at files does not panic");
        self.watched = watched;
        outcome
    }

    async fn reload(&mut self, reason: &str) {
        match self.attempt().await {
            Ok(changes) => {
                self.reloads.note(ReloadOutcome::Applied, &changes);
                tracing::info!(reason, keys = self.keys.len(), changes, "configuration reloaded");
            }
            Err(error) => {
                let error = crate::explain::explain(&error);
                let error = error.trim_start_matches("error: ");
                self.reloads.note(ReloadOutcome::Refused, error);
                tracing::error!(reason, error, "configuration not reloaded: the old one stays in use");
            }
        }
    }

    /// Says what changed.
    async fn attempt(&mut self) -> anyhow::Result<String> {
        let found = self.find().await?;
        let changes = self.keys.changes_to(&found.keys);
        self.half.apply(&found.config, found.keys.clone()).await?;
        let mut told = Vec::new();
        if self.logs.level() != found.level {
            self.logs.set(&found.level)?;
            told.push(format!("log level {}", found.level));
        }
        for supplier in &changes.added {
            tracing::info!(%supplier, "operator key added");
        }
        for supplier in &changes.removed {
            tracing::warn!(%supplier, "operator key removed");
        }
        if !changes.is_empty() {
            told.push(format!(
                "{} keys added, {} removed",
                changes.added.len(),
                changes.removed.len()
            ));
        }
        if found.config != self.config {
            told.push("settings".to_owned());
        }
        self.series.changed(&found.keys, &changes);
        self.config = found.config;
        self.keys = found.keys;
        Ok(if told.is_empty() {
            "none".to_owned()
        } else {
            told.join("; ")
        })
    }

    /// Reads and checks everything; changes nothing.
    async fn find(&mut self) -> anyhow::Result<Found<H::Config>> {
        let (place, old) = (self.place.clone(), H::keys(&self.config).clone());
        let reading = move |watched: &mut Watched| {
            watched.about_to_read();
            let config = H::read(&place);
            // After an error what is to be mended may be in the folders of the old one.
            let keys = config.as_ref().map_or(&old, H::keys);
            watched.follow(place.referred(Some(keys)));
            config
        };
        let config = self.with_files(reading).await?;
        let fixed = H::keys_that_need_a_restart(&self.config, &config);
        if !fixed.is_empty() {
            bail!(
                "{} cannot change while the process runs; restart it, or take the change back",
                fixed.join(", ")
            );
        }
        let level = parts::log_level(H::logging(&config));
        LogControl::check(&level)?;
        let keys = self.source.load_all(H::keys(&config), &self.series).await?;
        Ok(Found { keys, config, level })
    }
}
