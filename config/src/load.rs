//! From a file to a configuration: parse, expand `${NAME}`, apply overrides, read, report.

use std::path::Path;

use crate::codec::Section;
use crate::document::Node;
use crate::environment::Environment;
use crate::error::{ConfigError, Origin, Problem, Problems};
use crate::miner::MinerConfig;
use crate::reader::Reader;
use crate::relayer::RelayerConfig;

impl RelayerConfig {
    /// The file at `path`, under the environment of this process.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        load(path.as_ref(), &Environment::of_process())
    }

    /// The file at `path`, under `environment`.
    pub fn load_with(path: impl AsRef<Path>, environment: &Environment) -> Result<Self, ConfigError> {
        load(path.as_ref(), environment)
    }

    /// The YAML in `text`, without an environment; errors call it `name`.
    pub fn from_str(name: &str, text: &str) -> Result<Self, ConfigError> {
        parse(name, text, &Environment::default())
    }
}

impl MinerConfig {
    /// The file at `path`, under the environment of this process.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        load(path.as_ref(), &Environment::of_process())
    }

    /// The file at `path`, under `environment`.
    pub fn load_with(path: impl AsRef<Path>, environment: &Environment) -> Result<Self, ConfigError> {
        load(path.as_ref(), environment)
    }

    /// The YAML in `text`, without an environment; errors call it `name`.
    pub fn from_str(name: &str, text: &str) -> Result<Self, ConfigError> {
        parse(name, text, &Environment::default())
    }
}

fn load<S: Section>(path: &Path, environment: &Environment) -> Result<S, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&path.display().to_string(), &text, environment),
        Err(source) => Err(ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        }),
    }
}

fn parse<S: Section>(name: &str, text: &str, environment: &Environment) -> Result<S, ConfigError> {
    let invalid = |found: Vec<Problem>| {
        ConfigError::Invalid(Problems {
            file: name.to_owned(),
            found,
        })
    };
    let mut reader = Reader::default();
    let mut root = match Node::parse(text, &mut reader.problems) {
        Ok(root) => root,
        Err(problem) => {
            reader.problems.push(problem);
            return Err(invalid(reader.problems));
        }
    };
    root.expand(environment, &mut Vec::new(), &mut reader.problems);
    environment.apply(&mut root);
    let config = reader.section(&root, S::read);
    if reader.problems.is_empty() {
        return Ok(config);
    }
    reader.problems.sort_by_key(|problem| match problem.origin {
        Origin::File { line, column } => (line, column),
        Origin::Given(_) | Origin::Absent => (0, 0),
    });
    Err(invalid(reader.problems))
}
