//! YAML text as a tree of nodes that know where they were written.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use crate::environment::Environment;
use crate::error::{Origin, Problem, ProblemKind};

/// More nesting than a configuration has.
const MAX_DEPTH: usize = 64;
/// More nodes than a configuration has, aliases repeated: stops documents that unfold without end.
const MAX_NODES: usize = 200_000;

/// One YAML value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub value: Value,
    pub origin: Origin,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Text; `plain` when it was written without quotes, so that it may be a number, a truth value or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the file; names are unique.
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub name: String,
    pub origin: Origin,
    pub node: Node,
}

impl Node {
    /// An empty value.
    pub fn null(origin: Origin) -> Self {
        Self {
            value: Value::Scalar {
                text: String::new(),
                plain: true,
            },
            origin,
        }
    }

    /// A number or a truth value.
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            value: Value::Scalar {
                text: text.into(),
                plain: true,
            },
            origin: Origin::Absent,
        }
    }

    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            value: Value::Scalar {
                text: text.into(),
                plain: false,
            },
            origin: Origin::Absent,
        }
    }

    /// Whether nothing is written: empty, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether there is nothing to read: null, or text without a character.
    pub fn is_blank(&self) -> bool {
        self.is_null() || matches!(&self.value, Value::Scalar { text, .. } if text.is_empty())
    }

    /// The value of the key `name`, when this is a mapping that has it.
    pub fn get(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.name == name).map(|entry| &entry.node),
            _ => None,
        }
    }

    /// The one document in `text`. Problems that leave a tree to go on with are appended to `problems`.
    pub fn parse(text: &str, problems: &mut Vec<Problem>) -> Result<Self, Problem> {
        let mut builder = Builder {
            parser: Parser::new_from_str(text),
            anchors: HashMap::new(),
            nodes: 0,
            problems,
        };
        builder.document()
    }

    /// Replaces `${NAME}` and `${NAME:-otherwise}` in every scalar; `$${` stands for `${`.
    pub fn expand(&mut self, environment: &Environment, path: &mut Vec<String>, problems: &mut Vec<Problem>) {
        match &mut self.value {
            Value::Scalar { text, .. } if text.contains("${") => match expand(text, environment) {
                Ok(expanded) => *text = expanded,
                Err((what, remedy)) => {
                    let key = crate::reader::dotted(path);
                    let origin = self.origin.clone();
                    problems.push(Problem {
                        kind: ProblemKind::Variable,
                        key,
                        origin,
                        what,
                        remedy,
                    });
                }
            },
            Value::Scalar { .. } => {}
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    path.push(format!("[{index}]"));
                    item.expand(environment, path, problems);
                    path.pop();
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    path.push(entry.name.clone());
                    entry.node.expand(environment, path, problems);
                    path.pop();
                }
            }
        }
    }
}

/// `text` with its variables, or what is wrong and the remedy.
fn expand(text: &str, environment: &Environment) -> Result<String, (String, String)> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            expanded.push_str(&rest[..start]);
            expanded.push('{');
            rest = &rest[start + 2..];
            continue;
        }
        expanded.push_str(&rest[..start]);
        let inside = &rest[start + 2..];
        let escape = "write $${ for a literal ${".to_owned();
        let Some(end) = inside.find('}') else {
            return Err(("\"${\" has no closing \"}\"".to_owned(), escape));
        };
        let (name, otherwise) = match inside[..end].split_once(":-") {
            Some((name, otherwise)) => (name, Some(otherwise)),
            None => (&inside[..end], None),
        };
        let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !well_formed {
            return Err((format!("\"{name}\" is not the name of a variable"), escape));
        }
        match environment
            .variable(name)
            .filter(|value| otherwise.is_none() || !value.is_empty())
            .or(otherwise)
        {
            Some(value) => expanded.push_str(value),
            None => {
                return Err((
                    format!("the variable {name} is not set"),
                    format!("set {name}, or give a default as ${{{name}:-value}}"),
                ));
            }
        }
        rest = &inside[end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

struct Builder<'input, 'problems> {
    parser: Parser<'input, StrInput<'input>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    problems: &'problems mut Vec<Problem>,
}

fn origin_of(span: &Span) -> Origin {
    Origin::File {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

fn syntax(origin: Origin, what: impl Into<String>, remedy: impl Into<String>) -> Problem {
    Problem {
        kind: ProblemKind::Syntax,
        key: String::new(),
        origin,
        what: what.into(),
        remedy: remedy.into(),
    }
}

fn scan_problem(error: &ScanError) -> Problem {
    let marker = error.marker();
    let origin = Origin::File {
        line: marker.line(),
        column: marker.col() + 1,
    };
    let remedy = "check the indentation (spaces, no tabs), quotes and brackets around this place";
    syntax(origin, format!("not valid YAML: {}", error.info()), remedy)
}

impl<'input> Builder<'input, '_> {
    fn next(&mut self) -> Result<(Event<'input>, Span), Problem> {
        loop {
            return match self.parser.next_event() {
                Some(Ok((Event::Comment(..), _))) => continue,
                Some(Ok(event)) => Ok(event),
                Some(Err(error)) => Err(scan_problem(&error)),
                None => Ok((Event::StreamEnd, Span::default())),
            };
        }
    }

    /// The first document; a second one would be ignored silently, so it is an error.
    fn document(&mut self) -> Result<Node, Problem> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root.unwrap_or_else(|| Node::null(Origin::Absent))),
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(syntax(
                        origin_of(&span),
                        "a second document starts here",
                        "keep one document in a file",
                    ));
                }
                Event::DocumentStart(..) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, &span, 0)?);
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'input>, span: &Span, depth: usize) -> Result<Node, Problem> {
        let origin = origin_of(span);
        self.count(1, depth, &origin)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let forced = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let plain = style == ScalarStyle::Plain && !forced;
                (
                    Value::Scalar {
                        text: text.into_owned(),
                        plain,
                    },
                    anchor,
                )
            }
            Event::SequenceStart(_, anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(depth)?, anchor),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(syntax(
                        origin,
                        "an alias stands inside its own anchor",
                        "write the value out",
                    ));
                };
                self.count(weight(&node), depth, &origin)?;
                return Ok(node);
            }
            _ => return Err(syntax(origin, "a value is missing here", "write a value")),
        };
        let node = Node { value, origin };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, depth: usize, origin: &Origin) -> Result<(), Problem> {
        self.nodes += nodes;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(syntax(
                origin.clone(),
                "nested or repeated beyond measure",
                "simplify the file",
            ));
        }
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Value::List(items));
            }
            items.push(self.node(event, &span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node(event, &span, depth + 1)?;
            let (event, span) = self.next()?;
            let node = self.node(event, &span, depth + 1)?;
            let Value::Scalar { text: name, plain } = key.value else {
                return Err(syntax(key.origin, "a key must be text", "write the key as a word"));
            };
            if plain && name == "<<" {
                merged.push(node);
            } else if let Some(first) = entries.iter().find(|entry| entry.name == name) {
                self.problems.push(duplicate(&name, &first.origin, key.origin));
            } else {
                entries.push(Entry {
                    name,
                    origin: key.origin,
                    node,
                });
            }
        }
        for node in merged {
            merge(&mut entries, node)?;
        }
        Ok(Value::Map(entries))
    }
}

fn duplicate(name: &str, first: &Origin, origin: Origin) -> Problem {
    let before = match first {
        Origin::File { line, .. } => format!(", first in line {line}"),
        _ => String::new(),
    };
    Problem {
        kind: ProblemKind::DuplicateKey,
        key: name.to_owned(),
        origin,
        what: format!("written twice in one section{before}"),
        remedy: "remove one of them".to_owned(),
    }
}

/// Adds the keys of `node` (a mapping or a list of mappings, the value of `<<`) that `entries` does not have.
fn merge(entries: &mut Vec<Entry>, node: Node) -> Result<(), Problem> {
    match node.value {
        Value::Map(others) => {
            for other in others {
                if !entries.iter().any(|entry| entry.name == other.name) {
                    entries.push(other);
                }
            }
            Ok(())
        }
        Value::List(nodes) => nodes.into_iter().try_for_each(|node| merge(entries, node)),
        Value::Scalar { .. } => Err(syntax(
            node.origin,
            "only a section can be merged with \"<<\"",
            "refer to a section, as in <<: *name",
        )),
    }
}

fn weight(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::List(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| weight(&entry.node)).sum::<usize>(),
    }
}
