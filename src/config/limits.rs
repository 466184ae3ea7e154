//! What one page, one address, one user and one request may take.

use super::{Settings, Size, check::Findings, key::section, setting::Setting};
use crate::websocket::origin::OriginRule;
use toml::de::DeValue;

impl Setting for OriginRule {
    const EXPECTED: &'static str =
        "\"*\", \"same-host\", \"null\", or an origin such as \"https://school.example\" or \"https://*.school.example\"";
    fn scalar(value: &DeValue<'_>) -> Result<OriginRule, &'static str> {
        value.as_str().and_then(|given| given.parse().ok()).ok_or(Self::EXPECTED)
    }
}

section! {
    /// What one page, one address, one user and one request may take, beside what each API says for itself. Who runs into one of these is
    /// counted in homeroom_limited_total. Addresses and users are counted by each node for itself.
    Limits at "limits." {
        /// Whose pages may open the sockets that a token lets in; others are answered 403. A browser says whose page it is (`Origin`), and
        /// whoever is no browser says nothing and is let in. "*": any page's, since no browser adds the token by itself; "same-host": a
        /// page's of the host that the socket is asked of; "https://school.example", "https://*.school.example" (hosts under it); "null":
        /// a file's, or that of a frame without an origin.
        origins: Vec<OriginRule> = ["*"];
        /// The same for the sockets of agents of labs: none. No browser is an agent, and where labs.agent_key_file is not set nothing else
        /// keeps the pages out that somebody in the network opens.
        agent_origins: Vec<OriginRule> = [];
        /// How many connections one address may have at once, over all APIs and shards; an IPv6 network of 64 bits is one address. The
        /// next few are answered 429, more are closed without a word. 0: any number. A school behind one address needs some for each
        /// student.
        connections_per_address: usize = 10000;
        /// How many new connections one address may make in a second; more are answered 429, and when those are as many, closed without
        /// a word. Each shard lets its part in, since the kernel deals connections evenly among them. 0: any number.
        handshakes_a_second: u32 = 1000;
        /// How many it may make at once before that: a school whose line comes back.
        handshake_burst: u32 = 10000;
        /// Whether connections from this machine are counted too. Not by default: a proxy in front has many clients, and one address.
        loopback: bool = false;
        /// How many connections may be without a whole request at once; when there are more, those go that have been so for longest, after
        /// a second at the least. 0: a quarter of websocket.max_connections. All that there are go after websocket.handshake_timeout.
        handshakes: usize = 0;
        /// How many connections one user may have at once at presence, at quizzes as an owner, at labs as a viewer and at chat, each for
        /// itself: the next is answered 429, or closed with 1008 where the upgrade was answered before it was known whose it is. 0: any
        /// number. Tasks have tasks.max_connections; an attempt at a quiz has 128.
        connections_per_user: usize = 2000;
        /// How many messages one client may send in a second to presence, quizzes, chat or tasks; one that sends more is closed with 1008.
        /// 0: any number. A screen is bound by labs.tunnel_window instead.
        messages_a_second: u32 = 2000;
        /// The largest head of a request, from its first line to the empty one; a larger one is answered 431.
        max_head: Size = "8KiB";
        /// The most headers of a request; more are answered 431.
        max_headers: usize = 64;
    }
}

/// As many as the counts have room for.
const MOST: usize = 1 << 24;

/// Looks at them.
pub(super) fn check(settings: &Settings, findings: &mut Findings) {
    let own = &settings.limits;
    for (key, number) in [
        ("limits.connections_per_address", own.connections_per_address),
        ("limits.connections_per_user", own.connections_per_user),
    ] {
        if number >= MOST {
            findings.fault(&[key], "expected less than 16777216, or 0 for any number");
        }
    }
    if own.handshakes_a_second > 0 && own.handshake_burst < own.handshakes_a_second {
        findings.fault(
            &["limits.handshake_burst", "limits.handshakes_a_second"],
            "expected handshake_burst to be no less than handshakes_a_second",
        );
    }
    if own.handshakes_a_second > 1_000_000 {
        findings.fault(&["limits.handshakes_a_second"], "expected at most 1000000");
    }
    if !((2 << 10)..=(16 << 10)).contains(&own.max_head.bytes()) {
        findings.fault(&["limits.max_head"], "expected a size from 2KiB to 16KiB");
    }
    if !(16..=64).contains(&own.max_headers) {
        findings.fault(&["limits.max_headers"], "expected 16 to 64");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, Loaded};

    fn settings(text: &str) -> Settings {
        Loaded::of(&Layers::default().file("homeroom.toml", text)).unwrap_or_else(|faults| panic!("{faults}")).settings
    }

    #[test]
    fn origins_are_read_and_a_slip_is_told() {
        let own = settings("").limits;
        assert_eq!((own.origins, own.agent_origins), (vec![OriginRule::Any], vec![]));
        let own = settings("limits.origins = [\"same-host\", \"https://school.example\"]").limits;
        assert_eq!(own.origins, [OriginRule::SameHost, OriginRule::Exact("https://school.example".into())]);
    }

    #[test]
    fn what_cannot_be_is_told() {
        for (text, expected) in [
            ("origins = [\"school.example\"]", "limits.origins: expected \"*\", \"same-host\", \"null\", or an origin such as"),
            ("connections_per_user = 16777216", "limits.connections_per_user: expected less than 16777216"),
            ("connections_per_address = 16777216", "limits.connections_per_address: expected less than 16777216"),
            ("handshake_burst = 10", "limits.handshake_burst: expected handshake_burst to be no less than handshakes_a_second"),
            ("handshakes_a_second = 2000000\nhandshake_burst = 2000000", "limits.handshakes_a_second: expected at most 1000000"),
            ("max_head = \"1KiB\"", "limits.max_head: expected a size from 2KiB to 16KiB"),
            ("max_headers = 65", "limits.max_headers: expected 16 to 64"),
        ] {
            let file = format!("[limits]\n{text}\n");
            let faults = Loaded::of(&Layers::default().file("homeroom.toml", &file)).expect_err(text);
            assert!(faults.0.iter().any(|fault| fault.to_string().contains(expected)), "{text}: {faults}");
        }
    }
}
