//! From a file to a configuration: parse, expand `${NAME}`, apply overrides, read, report.

use std::path::Path;

use crate::codec::Section;
use crate::document::Node;
use crate::environment::Environment;
use crate::error::{ConfigError, Origin, Problem, Problems};
use crate::example::{Descriptions, UnusedKey};
use crate::miner::MinerConfig;
use crate::outline::Shape;
use crate::overrides::{self, UnknownVariable};
use crate::reader::Reader;
use crate::relayer::RelayerConfig;
use crate::schema::schema;

/// A whole file.
pub(crate) trait Document: Section {
    /// What the variables that stand for its keys start with.
    const PREFIX: &str;

    /// All that it may hold.
    fn shape() -> Shape {
        Shape::of::<Self>("")
    }
}

impl Document for RelayerConfig {
    const PREFIX: &str = "RELAYER_";
}

impl Document for MinerConfig {
    const PREFIX: &str = "MINER_";
}

impl RelayerConfig {
    /// A commented file with every key; those that are commented out show their defaults.
    pub const EXAMPLE: &str = include_str!("../examples/relayer.yaml");

    /// What a file may hold, as JSON Schema (draft 7): every key with its description, type, default and bounds.
    pub fn schema() -> serde_json::Value {
        let shape = Self::shape();
        let descriptions = Descriptions::of_example(Self::EXAMPLE, &shape);
        schema("Configuration of a relayer", &shape, &descriptions)
    }

    /// Keys that are read for the Go relay miner's sake and do nothing here, by their paths. `*` stands for a name.
    pub fn keys_without_effect() -> Vec<String> {
        let descriptions = Descriptions::of_example(Self::EXAMPLE, &Self::shape());
        descriptions.without_effect().map(|(path, _)| path.to_owned()).collect()
    }

    /// Those of them that the YAML in `text` has; none when it is not YAML.
    pub fn unused_keys(text: &str) -> Vec<UnusedKey> {
        unused_keys(Self::EXAMPLE, text, &Self::shape())
    }

    /// Variables that start with `RELAYER_` and stand for no key, those of Kubernetes' services left out. With `__` in
    /// the name they are errors of [`load`](Self::load) instead.
    pub fn unknown_variables(environment: &Environment) -> Vec<UnknownVariable> {
        overrides::unknown(environment, Self::PREFIX, &Self::shape())
    }

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
    /// A commented file with every key; those that are commented out show their defaults.
    pub const EXAMPLE: &str = include_str!("../examples/miner.yaml");

    /// What a file may hold, as JSON Schema (draft 7): every key with its description, type, default and bounds.
    pub fn schema() -> serde_json::Value {
        let shape = Self::shape();
        let descriptions = Descriptions::of_example(Self::EXAMPLE, &shape);
        schema("Configuration of a miner", &shape, &descriptions)
    }

    /// Keys that are read for the Go relay miner's sake and do nothing here, by their paths. `*` stands for a name.
    pub fn keys_without_effect() -> Vec<String> {
        let descriptions = Descriptions::of_example(Self::EXAMPLE, &Self::shape());
        descriptions.without_effect().map(|(path, _)| path.to_owned()).collect()
    }

    /// Those of them that the YAML in `text` has; none when it is not YAML.
    pub fn unused_keys(text: &str) -> Vec<UnusedKey> {
        unused_keys(Self::EXAMPLE, text, &Self::shape())
    }

    /// Variables that start with `MINER_` and stand for no key, those of Kubernetes' services left out. With `__` in
    /// the name they are errors of [`load`](Self::load) instead.
    pub fn unknown_variables(environment: &Environment) -> Vec<UnknownVariable> {
        overrides::unknown(environment, Self::PREFIX, &Self::shape())
    }

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

fn unused_keys(example: &str, text: &str, shape: &Shape) -> Vec<UnusedKey> {
    let root = Node::parse(text, &mut Vec::new());
    root.map_or(Vec::new(), |root| {
        Descriptions::of_example(example, shape).unused(&root, shape)
    })
}

fn load<S: Document>(path: &Path, environment: &Environment) -> Result<S, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&path.display().to_string(), &text, environment),
        Err(source) => Err(ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        }),
    }
}

fn parse<S: Document>(name: &str, text: &str, environment: &Environment) -> Result<S, ConfigError> {
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
    environment.apply(S::PREFIX, &S::shape(), &mut root, &mut reader.problems);
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
