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
use crate::metrics::ProcessMetrics;
use crate::parts;

/// Between two looks at the files. A change is taken up after the second look that sees it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A configuration, and what it takes to follow it while its half runs.
pub struct Source<C> {
    pub config: C,
    pub place: Place,
    watched: Watched,
    /// SIGHUP, from before anything is started on, which it would end otherwise.
    hangups: Signal,
    logs: Option<LogControl>,
}

impl<C> Source<C> {
    /// Reads a half's configuration.
    pub fn read<H: Half<Config = C>>(place: Place) -> anyhow::Result<Self> {
        let hangups = signal(SignalKind::hangup())?;
        let mut watched = Watched::new(H::referred(&place, None));
        let config = H::read(&place)?;
        watched.follow(H::referred(&place, Some(H::keys(&config))));
        Ok(Self {
            config,
            place,
            watched,
            hangups,
            logs: None,
        })
    }

    /// The log's level follows this configuration.
    #[must_use]
    pub fn setting_level_of(self, logs: LogControl) -> Self {
        Self {
            logs: Some(logs),
            ..self
        }
    }
}

/// What reloads a running half.
pub struct Reloader<H: Half> {
    half: H,
    /// With the configuration in use.
    source: Source<H::Config>,
    /// The keys in use.
    keys: KeySet,
    key_source: KeySource,
    reloads: Reloads,
    series: KeySeries,
}

/// What an attempt found.
struct Found<C> {
    config: C,
    keys: KeySet,
    level: String,
}

impl<H: Half> Reloader<H> {
    /// For a half that runs with `keys`, which came from `key_source`.
    pub fn new(
        half: H,
        source: Source<H::Config>,
        keys: KeySet,
        key_source: KeySource,
        metrics: &ProcessMetrics,
    ) -> Self {
        Self {
            half,
            source,
            keys,
            key_source,
            reloads: metrics.reloads.clone(),
            series: metrics.keys.clone(),
        }
    }

    /// Reloads whenever there is reason to, until `cancel`.
    pub async fn run(mut self, cancel: CancellationToken) {
        let follows_files = H::follows_files(&self.source.config);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let reason = tokio::select! {
                () = cancel.cancelled() => return,
                Some(()) = self.source.hangups.recv() => "SIGHUP",
                _ = look.tick(), if follows_files => {
                    if !self.with_files(Watched::have_changed).await {
                        continue;
                    }
                    "a file changed"
                }
            };
            self.reload(reason).await;
        }
    }

    /// Does something with the files, on a thread that may block: they can be on a network.
    async fn with_files<T: Send + 'static>(&mut self, work: impl FnOnce(&mut Watched) -> T + Send + 'static) -> T {
        let mut watched = std::mem::take(&mut self.source.watched);
        let working = spawn_blocking(move || {
            let outcome = work(&mut watched);
            (watched, outcome)
        });
        let (watched, outcome) = working.await.expect("looking at files does not panic");
        self.source.watched = watched;
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
        if let Some(logs) = self.source.logs.as_ref().filter(|logs| logs.level() != found.level) {
            logs.set(&found.level)?;
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
        if found.config != self.source.config {
            told.push("settings".to_owned());
        }
        self.series.changed(&found.keys, &changes);
        self.source.config = found.config;
        self.keys = found.keys;
        Ok(if told.is_empty() {
            "none".to_owned()
        } else {
            told.join("; ")
        })
    }

    /// Reads and checks everything; changes nothing.
    async fn find(&mut self) -> anyhow::Result<Found<H::Config>> {
        let (place, old) = (self.source.place.clone(), H::keys(&self.source.config).clone());
        let reading = move |watched: &mut Watched| {
            watched.about_to_read();
            let config = H::read(&place);
            // After an error what is to be mended may be in the folders of the old one.
            let keys = config.as_ref().map_or(&old, H::keys);
            watched.follow(H::referred(&place, Some(keys)));
            config
        };
        let config = self.with_files(reading).await?;
        let fixed = H::keys_that_need_a_restart(&self.source.config, &config);
        if !fixed.is_empty() {
            bail!(
                "{} cannot change while the process runs; restart it, or take the change back",
                fixed.join(", ")
            );
        }
        let level = parts::log_level(H::logging(&config));
        LogControl::check(&level)?;
        let keys = self.key_source.load_all(H::keys(&config), &self.series).await?;
        Ok(Found { config, keys, level })
    }
}
