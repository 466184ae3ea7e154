//! Where an issuer publishes its keys.

use super::setting::{Setting, text};
use std::{fmt, net::IpAddr, path::PathBuf};
use toml::de::DeValue;

/// A place where a set of keys (a JWK Set) is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetPlace {
    /// A file of this machine.
    File(PathBuf),
    /// An address, asked by HTTPS; by plain HTTP only on this machine, since whoever stands on the way could put in keys of his own.
    Url(String),
}

impl Setting for SetPlace {
    const EXPECTED: &'static str = "an address such as \"https://id.example.org/jwks.json\", without a user and a fragment, or a file such as \
                                    \"file:/etc/homeroom/jwks.json\"; http:// only for this machine";
    fn scalar(value: &DeValue<'_>) -> Result<SetPlace, &'static str> {
        text(value, Self::EXPECTED, place)
    }
}

fn place(given: &str) -> Option<SetPlace> {
    if let Some(path) = given.strip_prefix("file:") {
        let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
        return (!path.is_empty() && !path.starts_with("//")).then(|| SetPlace::File(path.into()));
    }
    let uri = given.parse::<http::Uri>().ok()?;
    let authority = uri.authority()?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_safe = match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => is_here,
        _ => false,
    };
    // Where it is read is told in logs and to operators: no place for a password.
    let is_plain = !authority.as_str().contains('@') && !given.contains('#');
    (is_safe && is_plain).then(|| SetPlace::Url(given.to_owned()))
}

/// As it is told: without a query, which may hold a secret.
impl fmt::Display for SetPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetPlace::File(path) => write!(f, "file:{}", path.display()),
            SetPlace::Url(url) => f.write_str(url.split('?').next().unwrap_or_default()),
        }
    }
}

impl SetPlace {
    /// Two places are one where this is the same.
    pub fn identity(&self) -> String {
        match self {
            SetPlace::File(path) => format!("file:{}", path.display()),
            SetPlace::Url(url) => url.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Algorithm, IssuerKeys, Layers, Loaded};

    #[test]
    fn only_a_place_that_nobody_can_change_on_the_way_is_taken() {
        let url = |text: &str| Some(SetPlace::Url(text.to_owned()));
        for (given, expected) in [
            ("https://id.example.org/jwks.json", url("https://id.example.org/jwks.json")),
            ("https://id.example.org:8443", url("https://id.example.org:8443")),
            ("http://127.0.0.1:8080/jwks", url("http://127.0.0.1:8080/jwks")),
            ("http://[::1]:8080/jwks", url("http://[::1]:8080/jwks")),
            ("http://localhost/jwks", url("http://localhost/jwks")),
            ("file:/etc/jwks.json", Some(SetPlace::File("/etc/jwks.json".into()))),
            ("file:///etc/jwks.json", Some(SetPlace::File("/etc/jwks.json".into()))),
            ("file:jwks.json", Some(SetPlace::File("jwks.json".into()))),
            ("file:", None),
            ("file:////etc", None),
            ("file://host/etc", None),
            ("http://id.example.org/jwks", None),
            ("http://127.0.0.1.example.org/jwks", None),
            ("http://localhost.example.org/jwks", None),
            ("http://127.0.0.1@id.example.org/jwks", None),
            ("https://user:word@id.example.org/jwks", None),
            ("https://id.example.org/jwks#keys", None),
            ("https:///jwks", None),
            ("ftp://id.example.org/jwks", None),
            ("/etc/jwks.json", None),
            ("id.example.org", None),
            ("", None),
        ] {
            assert_eq!(place(given), expected, "{given}");
        }
        let shown = SetPlace::Url("https://id.example.org/jwks?key=word".into());
        assert_eq!(shown.to_string(), "https://id.example.org/jwks");
    }

    fn read(fields: &str) -> Result<IssuerKeys, String> {
        let text = format!("[quiz.issuers.\"i\"]\naudiences = [\"a.org\"]\n{fields}\n");
        let loaded = Loaded::of(&Layers::default().file("homeroom.toml", &text)).map_err(|faults| faults.to_string())?;
        Ok(loaded.settings.quiz.issuers["i"].keys.clone())
    }

    #[test]
    fn an_issuer_has_one_key_or_a_set() {
        let place = SetPlace::File("/j".into());
        assert_eq!(read("jwks = \"file:/j\""), Ok(IssuerKeys::Set { place: place.clone(), algorithm: None }));
        let only = IssuerKeys::Set { place, algorithm: Some(Algorithm::Ps256) };
        assert_eq!(read("jwks = \"file:/j\"\nalgorithm = \"PS256\""), Ok(only));
        for (fields, expected) in [
            ("jwks = \"file:/j\"\nkey_file = \"k\"", "quiz.issuers.i.key_file: expected either key_file or jwks"),
            ("jwks = \"file:/j\"\nalgorithm = \"HS256\"", "expected one with public keys: jwks holds no secrets"),
            ("jwks = \"http://id.example.org/j\"", "quiz.issuers.i.jwks: expected an address such as"),
            ("algorithm = \"PS256\"", "quiz.issuers.i.key_file: is missing"),
        ] {
            let told = read(fields).unwrap_err();
            assert!(told.contains(expected), "{fields}: {told}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        let text = "[presence.issuers.\"i\"]\naudiences = [\"a.org\"]\njwks = \"file:/nonexistent/jwks\"\n";
        let loaded = Loaded::of(&Layers::default().file("homeroom.toml", text)).unwrap();
        let told: Vec<String> = loaded.unreadable_keys().iter().map(ToString::to_string).collect();
        assert!(
            told[0].starts_with("homeroom.toml:1: presence.issuers.\"i\".jwks: /nonexistent/jwks cannot be read"),
            "{told:?}"
        );
    }
}
