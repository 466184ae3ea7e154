//! What stands before the listeners: TLS and its certificates, proxies.

use super::{Kind, Snapshot, family};
use crate::{house::certificates::Certificates, runtime::ShardCounts};

impl Snapshot {
    pub(super) fn fronts(&mut self, shells: &[ShardCounts], certificates: &Certificates) {
        use Kind::{Counter, Gauge};
        let mut each = |name, help, kind, read: &dyn Fn(&ShardCounts) -> u64| {
            self.by_shard(name, help, kind, shells.iter().map(read));
        };
        each("homeroom_tls_handshakes", "TLS handshakes that came to their end", Counter, &|s| s.tls_handshakes.value());
        each("homeroom_tls_resumed", "TLS handshakes that took up an earlier session", Counter, &|s| s.tls_resumed.value());
        each("homeroom_tls_1_3", "TLS handshakes of version 1.3", Counter, &|s| s.tls_newest.value());
        each("homeroom_tls_faults", "Connections that TLS ended", Counter, &|s| s.tls_faults.value());
        each("homeroom_tls_waiting", "TLS handshakes that wait for their turn", Gauge, &|s| s.tls_waiting_now.value());
        each("homeroom_proxy_faults", "Connections of proxies without a PROXY header that can be read", Counter, &|s| {
            s.proxy_faults.value()
        });
        let ends: Vec<_> = certificates.ends().map(|(name, end)| (vec![("listener", name.to_owned())], end)).collect();
        self.0.push(family(
            "homeroom_tls_certificate_end_timestamp",
            "When the certificate of a listener runs out, in seconds since 1970",
            Gauge,
            ends,
        ));
    }
}
