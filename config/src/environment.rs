//! What is known beside the file: variables for `${NAME}`, and values that replace the file's.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::document::Node;
use crate::error::{Origin, Problem};
use crate::outline::Shape;
use crate::overrides;

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

    /// The variables that start with `prefix`, in the order of their names.
    pub(crate) fn with_prefix<'e>(&'e self, prefix: &'e str) -> impl Iterator<Item = (&'e str, &'e str)> {
        let from = self
            .variables
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(move |(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Puts into `root`, sections included: the variables of [`OVERRIDES`], those that start with `prefix`, and the
    /// replacements. A variable that is set but empty counts as not set.
    pub(crate) fn apply(&self, prefix: &str, shape: &Shape, root: &mut Node, problems: &mut Vec<Problem>) {
        for (name, key) in OVERRIDES {
            if let Some(value) = self.variable(name).filter(|value| !value.is_empty()) {
                put(root, key, value, format!("environment variable {name}").into());
            }
        }
        overrides::apply(self, prefix, shape, root, problems);
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

/// Sets the dotted `key` below `root`.
fn put(root: &mut Node, key: &str, value: &str, source: Arc<str>) {
    let origin = Origin::Given(source);
    let path: Vec<&str> = key.split('.').collect();
    let value = Node {
        origin: origin.clone(),
        ..Node::plain(value)
    };
    overrides::put(root, &path, value, &origin);
}
