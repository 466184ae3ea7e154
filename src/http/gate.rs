//! What an API does around every request to its paths, whatever the table finds there: limits are counted and told with a 404 too.

use super::{answer::Answer, fault::Fault};
use http::{HeaderValue, request::Parts};
use std::{future::Future, net::IpAddr, pin::Pin, rc::Rc};

/// How an API tells what the table itself refuses.
pub(super) type Voice = fn(Fault) -> Answer;

/// The address of the client, among the extensions of a request that came by a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// Its bits; an IPv4 address is mapped into IPv6.
    pub fn mapped(self) -> u128 {
        match self.0 {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        }
    }
}

/// What the gate has to say of one request.
pub struct Entry {
    /// The answer, where the request comes no further. Its body is not read.
    pub refusal: Option<Answer>,
    /// What is done to the answer, whosever it is.
    pub finish: Box<dyn FnOnce(&mut Answer)>,
}

type Entering = Pin<Box<dyn Future<Output = Entry>>>;
type Enter<S> = Box<dyn Fn(Rc<S>, &Parts, &HeaderValue) -> Entering>;

/// The gate of one API.
pub struct Gate<S> {
    /// Whether a path, without the API's prefix, is the API's though no route is there: such a request is counted and answered by it.
    minds: fn(&str) -> bool,
    pub(super) voice: Voice,
    enter: Enter<S>,
}

impl<S> Gate<S> {
    /// `enter` gets the head of the request and its id (`x-request-id`). Questions of browsers whether they may ask (`OPTIONS`) do not come
    /// to a gate.
    pub fn new<F>(
        minds: fn(&str) -> bool,
        voice: fn(Fault) -> Answer,
        enter: impl Fn(Rc<S>, &Parts, &HeaderValue) -> F + 'static,
    ) -> Gate<S>
    where
        F: Future<Output = Entry> + 'static,
    {
        Gate { minds, voice, enter: Box::new(move |house, parts, id| Box::pin(enter(house, parts, id))) }
    }

    pub(super) fn minds(&self, prefix: &str, path: &str) -> bool {
        path.strip_prefix(prefix).is_some_and(self.minds)
    }

    pub(super) fn enter(&self, house: &Rc<S>, parts: &Parts, id: &HeaderValue) -> Entering {
        (self.enter)(Rc::clone(house), parts, id)
    }
}
