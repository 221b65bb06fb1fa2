use std::str::FromStr;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    #[default]
    Json,
    /// For a person at a terminal.
    Text,
}

impl FromStr for LogFormat {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        match text {
            "json" => Ok(Self::Json),
            "text" | "console" => Ok(Self::Text),
            other => Err(LogError::Format(other.to_owned())),
        }
    }
}

/// What is logged and how.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug`, `trace`, or one of these by module: `info,pocket_relayer=debug`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
    /// Whether a slow reader of the log may hold the program up. If not, lines are dropped instead.
    pub lossless: bool,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: LogFormat::default(),
            lossless: false,
        }
    }
}

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No such format.
    #[error("log format {0:?} is not known; use json or text")]
    Format(String),
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
pub struct LogGuard(#[allow(dead_code, reason = "held for its Drop")] WorkerGuard);

/// Starts logging to standard error through a queue of its own thread.
pub fn start_logs(settings: &LogSettings) -> Result<LogGuard, LogError> {
    let filter = EnvFilter::try_new(&settings.level).map_err(|error| LogError::Level {
        level: settings.level.clone(),
        reason: error.to_string(),
    })?;
    let (writer, guard) = tracing_appender::non_blocking::NonBlockingBuilder::default()
        .lossy(!settings.lossless)
        .finish(std::io::stderr());
    install(filter, settings.format, writer)?;
    Ok(LogGuard(guard))
}

fn install<W>(filter: EnvFilter, format: LogFormat, writer: W) -> Result<(), LogError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let started = match format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
    };
    started.map_err(|_| LogError::Started)
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
    fn format_is_json_or_text() {
        assert_eq!("console".parse::<LogFormat>().unwrap(), LogFormat::Text);
        assert!("xml".parse::<LogFormat>().is_err());
    }
}
