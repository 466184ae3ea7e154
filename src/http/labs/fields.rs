//! Bodies: an object, whose fields are asked for by name, so that a refusal can name the one that is wrong. Null is as good as absent;
//! what is not asked for is not looked at.

use super::fault::Fault;
use crate::http::call::Call;
use serde_json::{Map, Value};

/// The fields of a body, or of an object in it.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Of the body.
    pub(super) fn of<S>(call: &Call<S>) -> Result<Fields, Fault> {
        match serde_json::from_slice(&call.body) {
            Ok(Value::Object(fields)) => Ok(Fields(fields)),
            Ok(_) | Err(_) => Err(Fault::Unreadable("The body must be a JSON object")),
        }
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Fault::Field(name, "Expected a text")),
        }
    }

    /// A text that must be there.
    pub(super) fn needed(&mut self, name: &'static str) -> Result<String, Fault> {
        self.text(name)?.ok_or(Fault::Missing(name))
    }

    /// A text that suits.
    pub(super) fn checked(
        &mut self,
        name: &'static str,
        suits: impl Fn(&str) -> bool,
        expected: &'static str,
    ) -> Result<Option<String>, Fault> {
        match self.text(name)? {
            Some(text) if !suits(&text) => Err(Fault::Field(name, expected)),
            text => Ok(text),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(Fault::Field(name, "Expected true or false")),
        }
    }

    /// A whole number of at most `most`.
    pub(super) fn number(&mut self, name: &'static str, most: u16) -> Result<Option<u16>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| *number <= most);
                number.map(Some).ok_or(Fault::Field(name, "Expected a whole number in its range"))
            }
        }
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, Fault> {
        let wrong = Fault::Field(name, "Expected a list of texts");
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::Array(list) = value else { return Err(wrong) };
        let texts = list.into_iter().map(|value| match value {
            Value::String(text) => Some(text),
            _ => None,
        });
        texts.collect::<Option<_>>().map(Some).ok_or(wrong)
    }

    /// An object's fields; none where it is absent.
    pub(super) fn object(&mut self, name: &'static str) -> Result<Fields, Fault> {
        match self.take(name) {
            None => Ok(Fields(Map::new())),
            Some(Value::Object(fields)) => Ok(Fields(fields)),
            Some(_) => Err(Fault::Field(name, "Expected an object")),
        }
    }

    /// All fields that are left, each a text.
    pub(super) fn rest(self, name: &'static str) -> Result<impl Iterator<Item = (String, String)>, Fault> {
        let texts = self.0.into_iter().map(|(key, value)| match value {
            Value::String(text) => Some((key, text)),
            _ => None,
        });
        let texts: Option<Vec<_>> = texts.collect();
        texts.map(Vec::into_iter).ok_or(Fault::Field(name, "Expected an object of texts"))
    }
}
