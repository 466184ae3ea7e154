//! What a tool's arguments must be like: a JSON Schema (any published draft), looked at before the tool is called and before a person is
//! asked for leave.

use serde_json::Value;
use std::{fmt, sync::Arc};

/// A schema that was read once. Cloning shares it.
#[derive(Clone)]
pub struct Schema(Arc<Inner>);

struct Inner {
    text: Box<str>,
    validator: jsonschema::Validator,
}

/// A text is not a schema: why, for whoever configured it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SchemaFault(pub String);

impl Schema {
    /// Reads a schema. References to other documents are not followed.
    pub fn new(text: &str) -> Result<Schema, SchemaFault> {
        let value: Value = serde_json::from_str(text).map_err(|fault| SchemaFault(fault.to_string()))?;
        if !value.is_object() {
            return Err(SchemaFault("not a JSON object".to_owned()));
        }
        let validator = jsonschema::validator_for(&value).map_err(|fault| SchemaFault(fault.to_string()))?;
        Ok(Schema(Arc::new(Inner { text: text.into(), validator })))
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether arguments are an object that fits. If not, why: for the model, so what the arguments hold is left out.
    pub fn check(&self, arguments: &str) -> Result<(), Arc<str>> {
        let value: Value = serde_json::from_str(arguments).map_err(|_| Arc::from("not JSON"))?;
        if !value.is_object() {
            return Err("not a JSON object".into());
        }
        self.0.validator.validate(&value).map_err(|fault| {
            let path = fault.instance_path().to_string();
            let place = if path.is_empty() { String::new() } else { format!(" at {path}") };
            format!("{}{place}", fault.masked()).into()
        })
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Schema) -> bool {
        self.0.text == other.0.text
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.0.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMAIL: &str = r#"{"type":"object","properties":{"to":{"type":"string"},"copies":{"type":"integer","maximum":3}},
        "required":["to"],"additionalProperties":false}"#;

    #[test]
    fn what_fits_fits() {
        let schema = Schema::new(EMAIL).unwrap();
        assert_eq!(schema.check(r#"{"to":"a","copies":3}"#), Ok(()));
        assert_eq!(schema.text(), EMAIL);
        assert_eq!(schema.clone(), schema);
    }

    #[test]
    fn what_does_not_fit_says_why_without_the_words() {
        let schema = Schema::new(EMAIL).unwrap();
        for (arguments, part) in [
            ("nonsense", "not JSON"),
            ("[]", "not a JSON object"),
            (r#"{"copies":1}"#, "\"to\" is a required property"),
            (r#"{"to":5}"#, "at /to"),
            (r#"{"to":"a","copies":77}"#, "at /copies"),
        ] {
            let why = schema.check(arguments).unwrap_err();
            assert!(why.contains(part) && !why.contains("77"), "{arguments}: {why}");
        }
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for text in ["", "5", "[]", r#"{"type":"nothing"}"#, r#"{"$ref":"https://example.org/other.json"}"#] {
            assert!(Schema::new(text).is_err(), "{text}");
        }
    }
}
