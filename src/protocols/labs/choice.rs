//! Which agent a new session goes to.

use super::{asks::Refused, host::Host};
use std::cmp::Reverse;

/// Online, of the platform and the region that are asked for, not draining, with a place; of those the one with the fewest sessions, then
/// the one that was heard of last, then by name.
///
/// # Errors
/// [`Refused::NoAgents`] and [`Refused::Full`].
pub(super) fn choose<'a>(
    hosts: impl Iterator<Item = (usize, &'a Host)>,
    platform: Option<&str>,
    region: Option<&str>,
) -> Result<u32, Refused> {
    let is_asked_for = |host: &Host| {
        platform.is_none_or(|platform| *host.row.platform == *platform) && region.is_none_or(|region| *host.row.region == *region)
    };
    let open = |host: &Host| host.known && host.online().is_some() && !host.row.draining && is_asked_for(host);
    let mut refusal = Refused::NoAgents;
    let mut best = None;
    for (place, host) in hosts.filter(|(_, host)| open(host)) {
        if !host.has_room() {
            refusal = Refused::Full;
            continue;
        }
        let rank = (host.places, Reverse(host.heard), &host.row.name);
        if best.as_ref().is_none_or(|(other, _)| rank < *other) {
            best = Some((rank, place as u32));
        }
    }
    best.map(|(_, place)| place).ok_or(refusal)
}

#[cfg(test)]
mod tests {
    use super::{
        super::host::{Link, first_row},
        *,
    };
    use crate::realtime::{ConnId, Moment, ShardId, UnixMicros};
    use uuid::Uuid;

    fn host(name: &str, places: u32, most: Option<u32>, heard: u64) -> Host {
        let mut host = Host::new(first_row(Uuid::nil(), name.into(), UnixMicros(0)), true);
        host.row.platform = "kubernetes".into();
        host.row.region = "us-east-1".into();
        host.row.max_sessions = most;
        host.places = places;
        host.heard = Moment(heard);
        let conn = ConnId { shard: ShardId(0), generation: 0, slot: 0 };
        host.link = Some(Link { conn, since: UnixMicros(0), silent: false });
        host
    }

    fn chosen(hosts: &[Host], platform: Option<&str>, region: Option<&str>) -> Result<String, Refused> {
        choose(hosts.iter().enumerate(), platform, region).map(|place| hosts[place as usize].row.name.to_string())
    }

    #[test]
    fn the_fewest_sessions_then_the_newest_heartbeat_then_the_name() {
        let hosts = [host("d", 1, Some(9), 50), host("c", 1, Some(9), 60), host("b", 1, None, 60), host("a", 2, Some(9), 99)];
        assert_eq!(chosen(&hosts, None, None).unwrap(), "b");
        assert_eq!(chosen(&hosts[..2], None, None).unwrap(), "c");
        assert_eq!(chosen(&hosts[3..], None, None).unwrap(), "a");
    }

    #[test]
    fn platform_and_region() {
        let mut hosts = [host("a", 0, None, 1), host("b", 5, None, 1)];
        hosts[1].row.platform = "docker".into();
        hosts[1].row.region = "eu".into();
        assert_eq!(chosen(&hosts, Some("docker"), None).unwrap(), "b");
        assert_eq!(chosen(&hosts, None, Some("eu")).unwrap(), "b");
        assert_eq!(chosen(&hosts, Some("kubernetes"), Some("eu")), Err(Refused::NoAgents));
    }

    #[test]
    fn full_is_told_apart_from_nobody() {
        let mut hosts = [host("a", 2, Some(2), 1), host("b", 0, Some(0), 1), host("c", 0, None, 1)];
        hosts[2].row.draining = true;
        assert_eq!(chosen(&hosts, None, None), Err(Refused::Full));
        assert_eq!(chosen(&hosts[2..], None, None), Err(Refused::NoAgents), "one that drains takes none");
        assert_eq!(chosen(&[], None, None), Err(Refused::NoAgents));
    }

    #[test]
    fn who_is_silent_gone_or_not_on_disk_takes_none() {
        for spoil in [
            (|host| host.link = None) as fn(&mut Host),
            |host| host.known = false,
            |host| host.link.as_mut().unwrap().silent = true,
        ] {
            let mut hosts = [host("a", 0, None, 1)];
            spoil(&mut hosts[0]);
            assert_eq!(chosen(&hosts, None, None), Err(Refused::NoAgents));
        }
    }
}
