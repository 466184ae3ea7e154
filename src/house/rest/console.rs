//! Where the console's pages find the labs.

use super::Rest;
use crate::{
    config::{Api, Listener},
    http::console::{Console, LabsPlace},
};
use std::net::SocketAddr;

impl Console for Rest {
    fn labs(&self) -> LabsPlace {
        self.labs_place.clone()
    }
}

/// The labs' place among the listeners and what they are bound to, or the `origin` that the settings name.
pub(in crate::house) fn labs_place(listeners: &[Listener], addresses: &[SocketAddr], origin: Option<&str>) -> LabsPlace {
    let serving = listeners.iter().zip(addresses).find_map(|(listener, address)| {
        let labs = listener.serves.iter().find(|(api, _)| *api == Api::Labs);
        labs.map(|(_, prefix)| (address.port(), prefix.to_string()))
    });
    let (port, prefix) = serving.unwrap_or_default();
    LabsPlace { origin: origin.map(str::to_owned), port, prefix }
}
