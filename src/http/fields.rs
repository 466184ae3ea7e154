//! Bodies: an object, whose fields are asked for by name, so that a refusal can name the one that is wrong. Null is as good as absent;
//! what is not asked for is not looked at. What is to be given back unchanged is not parsed further than to see that it is JSON.

use super::call::Call;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What is wrong with a body or a query. Each API has its own words for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misfit {
    /// The body is not JSON.
    NotJson,
    /// The body is JSON, but no object.
    NoObject,
    /// A field or parameter is not as it must be; with what was expected.
    Wrong(&'static str, &'static str),
}

/// The fields of a body.
#[derive(Debug)]
pub(super) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    /// Of the body.
    pub(super) fn of<S>(call: &'a Call<S>) -> Result<Fields<'a>, Misfit> {
        let text = std::str::from_utf8(&call.body).map_err(|_| Misfit::NotJson)?;
        let value: &RawValue = serde_json::from_str(text).map_err(|_| Misfit::NotJson)?;
        serde_json::from_str(value.get()).map(Fields).map_err(|_| Misfit::NoObject)
    }

    /// Of a body that may be left away.
    pub(super) fn of_any<S>(call: &'a Call<S>) -> Result<Fields<'a>, Misfit> {
        if call.body.trim_ascii().is_empty() { Ok(Fields(BTreeMap::new())) } else { Fields::of(call) }
    }

    /// A field as it must be, if it is there.
    pub(super) fn field<T: Deserialize<'a>>(&self, name: &'static str, expected: &'static str) -> Result<Option<T>, Misfit> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        serde_json::from_str(value.get()).map_err(|_| Misfit::Wrong(name, expected))
    }

    /// A text.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, Misfit> {
        self.field(name, "expected a text")
    }

    /// A text that must be there.
    pub(super) fn needed(&self, name: &'static str) -> Result<String, Misfit> {
        self.text(name)?.ok_or(Misfit::Wrong(name, "required"))
    }

    /// A text of at most so many characters.
    pub(super) fn short(&self, name: &'static str, chars: usize, expected: &'static str) -> Result<Option<String>, Misfit> {
        match self.text(name)? {
            Some(text) if text.chars().count() > chars => Err(Misfit::Wrong(name, expected)),
            text => Ok(text),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &'static str) -> Result<Option<bool>, Misfit> {
        self.field(name, "expected true or false")
    }

    /// An object as it was sent, of at most so many bytes.
    pub(super) fn object(&self, name: &'static str, bytes: usize, expected: &'static str) -> Result<Option<&'a str>, Misfit> {
        match self.0.get(name).map(|value| value.get()).filter(|text| *text != "null") {
            Some(text) if !text.starts_with('{') || text.len() > bytes => Err(Misfit::Wrong(name, expected)),
            text => Ok(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::Request;
    use std::rc::Rc;

    fn call(body: &'static str) -> Call<()> {
        let (parts, ()) = Request::post("/").body(()).unwrap().into_parts();
        Call { house: Rc::new(()), parts, body: Bytes::from_static(body.as_bytes()), params: Vec::new() }
    }

    #[test]
    fn a_body_is_an_object() {
        for (body, fault) in [
            ("", Misfit::NotJson),
            ("{", Misfit::NotJson),
            ("{} x", Misfit::NotJson),
            ("[]", Misfit::NoObject),
            ("null", Misfit::NoObject),
            ("\"x\"", Misfit::NoObject),
        ] {
            assert_eq!(Fields::of(&call(body)).err(), Some(fault), "{body}");
        }
        let mut broken = call("");
        broken.body = Bytes::from_static(b"{\"a\":\"\xff\"}");
        assert_eq!(Fields::of(&broken).err(), Some(Misfit::NotJson));
        assert!(
            Fields::of_any(&call(" \n")).is_ok() && Fields::of_any(&call("{}")).is_ok() && Fields::of_any(&call("x")).is_err()
        );
    }

    #[test]
    fn a_field_is_there_or_not_or_wrong() {
        let call = call(r#"{"t": "a\n", "f": true, "o": {"n": 1.50, "b": [1]}, "z": null}"#);
        let fields = Fields::of(&call).unwrap();
        assert_eq!((fields.text("t"), fields.text("z"), fields.text("y")), (Ok(Some("a\n".into())), Ok(None), Ok(None)));
        assert_eq!(fields.text("f"), Err(Misfit::Wrong("f", "expected a text")));
        assert_eq!(
            (fields.needed("z"), fields.needed("y")),
            (Err(Misfit::Wrong("z", "required")), Err(Misfit::Wrong("y", "required")))
        );
        assert_eq!((fields.flag("f"), fields.flag("t").is_err()), (Ok(Some(true)), true));
        assert_eq!((fields.short("t", 2, "x"), fields.short("t", 1, "x").is_err()), (Ok(Some("a\n".into())), true));
        assert_eq!(fields.object("o", 99, "x"), Ok(Some(r#"{"n": 1.50, "b": [1]}"#)), "as it was sent");
        assert_eq!((fields.object("z", 99, "x"), fields.object("y", 99, "x")), (Ok(None), Ok(None)));
        assert!(fields.object("o", 3, "x").is_err() && fields.object("t", 99, "x").is_err());
    }
}
