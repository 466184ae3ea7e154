//! What a node that is one of several counts: the bus, the links, who else is there, and what other services say.

use super::{Family, Kind, Snapshot, family};
use crate::{cluster::outside::Dropped, nats};
use std::sync::atomic::Ordering::Relaxed;

impl Snapshot {
    /// Of a node that is one of several.
    pub(super) fn cluster(&mut self, counts: &nats::Counts) {
        use Kind::{Counter, Gauge};
        let numbers = [
            ("homeroom_cluster_packets_sent", "Packets put on the bus", Counter, &counts.packets_out),
            ("homeroom_cluster_packets_received", "Packets that came by the bus", Counter, &counts.packets_in),
            ("homeroom_cluster_letters_sent", "Letters for shards of other nodes", Counter, &counts.letters_out),
            ("homeroom_cluster_letters_received", "Letters from shards of other nodes", Counter, &counts.letters_in),
            ("homeroom_cluster_letters_lost", "Letters for nodes that had left", Counter, &counts.letters_lost),
            ("homeroom_cluster_resent", "Packets that were sent again", Counter, &counts.resent),
            ("homeroom_cluster_left", "Packets that the bus could not take at once", Counter, &counts.left),
            ("homeroom_cluster_dropped", "Times that messages came faster than they were read", Counter, &counts.dropped),
            ("homeroom_cluster_unreadable", "Messages that could not be read", Counter, &counts.unreadable),
            ("homeroom_cluster_links_broken", "Times that a link to another node broke", Counter, &counts.broken),
            ("homeroom_cluster_disconnects", "Times that the connection to NATS ended", Counter, &counts.disconnects),
            ("homeroom_cluster_links", "Links to other nodes", Gauge, &counts.links),
            ("homeroom_cluster_waiting_bytes", "Bytes that wait in links", Gauge, &counts.waiting_bytes),
            ("homeroom_cluster_view", "The number of the view of the cluster", Gauge, &counts.view),
            ("homeroom_cluster_nodes", "Nodes in the cluster, this one too", Gauge, &counts.nodes),
        ];
        for (name, help, kind, number) in numbers {
            self.single(name, help, kind, number.load(Relaxed));
        }
        let help = "Messages of other services to classrooms that went on to their homes";
        self.single("homeroom_cluster_outside", help, Counter, counts.outside_taken.load(Relaxed));
        let dropped = Dropped::REASONS.iter().zip(&counts.outside_dropped);
        self.0.push(family(
            "homeroom_cluster_outside_dropped",
            "Messages of other services to classrooms that were dropped",
            Counter,
            dropped.map(|(reason, count)| (vec![("reason", (*reason).to_owned())], count.load(Relaxed))),
        ));
        self.0.push(Family {
            name: "homeroom_cluster_lease_age_seconds",
            help: "Seconds since the nodes were last read",
            kind: Gauge,
            unit: Some("seconds"),
            samples: vec![(Vec::new(), (counts.read_ago_millis.load(Relaxed) as f64 / 1e3).into())],
        });
        self.single("homeroom_cluster_connected", "Whether there is a connection to NATS", Gauge, counts.is_connected().into());
        self.single("homeroom_cluster_hears", "Whether this node hears itself by NATS", Gauge, counts.hears().into());
    }
}
