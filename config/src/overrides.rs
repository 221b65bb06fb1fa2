//! Variables that stand for keys: `RELAYER_` or `MINER_`, then the key's path in upper case with `__` between its parts.
//!
//! `RELAYER_SERVICES__ETH__BACKENDS__JSONRPC__URL` is `services.eth.backends.jsonrpc.url`. In names that operators
//! choose, what is no letter or digit is `_`; a name that the file does not have is taken in lower case. A single value
//! is taken as it is; of several, all are given: a list with commas between its values, anything else as YAML.

use std::sync::Arc;

use crate::document::{Entry, Node, Value};
use crate::environment::Environment;
use crate::error::{Origin, Problem, ProblemKind};
use crate::outline::Shape;
use crate::suggest::nearest;

/// Between the parts of a path.
const SEPARATOR: &str = "__";
/// Names of variables that have a prefix but mean something else.
const OTHERS: [&str; 1] = ["CONFIG_FILE"];

/// A variable that looks like one of ours and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVariable {
    /// The variable.
    pub name: String,
    /// What to do about it, without a full stop.
    pub remedy: String,
}

/// Puts all variables with `prefix` that name a key of `shape` into `root`. Those that have the form of a path and name
/// none are problems.
pub(crate) fn apply(
    environment: &Environment,
    prefix: &str,
    shape: &Shape,
    root: &mut Node,
    problems: &mut Vec<Problem>,
) {
    for (name, value) in environment.with_prefix(prefix) {
        let path: Vec<&str> = name[prefix.len()..].split(SEPARATOR).collect();
        let source: Arc<str> = format!("environment variable {name}").into();
        let origin = Origin::Given(Arc::clone(&source));
        let result = match resolve(&path, shape, root) {
            Ok(_) if value.is_empty() => Ok(()),
            Ok((keys, shape)) => node_of(value, shape, &origin).map(|node| put(root, &keys, node, &origin)),
            Err(unknown) if path.len() > 1 => Err((ProblemKind::UnknownKey, unknown.what(), unknown.remedy(prefix))),
            Err(_) => Ok(()),
        };
        if let Err((kind, what, remedy)) = result {
            problems.push(Problem {
                kind,
                key: String::new(),
                origin,
                what,
                remedy,
            });
        }
    }
}

/// The variables with `prefix` of a single part that name no key: perhaps a slip, perhaps another program's. Those that
/// Kubernetes and Docker set for each service are left out.
pub(crate) fn unknown(environment: &Environment, prefix: &str, shape: &Shape) -> Vec<UnknownVariable> {
    let root = Node::null(Origin::Absent);
    let of = |(name, _): (&str, &str)| {
        let rest = &name[prefix.len()..];
        if rest.contains(SEPARATOR) || OTHERS.contains(&rest) || is_of_a_service(rest) {
            return None;
        }
        let unknown = resolve(&[rest], shape, &root).err()?;
        Some(UnknownVariable {
            name: name.to_owned(),
            remedy: unknown.remedy(prefix),
        })
    };
    environment.with_prefix(prefix).filter_map(of).collect()
}

/// Whether Kubernetes or Docker sets this for a service whose name starts like ours: `SERVICE_HOST`,
/// `METRICS_SERVICE_PORT_HTTP`, `PORT_8080_TCP_ADDR`.
fn is_of_a_service(rest: &str) -> bool {
    let is_port = |part: &str| {
        let words: Vec<&str> = part.split('_').collect();
        match words[..] {
            [] | [""] => true,
            [number, protocol] | [number, protocol, "PROTO" | "PORT" | "ADDR"] => {
                number.bytes().all(|byte| byte.is_ascii_digit()) && matches!(protocol, "TCP" | "UDP" | "SCTP")
            }
            _ => false,
        }
    };
    let after = |word: &str| {
        let found = rest.match_indices(word);
        found
            .filter(|(start, _)| *start == 0 || rest[..*start].ends_with('_'))
            .map(|(start, _)| &rest[start + word.len()..])
            .collect::<Vec<_>>()
    };
    let of_host = after("SERVICE_HOST").iter().any(|rest| rest.is_empty());
    let of_port = after("SERVICE_PORT")
        .iter()
        .any(|rest| rest.is_empty() || rest.starts_with('_'));
    of_host || of_port || after("PORT").iter().any(|rest| is_port(rest.trim_start_matches('_')))
}

/// A path that leads nowhere.
struct Unknown<'s> {
    /// The parts that lead somewhere, as keys.
    known: Vec<String>,
    /// The part that does not.
    part: String,
    /// Where it would have to be.
    within: &'s Shape,
}

impl Unknown<'_> {
    fn what(&self) -> String {
        match &self.known[..] {
            [] => format!("there is no key {}", self.part.to_ascii_lowercase()),
            known => format!(
                "there is no key {} in {}",
                self.part.to_ascii_lowercase(),
                known.join(".")
            ),
        }
    }

    fn remedy(&self, prefix: &str) -> String {
        let names: Vec<&str> = match self.within {
            Shape::Named(values) => values.iter().map(|(name, _)| *name).collect(),
            within => within
                .outline()
                .map_or(Vec::new(), |outline| outline.keys.iter().map(|key| key.name).collect()),
        };
        let written = |name: &str| {
            let parts = self.known.iter().map(String::as_str).chain([name]);
            let parts: Vec<String> = parts.map(as_variable).collect();
            format!("{prefix}{}", parts.join(SEPARATOR))
        };
        match nearest(&self.part, names.iter().copied()) {
            Some(name) => format!("did you mean {}?", written(name)),
            None => format!(
                "unset it, or name a key as in {}",
                written(names.first().unwrap_or(&"…"))
            ),
        }
    }
}

/// The keys that `path` stands for, and what may be written there.
fn resolve<'s>(path: &[&str], shape: &'s Shape, root: &Node) -> Result<(Vec<String>, &'s Shape), Unknown<'s>> {
    let (mut shape, mut node) = (shape, Some(root));
    let mut keys = Vec::new();
    for part in path {
        let name = match shape {
            Shape::Map(..) => node
                .and_then(|node| entry_called(node, part))
                .unwrap_or_else(|| part.to_ascii_lowercase()),
            _ => part.to_ascii_lowercase(),
        };
        let upper = part.bytes().all(|byte| !byte.is_ascii_lowercase());
        let Some(inner) = shape.inner(&name).filter(|_| upper && !part.is_empty()) else {
            return Err(Unknown {
                known: keys,
                part: (*part).to_owned(),
                within: shape,
            });
        };
        node = node.and_then(|node| node.get(&name));
        shape = inner.shape;
        keys.push(name);
    }
    Ok((keys, shape))
}

/// The name in the map at `node` that a variable writes as `part`.
fn entry_called(node: &Node, part: &str) -> Option<String> {
    let Value::Map(entries) = &node.value else { return None };
    let mut names = entries.iter().map(|entry| &entry.name);
    names.find(|name| as_variable(name) == part).cloned()
}

/// A name as a variable has it.
fn as_variable(name: &str) -> String {
    let letter = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    name.chars().map(letter).collect()
}

/// A variable's value as what may be written there, or the kind of problem, what it is, and the remedy.
fn node_of(value: &str, shape: &Shape, origin: &Origin) -> Result<Node, (ProblemKind, String, String)> {
    let scalar = |text: &str| Node {
        origin: origin.clone(),
        ..Node::plain(text)
    };
    let is_yaml = value.trim_start().starts_with(['[', '{']) || value.contains('\n');
    match shape {
        Shape::Scalar(_) => return Ok(scalar(value)),
        Shape::OneOrMore(_) if !is_yaml => return Ok(scalar(value)),
        Shape::Either(..) if !value.trim_start().starts_with('{') => return Ok(scalar(value)),
        Shape::List(_) if !is_yaml => {
            let items = value.split(',').map(|item| scalar(item.trim())).collect();
            return Ok(Node {
                value: Value::List(items),
                origin: origin.clone(),
            });
        }
        _ => {}
    }
    let mut repeated = Vec::new();
    let read = Node::parse(value, &mut repeated).map_err(|problem| problem.what);
    let read = match repeated.first() {
        Some(problem) => Err(format!("{} is {}", problem.key, problem.what)),
        None => read,
    };
    let example = if matches!(shape, Shape::List(_) | Shape::OneOrMore(_)) {
        "[a, b]"
    } else {
        "{key: value}"
    };
    let mut node = read.map_err(|what| (ProblemKind::Syntax, what, format!("write YAML, such as {example}")))?;
    come_from(&mut node, origin);
    Ok(node)
}

/// Lines of a variable are of no use: all that it holds comes from it.
fn come_from(node: &mut Node, origin: &Origin) {
    node.origin = origin.clone();
    match &mut node.value {
        Value::Scalar { .. } => {}
        Value::List(items) => items.iter_mut().for_each(|item| come_from(item, origin)),
        Value::Map(entries) => {
            for entry in entries {
                entry.origin = origin.clone();
                come_from(&mut entry.node, origin);
            }
        }
    }
}

/// Sets the key at `path` below `root`, in place of what says the same in another way. A section that is missing or
/// empty is made; one that is not a section is left for the reader to complain about.
pub(crate) fn put(root: &mut Node, path: &[impl AsRef<str>], value: Node, origin: &Origin) {
    let mut node = root;
    for name in path {
        let name = name.as_ref();
        if node.is_null() {
            *node = Node {
                value: Value::Map(Vec::new()),
                origin: origin.clone(),
            };
        }
        let Value::Map(entries) = &mut node.value else { return };
        entries.retain(|entry| !says_the_same(&entry.name, name));
        let index = entries.iter().position(|entry| entry.name == name).unwrap_or_else(|| {
            entries.push(Entry {
                name: name.to_owned(),
                origin: origin.clone(),
                node: Node::null(origin.clone()),
            });
            entries.len() - 1
        });
        node = &mut entries[index].node;
    }
    *node = value;
}

/// Whether two keys of a section are two ways to say one thing: `url`, `url_file` and `urls`; `password` and
/// `password_file`.
fn says_the_same(one: &str, other: &str) -> bool {
    let stem = |name: &'_ str| match name.strip_suffix("_file") {
        Some(stem) => stem.to_owned(),
        None if name == "urls" => "url".to_owned(),
        None => name.to_owned(),
    };
    one != other && stem(one) == stem(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_kubernetes_services_are_known() {
        for rest in [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTP",
            "PORT",
            "PORT_8080_TCP",
            "PORT_8080_TCP_ADDR",
            "METRICS_SERVICE_HOST",
            "METRICS_PORT_9090_UDP_PORT",
        ] {
            assert!(is_of_a_service(rest), "{rest}");
        }
        for rest in [
            "SERVICES",
            "SERVICE",
            "IMPORT",
            "PORT_NAME",
            "LISTEN_ADDR",
            "SERVICE_HOSTS",
        ] {
            assert!(!is_of_a_service(rest), "{rest}");
        }
    }

    #[test]
    fn keys_that_exclude_each_other_say_the_same() {
        assert!(says_the_same("url", "urls") && says_the_same("urls", "url_file"));
        assert!(says_the_same("password", "password_file"));
        assert!(!says_the_same("keys_dir", "keys_file") && !says_the_same("url", "url"));
    }
}
