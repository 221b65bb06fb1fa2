//! The commented examples, which also say what every key is for.
//!
//! A line that starts with `#` and a blank is a comment; one that starts with `#` and a key is a setting that is not
//! in effect, with its default. So taking those `#` away gives a file with every key.

use std::collections::BTreeMap;

use crate::document::{Node, Value};
use crate::error::Origin;
use crate::outline::Shape;
use crate::schema::below;

/// How the comment on a key begins that does nothing.
const WITHOUT_EFFECT: &str = "Without effect";

/// A key of a file that does nothing here; the Go relay miner has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedKey {
    /// Its path; `*` for a name, `[]` for a place in a list.
    pub key: String,
    /// The line of its value.
    pub line: usize,
    /// `without effect: ` and why.
    pub reason: String,
}

/// What keys are for, by their paths (`services.*.backends.*.url`).
#[derive(Default)]
pub(crate) struct Descriptions(BTreeMap<String, String>);

impl Descriptions {
    /// Reads them from an example: the comment on a key's line, and those right above it.
    pub fn of_example(example: &str, shape: &Shape) -> Self {
        let mut descriptions = BTreeMap::new();
        let mut above = String::new();
        let mut place = Place::default();
        for line in example.lines() {
            let (indent, text) = split(line);
            if let Some(words) = comment(text) {
                push(&mut above, words);
                continue;
            }
            if let Some(path) = place.enter(indent, text, shape) {
                let mut words = std::mem::take(&mut above);
                push(&mut words, trailing(text));
                if !words.is_empty() {
                    descriptions.entry(path).or_insert(words);
                }
            }
            above.clear();
        }
        Self(descriptions)
    }

    /// The keys whose comment begins so.
    pub fn without_effect(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.iter().map(|(path, words)| (path.as_str(), words.as_str()));
        all.filter(|(_, words)| words.starts_with(WITHOUT_EFFECT))
    }

    /// Those of them that `root` writes.
    pub fn unused(&self, root: &Node, shape: &Shape) -> Vec<UnusedKey> {
        let mut written = Vec::new();
        keys_of(root, shape, "", &mut written);
        let unused = |(path, node): (String, &Node)| {
            let reason = self
                .of(&path)
                .filter(|words| words.starts_with(WITHOUT_EFFECT))?
                .trim_end_matches('.');
            let Origin::File { line, .. } = node.origin else {
                return None;
            };
            let reason = format!("w{}", &reason[1..]);
            Some(UnusedKey {
                key: path,
                line,
                reason,
            })
        };
        written.into_iter().filter_map(unused).collect()
    }

    /// What the key at `path` is for.
    pub fn of(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }
}

/// Every key that `shape` knows in a file, with its value, by its path as descriptions spell it.
pub(crate) fn keys_of<'n>(node: &'n Node, shape: &Shape, path: &str, found: &mut Vec<(String, &'n Node)>) {
    let mut enter = |part: &str, node: &'n Node, is_key: bool| {
        if let Some(inner) = shape.inner(part) {
            let path = below(path, inner.part);
            keys_of(node, inner.shape, &path, found);
            if is_key {
                found.push((path, node));
            }
        }
    };
    match &node.value {
        Value::Scalar { .. } => {}
        Value::List(items) => items.iter().for_each(|item| enter("[", item, false)),
        Value::Map(entries) => entries.iter().for_each(|entry| enter(&entry.name, &entry.node, true)),
    }
}

/// An example with all its settings in effect.
#[cfg(test)]
pub(crate) fn in_full(example: &str) -> String {
    let lines = example.lines().map(|line| {
        let (indent, text) = split(line);
        match (is_setting(text), comment(text)) {
            (true, _) => format!("{:indent$}{}\n", "", &text[1..]),
            (false, _) => format!("{line}\n"),
        }
    });
    lines.collect()
}

/// Whether the line is a setting that is not in effect.
pub(crate) fn is_setting(text: &str) -> bool {
    text.strip_prefix('#')
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(' '))
}

/// A line's indentation and what follows.
fn split(line: &str) -> (usize, &str) {
    let text = line.trim_start();
    (line.len() - text.len(), text)
}

/// The words of a line that is a comment alone.
fn comment(text: &str) -> Option<&str> {
    text.strip_prefix('#').filter(|_| !is_setting(text)).map(str::trim)
}

/// The words behind a setting.
fn trailing(text: &str) -> &str {
    text.find(" # ").map_or("", |start| text[start + 3..].trim())
}

fn push(words: &mut String, more: &str) {
    if !words.is_empty() && !more.is_empty() {
        words.push(' ');
    }
    words.push_str(more);
}

/// Where a line stands: the keys above it with their indentation.
#[derive(Default)]
struct Place(Vec<(usize, String)>);

impl Place {
    /// Goes to the key of a line; its path as descriptions spell it.
    fn enter(&mut self, indent: usize, text: &str, shape: &Shape) -> Option<String> {
        let text = text.strip_prefix('#').unwrap_or(text);
        self.0.retain(|(above, _)| *above < indent);
        let (indent, text) = match text.strip_prefix("- ") {
            Some(item) => {
                self.0.push((indent, "[]".to_owned()));
                (indent + 2, item)
            }
            None => (indent, text),
        };
        let (key, rest) = text.split_once(':')?;
        if !(rest.is_empty() || rest.starts_with(' ')) || key.contains(' ') {
            return None;
        }
        self.0.push((indent, key.to_owned()));
        let mut found = (String::new(), shape);
        for (_, part) in &self.0 {
            let inner = found.1.inner(part)?;
            found = (below(&found.0, inner.part), inner.shape);
        }
        Some(found.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::outline::Key;
    use crate::{MinerConfig, ProblemKind, RelayerConfig};

    /// An example with all that it may hold.
    fn examples() -> [(&'static str, Shape); 2] {
        [
            (RelayerConfig::EXAMPLE, Shape::of::<RelayerConfig>("")),
            (MinerConfig::EXAMPLE, Shape::of::<MinerConfig>("")),
        ]
    }

    /// Every key below `shape`, by its path.
    fn keys<'s>(shape: &'s Shape, path: &str, found: &mut BTreeMap<String, &'s Key>) {
        match shape {
            Shape::Scalar(_) | Shape::OneOrMore(_) => {}
            Shape::List(item) => keys(item, &below(path, "[]"), found),
            Shape::Map(_, value) => keys(value, &below(path, "*"), found),
            Shape::Named(values) => values
                .iter()
                .for_each(|(_, value)| keys(value, &below(path, "*"), found)),
            Shape::Section(outline) | Shape::Either(_, outline) => {
                for key in &outline.keys {
                    let path = below(path, key.name);
                    keys(&key.shape, &path, found);
                    found.insert(path, key);
                }
            }
        }
    }

    fn parsed(text: &str) -> Node {
        let mut problems = Vec::new();
        let node = Node::parse(text, &mut problems).unwrap();
        assert_eq!(problems, []);
        node
    }

    #[test]
    fn example_has_every_key_and_no_other() {
        for (example, shape) in examples() {
            let full = in_full(example);
            let (node, mut found, mut known) = (parsed(&full), Vec::new(), BTreeMap::new());
            keys_of(&node, &shape, "", &mut found);
            keys(&shape, "", &mut known);
            let found: Vec<&String> = found.iter().map(|(path, _)| path).collect();
            let missing: Vec<_> = known.keys().filter(|path| !found.contains(path)).collect();
            assert!(missing.is_empty(), "add to the example: {missing:?}");
        }
    }

    #[test]
    fn setting_that_is_not_in_effect_shows_its_default() {
        for (example, shape) in examples() {
            let full = in_full(example);
            let (node, mut found, mut known) = (parsed(&full), Vec::new(), BTreeMap::new());
            keys_of(&node, &shape, "", &mut found);
            keys(&shape, "", &mut known);
            for (path, node) in found {
                let (
                    Some(Key {
                        default: Some(default), ..
                    }),
                    Value::Scalar { text, .. },
                ) = (known.get(&path), &node.value)
                else {
                    continue;
                };
                let Origin::File { line, .. } = node.origin else {
                    panic!("{path} has a line")
                };
                let is_off = is_setting(split(example.lines().nth(line - 1).unwrap()).1);
                // Where nothing counts, and for probes that are off, an example shows more.
                if is_off && default != "" && !path.contains("*.health_check.") {
                    let shown = match default {
                        Json::String(text) => text.clone(),
                        other => other.to_string(),
                    };
                    let same = text == &shown || text.parse::<f64>().ok().is_some_and(|n| shown.parse() == Ok(n));
                    assert!(same, "{path}: the example has {text}, the default is {shown}");
                }
            }
        }
    }

    #[test]
    fn every_key_is_described() {
        for (example, shape) in examples() {
            let (descriptions, mut known) = (Descriptions::of_example(example, &shape), BTreeMap::new());
            keys(&shape, "", &mut known);
            let missing: Vec<_> = known.keys().filter(|path| descriptions.of(path).is_none()).collect();
            assert!(missing.is_empty(), "comment in the example on: {missing:?}");
        }
    }

    #[test]
    fn example_loads_with_every_setting_in_effect() {
        let problems = [
            RelayerConfig::from_str("e", &in_full(RelayerConfig::EXAMPLE)).unwrap_err(),
            MinerConfig::from_str("e", &in_full(MinerConfig::EXAMPLE)).unwrap_err(),
        ];
        for problem in problems.iter().flat_map(crate::ConfigError::problems) {
            // Two ways to say the same stand side by side, and secrets are not there.
            let expected = ["stands beside", "cannot be read"]
                .iter()
                .any(|words| problem.what.contains(words));
            let is_variable = problem.kind == ProblemKind::Variable;
            assert!(expected || is_variable, "{problem}");
        }
    }
}
