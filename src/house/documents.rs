//! The documents of each listener, put together of what its APIs tell of themselves.

use crate::{
    config::{Api, Listener},
    documents::{Rest, Sockets, asyncapi, openapi},
    http::{
        self,
        documents::{Documents, document},
        internal, presence,
    },
    protocols,
};

/// Those of one listener.
pub(super) fn documents(listener: &Listener) -> Documents {
    let version = env!("CARGO_PKG_VERSION");
    let (routes, sockets) = of_listener(listener);
    let server = server(listener);
    let server = server.as_ref().map(|(address, protocol)| (&**address, *protocol));
    Documents::new(&openapi(version, &routes), &asyncapi(version, server, &sockets))
}

/// Its address and protocol, for its sockets. None: it is found by this machine alone.
fn server(listener: &Listener) -> Option<(String, &'static str)> {
    let protocol = if listener.tls.is_some() { "wss" } else { "ws" };
    listener.bind.address().map(|address| (address.to_string(), protocol))
}

type Told<'a, What> = Vec<(&'a str, What)>;

/// What its APIs tell, each under its prefix.
fn of_listener(listener: &Listener) -> (Told<'_, Rest>, Told<'_, Sockets>) {
    let mut serves: Vec<_> = listener.serves.iter().collect();
    // Where routes meet on a shared listener, the API's own goes before the internal one.
    serves.sort_by_key(|(api, _)| *api);
    let (mut routes, mut sockets) = (Vec::new(), Vec::new());
    for (api, prefix) in serves {
        let (of_routes, of_sockets) = of(*api);
        routes.extend(of_routes.into_iter().map(|rest| (&**prefix, rest)));
        sockets.extend(of_sockets.into_iter().map(|one| (&**prefix, one)));
    }
    routes.push(("", document()));
    (routes, sockets)
}

/// What an API tells of its routes and its sockets.
fn of(api: Api) -> (Vec<Rest>, Vec<Sockets>) {
    match api {
        Api::Presence => (vec![presence::document::document()], vec![protocols::presence::document::document()]),
        Api::Quiz => (vec![http::quiz::document()], vec![protocols::quiz::document::document()]),
        Api::Labs => (vec![http::labs::document()], vec![protocols::labs::document::document()]),
        Api::Chat => (
            vec![http::chat::document(), http::tasks::document()],
            vec![protocols::chat::document::document(), protocols::tasks::document::document()],
        ),
        Api::Internal => (internal::document(), Vec::new()),
    }
}

#[cfg(test)]
mod tests;
