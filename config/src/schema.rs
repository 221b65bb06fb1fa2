//! The outline of a configuration as JSON Schema (draft 7), which editors and checkers read.

use serde_json::{Map, Value as Json, json};

use crate::example::Descriptions;
use crate::outline::{Key, Outline, Scalar, Shape};

/// What a text may hold in place of any value.
const VARIABLE: &str = r"\$\{";

/// The schema of a document of this shape. `descriptions` says what each key is for.
pub(crate) fn schema(title: &str, shape: &Shape, descriptions: &Descriptions) -> Json {
    let root = At::default();
    let mut schema = root.shape(shape, descriptions);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!(title);
    schema
}

/// A place in a document and in its schema.
#[derive(Clone, Default)]
struct At {
    /// As descriptions spell it: `services.*.backends.*.urls[]`.
    path: String,
    /// The schema's own address of the same place, as `$ref` takes it.
    pointer: String,
}

impl At {
    fn below(&self, part: &str, pointer: &str) -> Self {
        Self {
            path: below(&self.path, part),
            pointer: format!("{}/{pointer}", self.pointer),
        }
    }

    fn shape(&self, shape: &Shape, descriptions: &Descriptions) -> Json {
        match shape {
            Shape::Scalar(scalar) => of_scalar(scalar),
            Shape::List(item) => {
                let item = self.below("[]", "items").shape(item, descriptions);
                json!({"type": ["array", "null"], "items": item})
            }
            Shape::OneOrMore(item) => {
                let items = self.below("[]", "anyOf/1/items").shape(item, descriptions);
                let one = self.below("[]", "anyOf/0").shape(item, descriptions);
                json!({"anyOf": [one, {"type": "array", "minItems": 1, "items": items}]})
            }
            Shape::Map(pattern, value) => {
                let value = self.below("*", "additionalProperties").shape(value, descriptions);
                let names = json!({"pattern": pattern});
                json!({"type": ["object", "null"], "propertyNames": names, "additionalProperties": value})
            }
            Shape::Named(values) => self.named(values, descriptions),
            Shape::Section(outline) => self.outline(outline, descriptions),
            Shape::Either(scalar, outline) => {
                let section = self.below("", "anyOf/1").outline(outline, descriptions);
                json!({"anyOf": [of_scalar(scalar), section]})
            }
        }
    }

    /// Values that are alike are written out once.
    fn named(&self, values: &[(&str, Shape)], descriptions: &Descriptions) -> Json {
        let of = |(name, shape): &(&str, Shape)| {
            let alike = values.iter().find(|(_, other)| other == shape);
            let schema = match alike {
                Some((first, _)) if first != name => {
                    json!({"$ref": format!("#{}/properties/{first}", self.pointer)})
                }
                _ => self
                    .below("*", &format!("properties/{name}"))
                    .shape(shape, descriptions),
            };
            ((*name).to_owned(), schema)
        };
        let properties: Map<String, Json> = values.iter().map(of).collect();
        json!({"type": ["object", "null"], "properties": properties, "additionalProperties": false})
    }

    fn outline(&self, outline: &Outline, descriptions: &Descriptions) -> Json {
        let of = |key: &Key| {
            let at = self.below(key.name, &format!("properties/{}", key.name));
            let mut schema = at.shape(&key.shape, descriptions);
            if let Some(description) = descriptions.of(&at.path) {
                schema["description"] = json!(description);
            }
            if let Some(default) = &key.default {
                schema["default"] = default.clone();
            }
            (key.name.to_owned(), schema)
        };
        let properties: Map<String, Json> = outline.keys.iter().map(of).collect();
        let kind = if outline.is_required() {
            json!("object")
        } else {
            json!(["object", "null"])
        };
        let mut schema = json!({"type": kind, "properties": properties, "additionalProperties": false});
        let required = outline.keys.iter().filter(|key| key.required);
        let required: Vec<&str> = required.map(|key| key.name).collect();
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        if !outline.one_of.is_empty() {
            let present = |name: &&str| json!({"required": [name]});
            let group = |names: &Vec<&str>| json!({"anyOf": names.iter().map(present).collect::<Json>()});
            schema["allOf"] = outline.one_of.iter().map(group).collect();
        }
        schema
    }
}

/// A single value may also be left empty, or be a text with a variable.
fn of_scalar(scalar: &Scalar) -> Json {
    let or_variable = |pattern: &str| format!("{pattern}|^$|{VARIABLE}");
    match scalar {
        Scalar::Text => json!({"type": ["string", "number", "boolean", "null"]}),
        Scalar::Matching(pattern) => json!({"type": ["string", "null"], "pattern": or_variable(pattern)}),
        Scalar::Flag => {
            json!({"type": ["boolean", "string", "null"], "pattern": or_variable("^(yes|no|on|off)$")})
        }
        Scalar::Whole { least, most } => {
            let mut schema = json!({"type": ["integer", "string", "null"], "maximum": most});
            schema["pattern"] = json!(format!("^$|{VARIABLE}"));
            if *least > i64::MIN {
                schema["minimum"] = json!(least);
            }
            schema
        }
        Scalar::Number { least } => {
            json!({"type": ["number", "string", "null"], "minimum": least, "pattern": format!("^$|{VARIABLE}")})
        }
        Scalar::Duration => {
            let pattern = or_variable("^[+]?([0-9.]+(ns|us|µs|ms|s|m|h))+$|^0$");
            json!({"type": ["string", "integer", "null"], "maximum": 0, "pattern": pattern})
        }
        Scalar::OneOf(values) => {
            json!({"anyOf": [{"enum": values}, {"type": ["string", "null"], "pattern": format!("^$|{VARIABLE}")}]})
        }
    }
}

/// The path of what is called `part` below `path`; the same path for no part.
pub(crate) fn below(path: &str, part: &str) -> String {
    match (path, part) {
        ("", part) => part.to_owned(),
        (path, "") => path.to_owned(),
        (path, "[]") => format!("{path}[]"),
        (path, part) => format!("{path}.{part}"),
    }
}
