//! Reading a tree key by key, going on after each problem.

use std::fmt::Write as _;

use crate::codec::Codec;
use crate::document::{Entry, Node, Value};
use crate::error::{Origin, Problem, ProblemKind};
use crate::outline::{Key, Outline, Shape};
use crate::suggest::nearest;

/// Collects problems and knows the key that is being read.
#[derive(Default)]
pub(crate) struct Reader {
    pub problems: Vec<Problem>,
    path: Vec<String>,
    /// Above nought, problems are not noted: what is read stands in for something already complained about.
    muted: usize,
    /// The keys asked for in the current section, when it is to be learnt which there are.
    outline: Option<Outline>,
}

/// `a.b[0].c`; a name that is not a plain word is quoted.
pub(crate) fn dotted(path: &[String]) -> String {
    let mut key = String::new();
    for name in path {
        let index = name.starts_with('[');
        if !key.is_empty() && !index {
            key.push('.');
        }
        if index || (!name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))) {
            key.push_str(name);
        } else {
            let _ = write!(key, "{name:?}");
        }
    }
    key
}

impl Reader {
    /// Notes a problem of the current key, unless a variable in its value is already one.
    pub fn note(&mut self, kind: ProblemKind, origin: &Origin, what: impl Into<String>, remedy: impl Into<String>) {
        let key = dotted(&self.path);
        let unset = |problem: &Problem| problem.kind == ProblemKind::Variable && problem.key == key;
        if self.muted == 0 && !self.problems.iter().any(unset) {
            let (what, remedy) = (what.into(), remedy.into());
            self.problems.push(Problem {
                kind,
                key,
                origin: origin.clone(),
                what,
                remedy,
            });
        }
    }

    /// Notes that the value at `node` cannot be.
    pub fn impossible<T>(&mut self, node: &Node, what: impl Into<String>, remedy: impl Into<String>) -> Option<T> {
        self.note(ProblemKind::Impossible, &node.origin, what, remedy);
        None
    }

    /// Notes that `node` is not what was expected, such as `a whole number`.
    pub fn wrong_type<T>(&mut self, node: &Node, expected: &str, example: &str) -> Option<T> {
        let found = match &node.value {
            Value::Scalar { text, plain: false } => format!("the text {text:?}"),
            Value::Scalar { .. } if node.is_null() => "nothing".to_owned(),
            Value::Scalar { text, .. } => text.clone(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a section".to_owned(),
        };
        let what = format!("expected {expected}, found {found}");
        self.note(ProblemKind::WrongType, &node.origin, what, format!("write {example}"));
        None
    }

    /// Reads the value of the key or index `name` of the current section.
    pub fn within<T>(&mut self, name: impl Into<String>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(name.into());
        let value = read(self);
        self.path.pop();
        value
    }

    /// What `read` gives for an empty section, and the keys that it asks for. Notes no problem.
    pub fn outlined<T>(&mut self, read: impl FnOnce(&mut Fields<'_, '_>) -> T) -> (T, Outline) {
        let outer = self.outline.replace(Outline::default());
        self.muted += 1;
        let value = read(&mut Fields {
            reader: self,
            node: &Node::null(Origin::Absent),
            asked: Vec::new(),
        });
        self.muted -= 1;
        let outline = std::mem::replace(&mut self.outline, outer);
        (value, outline.unwrap_or_default())
    }

    /// Reads `node` as a section through `read`, then notes the keys that `read` did not ask for. A node that is no
    /// section is noted once, and `read` gets an empty one.
    pub fn section<T>(&mut self, node: &Node, read: impl FnOnce(&mut Fields<'_, '_>) -> T) -> T {
        let is_section = node.is_blank() || matches!(node.value, Value::Map(_));
        if is_section {
            let mut fields = Fields {
                reader: self,
                node,
                asked: Vec::new(),
            };
            let value = read(&mut fields);
            fields.note_unknown();
            value
        } else {
            self.wrong_type::<()>(node, "a section", "its keys on the lines below, indented further");
            let empty = Node::null(node.origin.clone());
            self.muted += 1;
            let value = read(&mut Fields {
                reader: self,
                node: &empty,
                asked: Vec::new(),
            });
            self.muted -= 1;
            value
        }
    }
}

/// The keys of one section, asked for one by one. A key that is empty counts as not written.
pub(crate) struct Fields<'r, 'n> {
    reader: &'r mut Reader,
    node: &'n Node,
    asked: Vec<&'static str>,
}

impl<'n> Fields<'_, 'n> {
    fn entries(&self) -> &'n [Entry] {
        match &self.node.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    fn entry(&mut self, name: &'static str) -> Option<&'n Entry> {
        self.asked.push(name);
        self.entries().iter().find(|entry| entry.name == name)
    }

    /// Remembers that the key is asked for, if that is to be learnt.
    fn outline<C: Codec>(&mut self, name: &'static str, default: Option<&C::Value>, required: bool) {
        if let Some(outline) = &mut self.reader.outline {
            outline.keys.push(Key {
                name,
                shape: C::shape(name),
                default: default.map(C::written),
                required,
            });
        }
    }

    /// Says that at least one of these keys is needed, which the caller checks.
    pub fn one_of(&mut self, names: &[&'static str]) {
        if let Some(outline) = &mut self.reader.outline {
            outline.one_of.push(names.to_vec());
        }
    }

    /// The value of a key that may be left out.
    pub fn optional<C: Codec>(&mut self, name: &'static str) -> Option<C::Value> {
        self.outline::<C>(name, None, false);
        self.value::<C>(name)
    }

    fn value<C: Codec>(&mut self, name: &'static str) -> Option<C::Value> {
        let entry = self.entry(name).filter(|entry| !entry.node.is_blank())?;
        self.reader.within(name, |reader| C::read(&entry.node, reader))
    }

    /// The value of a key, or `default` when it is left out; after a problem too, so that the rest is still checked.
    pub fn or<C: Codec>(&mut self, name: &'static str, default: C::Value) -> C::Value {
        self.outline::<C>(name, Some(&default), false);
        self.value::<C>(name).unwrap_or(default)
    }

    /// Like [`Self::or`], where nought means the default too, as it does for the peer.
    pub fn or_if_zero<C: Codec<Value: Default + PartialEq>>(
        &mut self,
        name: &'static str,
        default: C::Value,
    ) -> C::Value {
        self.outline::<C>(name, Some(&default), false);
        self.value::<C>(name)
            .filter(|value| *value != C::Value::default())
            .unwrap_or(default)
    }

    /// The value of a key that must be there, or one that stands in for it after a problem.
    pub fn required<C: Codec>(&mut self, name: &'static str) -> C::Value {
        self.outline::<C>(name, None, true);
        let entry = self.entry(name);
        let origin = match entry {
            Some(entry) if !entry.node.is_blank() => {
                let value = self.reader.within(name, |reader| C::read(&entry.node, reader));
                return value.unwrap_or_else(C::stand_in);
            }
            Some(entry) => &entry.origin,
            None => &self.node.origin,
        };
        let what = if entry.is_some() { "is empty" } else { "is missing" };
        let remedy = C::addition(name);
        self.reader
            .within(name, |reader| reader.note(ProblemKind::Missing, origin, what, remedy));
        C::stand_in()
    }

    /// A section below this one; when it is left out, its keys count as left out.
    pub fn section<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Fields<'_, '_>) -> T) -> T {
        if self.reader.outline.is_some() {
            let (value, outline) = self.reader.within(name, |reader| reader.outlined(read));
            let key = Key {
                name,
                required: outline.is_required(),
                shape: Shape::Section(outline),
                default: None,
            };
            self.reader.outline.get_or_insert_default().keys.push(key);
            return value;
        }
        let entry = self.entry(name);
        let absent = Node::null(self.node.origin.clone());
        let node = entry.map_or(&absent, |entry| &entry.node);
        self.reader.within(name, |reader| reader.section(node, read))
    }

    /// The value of the key `name`, or of the file whose path the key `file_name` holds, without the blanks around it.
    pub fn or_file<C: Codec>(&mut self, name: &'static str, file_name: &'static str) -> Option<C::Value> {
        self.outline::<C>(name, None, false);
        self.value_or_content::<C>(name, file_name)
    }

    /// Like [`Self::or_file`], with a default.
    pub fn or_file_or<C: Codec>(&mut self, name: &'static str, file_name: &'static str, default: C::Value) -> C::Value {
        self.outline::<C>(name, Some(&default), false);
        self.value_or_content::<C>(name, file_name).unwrap_or(default)
    }

    fn value_or_content<C: Codec>(&mut self, name: &'static str, file_name: &'static str) -> Option<C::Value> {
        let value = self.value::<C>(name);
        if self.written(name) && self.written(file_name) {
            self.asked.push(file_name);
            self.impossible(&[file_name], format!("stands beside {name}"), "keep one of them");
            return value;
        }
        self.content_of::<C>(file_name).or(value)
    }

    /// What stands in the file whose path the key `name` holds, without the blanks around it.
    pub fn content_of<C: Codec>(&mut self, name: &'static str) -> Option<C::Value> {
        let path = self.optional::<crate::codec::Path>(name)?;
        let origin = self.node.get(name).map_or(Origin::Absent, |node| node.origin.clone());
        self.reader.within(name, |reader| {
            let node = match std::fs::read_to_string(&path) {
                Ok(text) => Node {
                    origin,
                    ..Node::text(text.trim())
                },
                Err(error) => {
                    let what = format!("{} cannot be read: {error}", path.display());
                    let remedy = "check the path and its permissions";
                    reader.note(ProblemKind::Impossible, &origin, what, remedy);
                    return None;
                }
            };
            if node.is_blank() {
                reader.impossible(&node, "the file is empty", "fill it")
            } else {
                C::read(&node, reader)
            }
        })
    }

    /// The name of this section's own key.
    pub fn name(&self) -> &str {
        self.reader.path.last().map_or("", String::as_str)
    }

    /// Whether the key is written.
    pub fn written(&self, name: &str) -> bool {
        self.node.get(name).is_some_and(|node| !node.is_blank())
    }

    /// Whether no problem is noted at or below the key at `path`: a value that stands in for a wrong one must not be
    /// compared with others.
    pub fn sound(&self, path: &[&str]) -> bool {
        let mut full = self.reader.path.clone();
        full.extend(path.iter().map(|name| (*name).to_owned()));
        let key = dotted(&full);
        !self.reader.problems.iter().any(|problem| {
            problem
                .key
                .strip_prefix(&key)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Notes that the key at `path` below this section cannot be.
    pub fn impossible(&mut self, path: &[&str], what: impl Into<String>, remedy: impl Into<String>) {
        self.note(ProblemKind::Impossible, path, what, remedy);
    }

    /// Notes that the key at `path` below this section is missing.
    pub fn missing(&mut self, path: &[&str], what: impl Into<String>, remedy: impl Into<String>) {
        self.note(ProblemKind::Missing, path, what, remedy);
    }

    fn note(&mut self, kind: ProblemKind, path: &[&str], what: impl Into<String>, remedy: impl Into<String>) {
        let mut node = self.node;
        for name in path {
            match node.get(name) {
                Some(inner) => node = inner,
                None => break,
            }
        }
        let depth = self.reader.path.len();
        self.reader.path.extend(path.iter().map(|name| (*name).to_owned()));
        self.reader.note(kind, &node.origin, what, remedy);
        self.reader.path.truncate(depth);
    }

    fn note_unknown(&mut self) {
        for entry in self.entries() {
            if self.asked.contains(&entry.name.as_str()) {
                continue;
            }
            let remedy = match nearest(&entry.name, self.asked.iter().copied()) {
                Some(name) => format!("did you mean {name:?}?"),
                None => format!("remove it, or use one of: {}", self.asked.join(", ")),
            };
            self.reader.within(entry.name.clone(), |reader| {
                reader.note(ProblemKind::UnknownKey, &entry.origin, "unknown key", remedy);
            });
        }
    }
}
