//! What is known beside the file: variables for `${NAME}`, and values that replace the file's.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::{Node, Value};
use crate::error::Origin;

/// Variables that replace one key of the file, and the key.
pub const OVERRIDES: [(&str, &str); 3] = [
    ("REDIS_URL", "redis.url"),
    ("POCKET_NODE_RPC_URL", "pocket_node.query_node_rpc_url"),
    ("POCKET_NODE_GRPC_URL", "pocket_node.query_node_grpc_url"),
];

/// The variables and replacements under which a file is read.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    replacements: Vec<Replacement>,
}

#[derive(Clone, Debug)]
struct Replacement {
    key: String,
    value: String,
    source: Arc<str>,
}

impl Environment {
    /// The variables of this process; those that are not Unicode are left out.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// Replaces the dotted `key` by `value`, whatever the file and the variables say. `source` is what an error
    /// names instead of a line, such as `flag --redis-url`.
    #[must_use]
    pub fn replacing(mut self, key: &str, value: &str, source: &str) -> Self {
        self.replacements.push(Replacement {
            key: key.into(),
            value: value.into(),
            source: source.into(),
        });
        self
    }

    /// The variable `name`, if it is set.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Puts the variables of [`OVERRIDES`] and then the replacements into `root`, sections included. A variable that
    /// is set but empty counts as not set.
    pub(crate) fn apply(&self, root: &mut Node) {
        for (name, key) in OVERRIDES {
            if let Some(value) = self.variable(name).filter(|value| !value.is_empty()) {
                put(root, key, value, format!("environment variable {name}").into());
            }
        }
        for Replacement { key, value, source } in &self.replacements {
            put(root, key, value, Arc::clone(source));
        }
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self {
            variables,
            replacements: Vec::new(),
        }
    }
}

/// Sets the dotted `key` below `root`. A section that is missing or empty is made; one that is not a section is left
/// for the reader to complain about.
fn put(root: &mut Node, key: &str, value: &str, source: Arc<str>) {
    let origin = Origin::Given(source);
    let mut node = root;
    for name in key.split('.') {
        if node.is_null() {
            *node = Node {
                value: Value::Map(Vec::new()),
                origin: origin.clone(),
            };
        }
        let Value::Map(entries) = &mut node.value else { return };
        let index = entries.iter().position(|entry| entry.name == name).unwrap_or_else(|| {
            entries.push(crate::document::Entry {
                name: name.into(),
                origin: origin.clone(),
                node: Node::null(origin.clone()),
            });
            entries.len() - 1
        });
        node = &mut entries[index].node;
    }
    *node = Node {
        value: Value::Scalar {
            text: value.into(),
            plain: true,
        },
        origin,
    };
}
