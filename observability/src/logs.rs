use std::io::IsTerminal as _;
use std::path::PathBuf;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

use crate::log_control::{self, LogControl};

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    #[default]
    Json,
    /// For a person at a terminal.
    Text,
}

/// Where the log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard output.
    Stdout,
    /// Standard error.
    #[default]
    Stderr,
    /// The end of a file, which is made if it is not there.
    File(PathBuf),
}

/// What is logged and how.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug`, `trace`, or one of these by module: `info,pocket_relayer=debug`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
    /// Where lines go.
    pub output: LogOutput,
    /// Lines that may wait to be written.
    pub queue: usize,
    /// Whether a slow reader of the log may hold the program up. If not, lines are dropped instead.
    pub lossless: bool,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: LogFormat::default(),
            output: LogOutput::default(),
            queue: 100_000,
            lossless: false,
        }
    }
}

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log file cannot be written.
    #[error("cannot write the log file {}: {source}", path.display())]
    File {
        /// As configured.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The filter cannot be read.
    #[error("log level {level:?} cannot be read ({reason}); use for example info, or info,pocket_relayer=debug")]
    Level {
        /// As configured.
        level: String,
        /// What is wrong with it.
        reason: String,
    },
    /// This process logs already.
    #[error("logging was started twice")]
    Started,
}

/// Writes what is still queued when dropped; keep it until the end of `main`.
#[derive(Debug)]
pub struct LogGuard {
    #[allow(dead_code, reason = "held for its Drop")]
    worker: WorkerGuard,
    control: LogControl,
}

impl LogGuard {
    /// Sets the level while the program runs.
    pub fn control(&self) -> LogControl {
        self.control.clone()
    }
}

/// Starts logging, through a queue with a thread of its own.
pub fn start_logs(settings: &LogSettings) -> Result<LogGuard, LogError> {
    let filter = log_control::filter(&settings.level)?;
    let queue = NonBlockingBuilder::default()
        .lossy(!settings.lossless)
        .buffered_lines_limit(settings.queue);
    let ((writer, guard), terminal) = match &settings.output {
        LogOutput::Stdout => (queue.finish(std::io::stdout()), std::io::stdout().is_terminal()),
        LogOutput::Stderr => (queue.finish(std::io::stderr()), std::io::stderr().is_terminal()),
        LogOutput::File(path) => {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            (
                queue.finish(file.map_err(|source| LogError::File {
                    path: path.clone(),
                    source,
                })?),
                false,
            )
        }
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // A reloadable filter takes a read lock for each line that is written, none for one that is not.
    let (started, control) = match settings.format {
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_filter_reloading();
            let handle = lines.reload_handle();
            let control = LogControl::new(&settings.level, move |filter| {
                handle.reload(filter).map_err(|error| error.to_string())
            });
            (lines.try_init(), control)
        }
        LogFormat::Text => {
            let lines = lines.with_ansi(terminal).with_filter_reloading();
            let handle = lines.reload_handle();
            let control = LogControl::new(&settings.level, move |filter| {
                handle.reload(filter).map_err(|error| error.to_string())
            });
            (lines.try_init(), control)
        }
    };
    started.map_err(|_| LogError::Started)?;
    Ok(LogGuard { worker: guard, control })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_level_says_what_to_write() {
        let settings = LogSettings {
            level: "pocket_relayer=loud".into(),
            ..LogSettings::default()
        };
        let text = start_logs(&settings).unwrap_err().to_string();
        assert!(
            text.contains("pocket_relayer=loud") && text.contains("info,pocket_relayer=debug"),
            "{text}"
        );
    }

    #[test]
    fn log_file_that_cannot_be_written_is_named() {
        let output = LogOutput::File("/nowhere/at/all.log".into());
        let text = start_logs(&LogSettings {
            output,
            ..LogSettings::default()
        })
        .unwrap_err()
        .to_string();
        assert!(text.contains("/nowhere/at/all.log"), "{text}");
    }
}
