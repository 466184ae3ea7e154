//! Where the console's pages find the labs.

use super::Rest;
use crate::{
    config::{Api, Bind, Listener},
    http::console::{Console, LabsPlace},
};

impl Console for Rest {
    fn labs(&self) -> LabsPlace {
        self.labs_place.clone()
    }
}

/// The labs' place among the listeners and what they are bound to, or the `origin` that the settings name.
pub(in crate::house) fn labs_place(listeners: &[Listener], addresses: &[Bind], origin: Option<&str>) -> LabsPlace {
    let serving = listeners.iter().zip(addresses).find_map(|(listener, address)| {
        let labs = listener.serves.iter().find(|(api, _)| *api == Api::Labs);
        let port = address.address().map_or(0, |address| address.port());
        labs.map(|(_, prefix)| (port, prefix.to_string(), listener.tls.is_some()))
    });
    let (port, prefix, is_secure) = serving.unwrap_or_default();
    LabsPlace { origin: origin.map(str::to_owned), port, prefix, is_secure }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;

    #[test]
    fn labs_are_at_the_port_that_their_listener_got() {
        let text = "listen.presence.bind = \"127.0.0.1:0\"\nlisten.labs.prefix = \"/labs\"\n";
        let settings = crate::config::Loaded::of(&Layers::default().file("homeroom.toml", text)).unwrap().settings;
        let addresses =
            ["127.0.0.1:4001", "127.0.0.1:4002", "127.0.0.1:4003"].map(|address| Bind::Address(address.parse().unwrap()));
        let place = |origin| labs_place(&settings.listeners(), &addresses, origin);
        assert_eq!(place(None), LabsPlace { origin: None, port: 4001, prefix: "/labs".into(), is_secure: false });
        assert_eq!(place(Some("https://labs.example.school")).origin.as_deref(), Some("https://labs.example.school"));
    }
}
