//! Which API is served where, checked: TLS that has no certificate, listeners that get in each other's way.

use super::{Api, Bind, ListenerTls, Settings, check::Findings, listen::Served};

fn keys_of(api: Api) -> [&'static str; 4] {
    match api {
        Api::Presence => {
            ["listen.presence.bind", "listen.presence.prefix", "listen.presence.tls", "listen.presence.proxy_protocol"]
        }
        Api::Quiz => ["listen.quiz.bind", "listen.quiz.prefix", "listen.quiz.tls", "listen.quiz.proxy_protocol"],
        Api::Chat => ["listen.chat.bind", "listen.chat.prefix", "listen.chat.tls", "listen.chat.proxy_protocol"],
        Api::Labs => ["listen.labs.bind", "listen.labs.prefix", "listen.labs.tls", "listen.labs.proxy_protocol"],
        Api::Internal => {
            ["listen.internal.bind", "listen.internal.prefix", "listen.internal.tls", "listen.internal.proxy_protocol"]
        }
    }
}

/// Looks at how the APIs are served, each alone and each beside each other one.
pub(super) fn check(settings: &Settings, findings: &mut Findings) {
    let served = settings.served();
    for (place, one) in served.iter().enumerate() {
        tls(settings, *one, findings);
        for other in &served[place + 1..] {
            pair(settings, *one, *other, findings);
        }
    }
    if settings.tls.certificate.is_some() != settings.tls.key.is_some() {
        findings.fault(&["tls.certificate", "tls.key"], "expected certificate and key, or neither: a key is of one certificate");
    }
    let internal = settings.listen.internal.bind.address();
    if internal.is_some_and(|internal| !internal.ip().is_loopback()) {
        findings.warning(
            &["listen.internal.bind"],
            "the internal routes ask for no token: let only your own network reach this address",
        );
    }
}

fn tls(settings: &Settings, one: Served<'_>, findings: &mut Findings) {
    let wants_tls = *one.tls != ListenerTls::Off && !settings.follows_presence(one.api);
    if wants_tls && one.tls.files(&settings.tls).is_none() {
        findings.fault(&[keys_of(one.api)[2], "tls.certificate"], "expected certificate and key in [tls], or here");
    }
}

/// Whether two APIs may share a prefix: no path of labs is one of presence's or a quiz's.
fn never_meet(one: Api, other: Api) -> bool {
    matches!((one, other), (Api::Presence | Api::Quiz, Api::Labs) | (Api::Labs, Api::Presence | Api::Quiz))
}

/// Two APIs: the same listener with different prefixes, or listeners that do not get in each other's way.
fn pair(settings: &Settings, one: Served<'_>, other: Served<'_>, findings: &mut Findings) {
    let (one_keys, other_keys) = (keys_of(one.api), keys_of(other.api));
    let ([one_bind, one_prefix, ..], [other_bind, other_prefix, ..]) = (one_keys, other_keys);
    // What is said of presence's address is not said again of those who share it.
    let follows = [one.api, other.api].into_iter().any(|api| settings.follows_presence(api));
    if one.bind != other.bind {
        let clash = one.bind.port().is_some() && one.bind.port() == other.bind.port();
        let any = [one.bind, other.bind].into_iter().filter_map(Bind::address).any(|address| address.ip().is_unspecified());
        if clash && any && !follows {
            let message = format!("{} and {} clash: one port, and one of the addresses stands for all", one.api, other.api);
            findings.fault(&[other_bind, one_bind], message);
        }
        return;
    }
    if one.bind.is_any_port() {
        return;
    }
    let told = follows && settings.listen.presence.prefix == settings.listen.labs.prefix;
    if one.prefix == other.prefix && !never_meet(one.api, other.api) && !told {
        let message = format!("{} and {} share a listener: expected a different prefix for each", one.api, other.api);
        findings.fault(&[other_bind, one_bind, one_prefix, other_prefix], message);
    }
    if (one.tls, one.proxy) != (other.tls, other.proxy) && !follows {
        let message =
            format!("{} and {} share a listener: expected the same tls and proxy_protocol for both", one.api, other.api);
        findings.fault(&[other_bind, one_bind], message);
    }
    if (one.api == Api::Internal || other.api == Api::Internal) && !follows {
        let message = "the internal routes ask for no token, and share a listener with a public API";
        findings.warning(&[other_bind, one_bind], message);
    }
}
