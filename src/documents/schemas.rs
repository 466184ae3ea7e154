//! Schemas of types, by name, each under the name of its API.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// Where both kinds of documents have them.
const AT: &str = "#/components/schemas/";
/// What types that are written are called behind their names.
const SUFFIXES: [&str; 2] = ["Shape", "Text"];

/// Writes down a schema, and all that it refers to, and says how to refer to it.
pub type Shape = fn(&mut Schemas) -> Value;

/// The schemas of one API.
#[derive(Default, Debug)]
pub struct Schemas {
    api: &'static str,
    found: Map<String, Value>,
    clashes: Vec<String>,
}

/// A type that has a name.
pub fn shape<T: ToSchema>(schemas: &mut Schemas) -> Value {
    schemas.add::<T>();
    json!({ "$ref": format!("{AT}{}", schemas.name(&T::name())) })
}

/// A list of such.
pub fn list<T: ToSchema>(schemas: &mut Schemas) -> Value {
    json!({ "type": "array", "items": shape::<T>(schemas) })
}

/// The schema of a type in its place, and not by its name.
pub fn inline<T: ToSchema>(schemas: &mut Schemas) -> Value {
    schemas.add::<T>();
    schemas.found.get(&schemas.name(&T::name())).cloned().unwrap_or_default()
}

impl Schemas {
    /// None yet, of the API of this name.
    pub fn of(api: &'static str) -> Schemas {
        Schemas { api, ..Schemas::default() }
    }

    /// All that were found, by name.
    pub fn found(&self) -> &Map<String, Value> {
        &self.found
    }

    /// Names that two types have which are not the same.
    pub fn clashes(&self) -> &[String] {
        &self.clashes
    }

    fn name(&self, of_type: &str) -> String {
        let bare = SUFFIXES.iter().find_map(|suffix| of_type.strip_suffix(suffix)).filter(|bare| !bare.is_empty());
        format!("{}.{}", self.api, bare.unwrap_or(of_type))
    }

    fn add<T: ToSchema>(&mut self) {
        let mut found = Vec::new();
        T::schemas(&mut found);
        found.push((T::name().into_owned(), T::schema()));
        for (name, schema) in found {
            // Names, numbers and lists: it is always written.
            let mut schema = serde_json::to_value(schema).unwrap_or_default();
            self.refer(&mut schema);
            let name = self.name(&name);
            match self.found.get(&name) {
                Some(other) if *other != schema => self.clashes.push(name),
                Some(_) | None => drop(self.found.insert(name, schema)),
            }
        }
    }

    /// Renames what a schema refers to.
    fn refer(&self, schema: &mut Value) {
        match schema {
            Value::Object(fields) => {
                if let Some(Value::String(at)) = fields.get_mut("$ref")
                    && let Some(name) = at.strip_prefix(AT)
                {
                    *at = format!("{AT}{}", self.name(name));
                }
                fields.values_mut().for_each(|field| self.refer(field));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.refer(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}
