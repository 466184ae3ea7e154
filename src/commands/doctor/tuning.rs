//! What the host's tuning means for a server of many connections: a finding for each thing. Pure. perf/README.md tells of each when it
//! matters.

use super::{
    host::{Card, Host},
    verdicts::{Finding, ok, warning},
};
use std::collections::BTreeSet;

/// What the kernel and we hold for a connection that is silent: its socket, inode, file and entry (about 3 KiB), and what is ours.
const CONNECTION_BYTES: u64 = 4 << 10;
/// Of a page at least whatever waits for a peer takes.
const WAITING_BYTES: u64 = 4 << 10;
const SYN_BACKLOG: u32 = 4096;

/// Every finding. `connections` are those that the limits allow, `chosen` those that somebody set: limits are often far above what a school
/// needs, and what costs tuning of the network is judged by a number that was meant. `allowed` are the cores that we may use.
pub(super) fn all(
    host: &Host,
    (connections, chosen): (usize, Option<usize>),
    shards: usize,
    allowed: &BTreeSet<usize>,
) -> Vec<Finding> {
    let (connections, chosen) = (connections as u64, chosen.map(|chosen| chosen as u64));
    let mut findings = vec![
        half_open(host),
        system_files(host.file_max, connections),
        memory(host.memory, connections),
        tcp_memory(host.tcp_pressure, chosen),
        firewall(host.conntrack, chosen),
        huge_pages(host.huge_pages.as_deref()),
        nodes(&host.nodes, allowed),
        threads(&host.siblings, allowed.len()),
        clock_speed(&host.governors),
    ];
    findings.extend(host.cards.iter().map(|card| interrupts(card, shards)));
    findings
}

fn half_open(host: &Host) -> Finding {
    const CHECK: &str = "half-open backlog";
    let Some(most) = host.syn_backlog else { return ok(CHECK, "net.ipv4.tcp_max_syn_backlog cannot be read") };
    match host.syncookies {
        Some(true) | None => ok(CHECK, format!("net.ipv4.tcp_max_syn_backlog {most}; beyond it SYN cookies")),
        Some(false) if most >= SYN_BACKLOG => ok(CHECK, format!("net.ipv4.tcp_max_syn_backlog {most}, no SYN cookies")),
        Some(false) => {
            let advice = "when a school comes in at once, SYNs are dropped and come again after a second: `sysctl net.ipv4.tcp_syncookies=1`";
            warning(CHECK, format!("net.ipv4.tcp_max_syn_backlog {most}, no SYN cookies"), advice)
        }
    }
}

fn system_files(most: Option<u64>, connections: u64) -> Finding {
    const CHECK: &str = "open files of all";
    let Some(most) = most else { return ok(CHECK, "fs.file-max cannot be read") };
    let found = format!("fs.file-max {most}");
    if most > connections {
        ok(CHECK, found)
    } else {
        warning(CHECK, found, "fewer than this process alone may open: raise fs.file-max")
    }
}

fn memory(available: Option<u64>, connections: u64) -> Finding {
    const CHECK: &str = "memory";
    let Some(available) = available else { return ok(CHECK, "MemAvailable cannot be read") };
    let wanted = connections.saturating_mul(CONNECTION_BYTES);
    let found = format!("{} MiB available; {connections} silent connections take about {} MiB", available >> 20, wanted >> 20);
    if available >= wanted {
        return ok(CHECK, found);
    }
    warning(CHECK, found, "the limits let more in than there is memory for: give more, or a lower websocket.max_connections")
}

fn tcp_memory(pressure: Option<u64>, chosen: Option<u64>) -> Finding {
    const CHECK: &str = "TCP memory";
    let Some(pressure) = pressure else { return ok(CHECK, "net.ipv4.tcp_mem cannot be read") };
    let found = format!("net.ipv4.tcp_mem: pressure from {} MiB on", pressure >> 20);
    let Some(connections) = chosen else {
        return ok(CHECK, format!("{found}, a page waiting for each of {} connections", pressure / WAITING_BYTES));
    };
    let wanted = connections.saturating_mul(WAITING_BYTES);
    if pressure >= wanted {
        return ok(CHECK, found);
    }
    let advice = format!(
        "a page waiting for each of {connections} connections is more, and windows shrink: raise the second and third number of \
         net.ipv4.tcp_mem (pages of 4 KiB) above {}",
        wanted / 4096
    );
    warning(CHECK, found, advice)
}

fn firewall(most: Option<u64>, chosen: Option<u64>) -> Finding {
    const CHECK: &str = "firewall's table";
    let Some(most) = most else { return ok(CHECK, "no connection tracking") };
    let found = format!("net.netfilter.nf_conntrack_max {most}");
    if chosen.is_none_or(|connections| most > connections) {
        return ok(CHECK, found);
    }
    warning(
        CHECK,
        found,
        "connections beyond it are dropped without a word: raise it, or do not track those of homeroom's ports (NOTRACK)",
    )
}

fn huge_pages(chosen: Option<&str>) -> Finding {
    const CHECK: &str = "huge pages";
    match chosen {
        Some("always") => {
            let advice = "memory that was touched once in 2 MiB counts whole, and the kernel merges pages while we serve: \
                          `echo madvise > /sys/kernel/mm/transparent_hugepage/enabled`";
            warning(CHECK, "transparent_hugepage always", advice)
        }
        Some(chosen) => ok(CHECK, format!("transparent_hugepage {chosen}")),
        None => ok(CHECK, "none"),
    }
}

fn nodes(nodes: &[BTreeSet<usize>], allowed: &BTreeSet<usize>) -> Finding {
    const CHECK: &str = "memory nodes";
    let used = nodes.iter().filter(|node| !node.is_disjoint(allowed)).count();
    let found = format!("{} (NUMA), of which we use {used}", nodes.len());
    if used <= 1 {
        return ok(CHECK, found);
    }
    let advice = "letters between shards cross nodes: run one homeroom a node, each with listeners of its own \
                  (`numactl --cpunodebind=0 --membind=0 homeroom`), and deal schools to them";
    warning(CHECK, found, advice)
}

fn threads(siblings: &BTreeSet<BTreeSet<usize>>, allowed: usize) -> Finding {
    const CHECK: &str = "hyper-threads";
    match siblings.len() {
        0 => ok(CHECK, "the topology cannot be read"),
        cores if cores < allowed => {
            ok(CHECK, format!("{allowed} of {cores} cores: two shards on a core share it, count it as one and a bit"))
        }
        cores => ok(CHECK, format!("none: {cores} cores of our own")),
    }
}

fn clock_speed(governors: &BTreeSet<String>) -> Finding {
    const CHECK: &str = "clock speed";
    let slow: Vec<&str> = governors.iter().map(String::as_str).filter(|governor| *governor != "performance").collect();
    match governors.is_empty() {
        true => ok(CHECK, "not ours to choose"),
        false if slow.is_empty() => ok(CHECK, "performance"),
        false => warning(
            CHECK,
            slow.join(", "),
            "a core that was idle begins slowly, and figures differ from run to run: `cpupower frequency-set -g performance`",
        ),
    }
}

fn interrupts(card: &Card, shards: usize) -> Finding {
    const CHECK: &str = "interrupts";
    let cores: Vec<String> = card.cores.iter().map(usize::to_string).collect();
    let on = if cores.is_empty() { String::new() } else { format!(", interrupts on core {}", cores.join(", ")) };
    let spread = if card.is_spread { ", spread by RPS" } else { "" };
    let found = format!("{}: {} receive queues for {shards} shards{on}{spread}", card.name, card.queues);
    if card.is_spread || card.queues == 0 {
        return ok(CHECK, found);
    }
    if card.queues < shards {
        let advice = format!(
            "what comes in is worked on by {} cores: `ethtool -L {} combined {shards}`, or where the card has no more, rps_cpus",
            card.queues, card.name
        );
        return warning(CHECK, found, advice);
    }
    if !card.cores.is_empty() && card.cores.len() < shards {
        let advice = "several queues interrupt one core: irqbalance off, /proc/irq/N/smp_affinity_list one to one";
        return warning(CHECK, found, advice);
    }
    ok(CHECK, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::{host::tests::root, verdicts::Verdict};

    /// What is found wrong with a root of these files, by a server of 100,000 connections, as somebody set it, and four shards on four
    /// cores.
    fn wrong(files: &[(&str, &str)]) -> Vec<&'static str> {
        wrong_for(Some(100_000), files)
    }

    fn wrong_for(chosen: Option<usize>, files: &[(&str, &str)]) -> Vec<&'static str> {
        let allowed: BTreeSet<usize> = (0..4).collect();
        let findings = all(&Host::read(root(files).path(), &allowed), (100_000, chosen), 4, &allowed);
        for finding in &findings {
            assert_eq!(finding.advice.is_some(), finding.verdict != Verdict::Ok, "what is wrong has advice: {finding:?}");
        }
        findings.into_iter().filter(|finding| finding.verdict != Verdict::Ok).map(|finding| finding.check).collect()
    }

    const SYSCTLS: &str = "proc/sys/";

    /// Whether one sysctl is found wrong with this value.
    fn sysctl(name: &str, value: &str) -> bool {
        !wrong(&[(&format!("{SYSCTLS}{name}"), value)]).is_empty()
    }

    #[test]
    fn nothing_is_made_of_what_cannot_be_read() {
        assert!(wrong(&[]).is_empty());
    }

    #[test]
    fn sysctls_are_judged_by_what_the_limits_let_in() {
        assert_eq!(["100001", "100000"].map(|most| sysctl("fs/file-max", most)), [false, true]);
        assert_eq!(["262144", "65536"].map(|most| sysctl("net/netfilter/nf_conntrack_max", most)), [false, true]);
        assert_eq!(["1 100000 200000", "1 99999 200000"].map(|pages| sysctl("net/ipv4/tcp_mem", pages)), [false, true]);
        assert_eq!(
            ["500000 kB", "100 kB"].map(|most| !wrong(&[("proc/meminfo", &format!("MemAvailable: {most}"))]).is_empty()),
            [false, true]
        );
    }

    #[test]
    fn the_network_is_judged_only_by_connections_that_somebody_chose() {
        let files = [("proc/sys/net/netfilter/nf_conntrack_max", "65536"), ("proc/sys/net/ipv4/tcp_mem", "1 50000 100000")];
        assert_eq!(wrong_for(Some(100_000), &files), ["TCP memory", "firewall's table"]);
        assert!(wrong_for(Some(40_000), &files).is_empty() && wrong_for(None, &files).is_empty());
        assert!(tcp_memory(Some(50_000 * 4096), None).found.ends_with("each of 50000 connections"), "it is told");
    }

    #[test]
    fn a_short_backlog_is_wrong_only_without_cookies() {
        let of = |most, cookies| {
            wrong(&[("proc/sys/net/ipv4/tcp_max_syn_backlog", most), ("proc/sys/net/ipv4/tcp_syncookies", cookies)]).is_empty()
        };
        assert_eq!([of("128", "1"), of("128", "0"), of("4096", "0")], [true, false, true]);
    }

    #[test]
    fn pages_are_huge_only_where_they_are_asked_for() {
        let of = |text| wrong(&[("sys/kernel/mm/transparent_hugepage/enabled", text)]);
        assert_eq!(of("[always] madvise never"), ["huge pages"]);
        assert!(of("always [madvise] never").is_empty() && of("always madvise [never]").is_empty());
    }

    #[test]
    fn a_process_is_at_home_on_one_node() {
        let of = |second| {
            wrong(&[("sys/devices/system/node/node0/cpulist", "0-3"), ("sys/devices/system/node/node1/cpulist", second)])
        };
        assert!(of("4-7").is_empty(), "the other node is not ours");
        let halves = [("sys/devices/system/node/node0/cpulist", "0-1"), ("sys/devices/system/node/node1/cpulist", "2-3")];
        assert_eq!(wrong(&halves), ["memory nodes"]);
    }

    #[test]
    fn clocks_that_slow_down_are_told_and_threads_too() {
        let of = |governor| wrong(&[("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", governor)]);
        assert_eq!((of("powersave"), of("performance")), (vec!["clock speed"], vec![]));
        let pairs: BTreeSet<BTreeSet<usize>> = [[0, 2].into(), [1, 3].into()].into();
        assert!(threads(&pairs, 4).found.starts_with("4 of 2 cores"));
        assert!(threads(&[[0].into(), [1].into()].into(), 2).found.starts_with("none"));
    }

    #[test]
    fn each_shard_has_a_queue_of_the_card_or_they_are_spread() {
        let of = |queues: usize, rps: &str, cores: &[&str]| {
            let mut files = vec![("sys/class/net/eth0/device/modalias".to_owned(), "pci".to_owned())];
            files.extend((0..queues).map(|queue| (format!("sys/class/net/eth0/queues/rx-{queue}/rps_cpus"), rps.to_owned())));
            for (irq, core) in cores.iter().enumerate() {
                files.push((format!("sys/class/net/eth0/device/msi_irqs/{irq}"), "msix".into()));
                files.push((format!("proc/irq/{irq}/effective_affinity_list"), (*core).to_owned()));
            }
            let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
            wrong(&files).is_empty()
        };
        assert_eq!([of(1, "0", &[]), of(1, "f", &[]), of(4, "0", &[])], [false, true, true]);
        assert!(of(4, "0", &["0", "1", "2", "3"]) && !of(4, "0", &["0", "0", "0", "0"]));
    }
}
