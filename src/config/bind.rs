//! Where a listener's connections come from, and what stands between them and the first request: TLS, a proxy.

use super::{
    fault::Fault,
    key::section,
    setting::{Fields, Place, Setting, text},
};
use crate::{
    proxy::{Network, Networks},
    tls::Version,
};
use std::{fmt, net::SocketAddr, path::PathBuf};
use toml::{Spanned, de::DeValue};

/// What is listened at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bind {
    /// An address; port 0 is chosen by the kernel.
    Address(SocketAddr),
    /// A unix socket at this path.
    Unix(PathBuf),
    /// A socket that systemd (or what behaves so) has opened, by its name.
    Systemd(String),
}

const UNIX: &str = "unix:";
const SYSTEMD: &str = "systemd:";

impl Bind {
    /// The address, where it is one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Bind::Address(address) => Some(*address),
            Bind::Unix(_) | Bind::Systemd(_) => None,
        }
    }

    /// The port, where it has one that is not left to the kernel.
    pub(super) fn port(&self) -> Option<u16> {
        self.address().map(|address| address.port()).filter(|port| *port != 0)
    }

    /// Whether the kernel chooses the port, so that it is never the same as another.
    pub(super) fn is_any_port(&self) -> bool {
        self.address().is_some_and(|address| address.port() == 0)
    }

    pub(super) fn parse(given: &str) -> Option<Bind> {
        if let Some(path) = given.strip_prefix(UNIX) {
            return path.starts_with('/').then(|| Bind::Unix(PathBuf::from(path)));
        }
        match given.strip_prefix(SYSTEMD) {
            Some(name) => (!name.is_empty()).then(|| Bind::Systemd(name.to_owned())),
            None => given.parse().ok().map(Bind::Address),
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Address(address) => address.fmt(f),
            Bind::Unix(path) => write!(f, "{UNIX}{}", path.display()),
            Bind::Systemd(name) => write!(f, "{SYSTEMD}{name}"),
        }
    }
}

impl Setting for Bind {
    const EXPECTED: &'static str =
        "an address with a port such as \"127.0.0.1:8080\" or \"[::]:8080\", \"unix:/path\", or \"systemd:name\"";
    fn scalar(value: &DeValue<'_>) -> Result<Bind, &'static str> {
        text(value, Self::EXPECTED, Bind::parse)
    }
}

section! {
    /// TLS, for the listeners whose tls says so. Certificates are read again on SIGHUP: connections that are there stay as they are, and a
    /// file that cannot be used changes nothing.
    Tls at "tls." {
        /// A file of PEM: the server's certificate, and those between it and the authority, in this order.
        certificate: Option<PathBuf> = "";
        /// A file of PEM: the key of the first certificate, not encrypted. ECDSA on P-256 is the cheapest to serve with: an RSA key of 2048
        /// bits takes several times the time at each connection.
        key: Option<PathBuf> = "";
        /// The oldest version that is spoken: "1.2" or "1.3".
        min_version: Version = "1.2";
    }
}

impl Setting for Version {
    const EXPECTED: &'static str = "\"1.2\" or \"1.3\"";
    fn scalar(value: &DeValue<'_>) -> Result<Version, &'static str> {
        text(value, Self::EXPECTED, |given| match given {
            "1.2" => Some(Version::Tls12),
            "1.3" => Some(Version::Tls13),
            _ => None,
        })
    }
}

/// Whether a listener speaks TLS, and what of it is not as in [`Tls`].
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum ListenerTls {
    /// It does not.
    #[default]
    Off,
    /// As `[tls]` says.
    On,
    /// With these in the place of those.
    Own {
        /// Certificate and key.
        files: Option<(PathBuf, PathBuf)>,
        /// The oldest version.
        min_version: Option<Version>,
    },
}

impl Setting for ListenerTls {
    const EXPECTED: &'static str = "true, false, or a table with certificate, key and min_version";
    const PLAIN: bool = false;

    fn scalar(value: &DeValue<'_>) -> Result<ListenerTls, &'static str> {
        match value.as_bool() {
            Some(true) => Ok(ListenerTls::On),
            Some(false) => Ok(ListenerTls::Off),
            None => Err(Self::EXPECTED),
        }
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<ListenerTls> {
        if value.get_ref().as_table().is_none() {
            let read = Self::scalar(value.get_ref());
            return read.map_err(|expected| faults.push(place.fault(value, format!("expected {expected}")))).ok();
        }
        let mut fields = Fields::of(value, place, faults);
        let known = faults.len();
        let certificate = fields.optional::<PathBuf>("certificate", faults);
        let key = fields.optional::<PathBuf>("key", faults);
        let min_version = fields.optional("min_version", faults);
        fields.refuse_others(faults);
        let files = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) if faults.len() > known => None,
            (Some(_), None) | (None, Some(_)) => {
                faults.push(place.fault(value, "expected certificate and key, or neither: a key is of one certificate"));
                None
            }
        };
        Some(ListenerTls::Own { files, min_version })
    }
}

/// What TLS a listener speaks, put together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// The chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The oldest version.
    pub min_version: Version,
}

impl ListenerTls {
    /// With what `[tls]` says put in. `None`: no TLS, or no certificate, which the check refuses.
    pub(super) fn files(&self, tls: &Tls) -> Option<TlsFiles> {
        let shared = tls.certificate.clone().zip(tls.key.clone());
        let (files, min_version) = match self {
            ListenerTls::Off => return None,
            ListenerTls::On => (shared, None),
            ListenerTls::Own { files, min_version } => (files.clone().or(shared), *min_version),
        };
        let (certificate, key) = files?;
        Some(TlsFiles { certificate, key, min_version: min_version.unwrap_or(tls.min_version) })
    }
}

impl Setting for Network {
    const EXPECTED: &'static str = "a network such as \"10.0.0.0/8\" or \"fd00::/8\", an address, or \"unix\"";
    fn scalar(value: &DeValue<'_>) -> Result<Network, &'static str> {
        text(value, Self::EXPECTED, |given| given.parse().ok())
    }
}

impl Setting for Networks {
    const EXPECTED: &'static str = "a list of networks such as [\"10.0.0.0/8\", \"fd00::/8\"]";
    const PLAIN: bool = false;

    fn scalar(_: &DeValue<'_>) -> Result<Networks, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<Networks> {
        Vec::read(value, place, faults).map(Networks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, Loaded, Settings};

    fn settings(text: &str) -> Settings {
        Loaded::of(&Layers::default().file("homeroom.toml", text)).unwrap_or_else(|faults| panic!("{faults}")).settings
    }

    fn faults(text: &str) -> String {
        Loaded::of(&Layers::default().file("homeroom.toml", text)).unwrap_err().to_string()
    }

    #[test]
    fn places_are_read_and_shown_alike() {
        for text in ["127.0.0.1:8080", "[::]:0", "unix:/run/homeroom/labs.sock", "systemd:presence"] {
            assert_eq!(Bind::parse(text).unwrap().to_string(), text);
        }
        for text in ["8080", "unix:", "unix:run/labs.sock", "systemd:", "localhost:80"] {
            assert_eq!(Bind::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_listener_has_the_tls_of_all_or_its_own() {
        let text = "[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n[listen.quiz]\ntls = true\n[listen.chat]\n\
                    tls = { min_version = \"1.3\" }\n[listen.internal]\n\
                    tls = { certificate = \"i.pem\", key = \"ik.pem\" }\nproxy_protocol = [\"10.0.0.0/8\", \"unix\"]\n";
        let files = |certificate: &str, key: &str, min_version| {
            Some(TlsFiles { certificate: certificate.into(), key: key.into(), min_version })
        };
        let listeners = settings(text).listeners();
        let tls: Vec<_> = listeners.iter().map(|listener| listener.tls.clone()).collect();
        let shared = files("c.pem", "k.pem", Version::Tls12);
        let newest = files("c.pem", "k.pem", Version::Tls13);
        assert_eq!(tls, [None, shared, newest, files("i.pem", "ik.pem", Version::Tls12)]);
        assert_eq!(listeners[3].proxy.0.len(), 2);
    }

    #[test]
    fn what_cannot_be_is_told() {
        assert!(faults("[listen.quiz]\ntls = true\n").contains("listen.quiz.tls: expected certificate and key in [tls]"));
        assert!(faults("[listen.quiz]\ntls = \"yes\"\n").contains("listen.quiz.tls: expected true, false, or a table"));
        assert!(
            faults("[listen.quiz]\ntls = { certificate = \"c.pem\" }\n").contains("expected certificate and key, or neither")
        );
        assert!(faults("[tls]\nmin_version = \"1.1\"\n").contains("expected \"1.2\" or \"1.3\""));
        assert!(faults("[tls]\nkey = \"k.pem\"\n").contains("expected certificate and key, or neither"));
        assert!(faults("[listen.quiz]\nproxy_protocol = [\"10.0.0.1/8\"]\n").contains("expected a network such as"));
        let shared = "[listen.quiz]\nbind = \"127.0.0.1:8080\"\nprefix = \"/quiz\"\nproxy_protocol = [\"unix\"]\n";
        assert!(faults(shared).contains("share a listener: expected the same tls and proxy_protocol"));
        let unix = "[listen.presence]\nbind = \"unix:/run/a\"\n[listen.quiz]\nbind = \"unix:/run/a\"\n";
        assert!(faults(unix).contains("share a listener: expected a different prefix"));
    }

    #[test]
    fn listeners_at_unix_sockets_are_shared_as_others_are() {
        let text = "[listen.presence]\nbind = \"unix:/run/a\"\n[listen.quiz]\nbind = \"unix:/run/a\"\nprefix = \"/quiz\"\n\
                    [listen.chat]\nbind = \"systemd:chat\"\n";
        let binds: Vec<String> = settings(text).listeners().iter().map(|listener| listener.bind.to_string()).collect();
        assert_eq!(binds, ["unix:/run/a", "systemd:chat", "127.0.0.1:9090"]);
    }
}
