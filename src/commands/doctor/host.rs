//! What /proc and /sys tell of the host. What cannot be read is not known, and nothing is made of it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// All of it.
#[derive(Default, Debug)]
pub(super) struct Host {
    pub(super) somaxconn: Option<u32>,
    pub(super) syn_backlog: Option<u32>,
    pub(super) syncookies: Option<bool>,
    pub(super) ports: Option<(u16, u16)>,
    pub(super) congestion: Option<String>,
    pub(super) clocksource: Option<String>,
    /// From so many bytes in all sockets on, TCP saves memory.
    pub(super) tcp_pressure: Option<u64>,
    /// Descriptors of the whole system.
    pub(super) file_max: Option<u64>,
    /// Connections that the firewall follows.
    pub(super) conntrack: Option<u64>,
    /// Bytes that may be had without swapping and within our cgroup.
    pub(super) memory: Option<u64>,
    /// `always`, `madvise` or `never`.
    pub(super) huge_pages: Option<String>,
    /// Cores by NUMA node.
    pub(super) nodes: Vec<BTreeSet<usize>>,
    /// For each core that we may use those that share it, itself included.
    pub(super) siblings: BTreeSet<BTreeSet<usize>>,
    /// How the clock speeds of those cores are chosen.
    pub(super) governors: BTreeSet<String>,
    pub(super) cards: Vec<Card>,
    /// Whether the kernel could encrypt a socket by itself, as far as it has that loaded.
    pub(super) kernel_tls: Option<bool>,
}

/// A network card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Card {
    pub(super) name: String,
    /// That it receives by.
    pub(super) queues: usize,
    /// Whether the kernel spreads what they receive over cores (RPS).
    pub(super) is_spread: bool,
    /// That its interrupts come to.
    pub(super) cores: BTreeSet<usize>,
}

const PAGE_BYTES: u64 = 4096;

impl Host {
    /// Reads below `root`, which is `/` outside of tests; `allowed` are the cores that we may use.
    pub(super) fn read(root: &Path, allowed: &BTreeSet<usize>) -> Host {
        let tree = Tree(root.to_owned());
        let sysctl = |name: &str| tree.word(&format!("proc/sys/{name}"));
        let third = |name: &str, place| sysctl(name)?.split_whitespace().nth(place)?.parse::<u64>().ok();
        Host {
            somaxconn: tree.number("proc/sys/net/core/somaxconn"),
            syn_backlog: tree.number("proc/sys/net/ipv4/tcp_max_syn_backlog"),
            syncookies: sysctl("net/ipv4/tcp_syncookies").map(|word| word != "0"),
            ports: sysctl("net/ipv4/ip_local_port_range").and_then(|text| range(&text)),
            congestion: sysctl("net/ipv4/tcp_congestion_control"),
            clocksource: tree.word("sys/devices/system/clocksource/clocksource0/current_clocksource"),
            tcp_pressure: third("net/ipv4/tcp_mem", 1).map(|pages| pages.saturating_mul(PAGE_BYTES)),
            file_max: tree.number("proc/sys/fs/file-max"),
            conntrack: tree.number("proc/sys/net/netfilter/nf_conntrack_max"),
            memory: [tree.word("proc/meminfo").and_then(|text| available(&text)), tree.cgroup_memory()]
                .into_iter()
                .flatten()
                .min(),
            huge_pages: tree.word("sys/kernel/mm/transparent_hugepage/enabled").and_then(|text| chosen(&text)),
            nodes: tree.nodes(),
            siblings: allowed.iter().filter_map(|core| tree.cores(&cpu(*core, "topology/thread_siblings_list"))).collect(),
            governors: allowed.iter().filter_map(|core| tree.word(&cpu(*core, "cpufreq/scaling_governor"))).collect(),
            cards: tree.cards(),
            kernel_tls: sysctl("net/ipv4/tcp_available_ulp").map(|known| known.split_whitespace().any(|one| one == "tls")),
        }
    }
}

fn cpu(core: usize, file: &str) -> String {
    format!("sys/devices/system/cpu/cpu{core}/{file}")
}

/// Files below a root.
struct Tree(PathBuf);

impl Tree {
    fn word(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.0.join(path)).ok().map(|text| text.trim().to_owned())
    }

    fn number<T: std::str::FromStr>(&self, path: &str) -> Option<T> {
        self.word(path)?.parse().ok()
    }

    fn cores(&self, path: &str) -> Option<BTreeSet<usize>> {
        cores(&self.word(path)?)
    }

    /// Names in a folder, in order.
    fn names(&self, path: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.0.join(path)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    fn nodes(&self) -> Vec<BTreeSet<usize>> {
        const NODES: &str = "sys/devices/system/node";
        let is_node = |name: &String| name.strip_prefix("node").is_some_and(|number| number.parse::<u32>().is_ok());
        let lists = self.names(NODES).into_iter().filter(is_node).map(|name| format!("{NODES}/{name}/cpulist"));
        lists.filter_map(|list| self.cores(&list)).filter(|cores| !cores.is_empty()).collect()
    }

    /// What the memory controller (cgroup v2) still lets us have; those above limit us too. A limit of `max` is none.
    fn cgroup_memory(&self) -> Option<u64> {
        let groups = self.word("proc/self/cgroup")?;
        let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let left = |group: &Path| {
            let number = |file: &str| self.number::<u64>(&format!("sys/fs/cgroup/{}/{file}", group.display()));
            Some(number("memory.max")?.saturating_sub(number("memory.current")?))
        };
        Path::new(own).ancestors().filter_map(left).min()
    }

    /// Those that are a device, no loopback and no bridge, and that are not down.
    fn cards(&self) -> Vec<Card> {
        const CARDS: &str = "sys/class/net";
        let is_device = |name: &String| self.0.join(format!("{CARDS}/{name}/device")).exists();
        let is_down = |name: &String| self.word(&format!("{CARDS}/{name}/operstate")).is_some_and(|state| state == "down");
        let names = self.names(CARDS).into_iter().filter(|name| is_device(name) && !is_down(name));
        names.map(|name| self.card(&format!("{CARDS}/{name}"), name.clone())).collect()
    }

    fn card(&self, folder: &str, name: String) -> Card {
        let queues: Vec<String> =
            self.names(&format!("{folder}/queues")).into_iter().filter(|queue| queue.starts_with("rx-")).collect();
        let spreads = |queue: &String| {
            let mask = self.word(&format!("{folder}/queues/{queue}/rps_cpus"));
            mask.is_some_and(|mask| mask.chars().any(|digit| !matches!(digit, '0' | ',')))
        };
        // Those of a virtio device are its parent's; the parent of any other is a bridge, with interrupts of its own.
        let interrupts = ["device/msi_irqs", "device/../msi_irqs"].map(|irqs| self.names(&format!("{folder}/{irqs}")));
        let interrupts = interrupts.into_iter().find(|irqs| !irqs.is_empty()).unwrap_or_default();
        let cores = interrupts.iter().filter_map(|irq| self.cores(&format!("proc/irq/{irq}/effective_affinity_list")));
        Card { name, queues: queues.len(), is_spread: queues.iter().any(spreads), cores: cores.flatten().collect() }
    }
}

/// Two ports.
fn range(text: &str) -> Option<(u16, u16)> {
    let mut bounds = text.split_whitespace().map(str::parse);
    Some((bounds.next()?.ok()?, bounds.next()?.ok()?))
}

/// Cores as the kernel lists them: `0-3,8`.
fn cores(text: &str) -> Option<BTreeSet<usize>> {
    let mut found = BTreeSet::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        found.extend(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?);
    }
    Some(found)
}

/// The word in brackets.
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_owned())
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A root with these files.
    pub(in super::super) fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
        root
    }

    #[test]
    fn an_empty_root_tells_nothing() {
        let host = Host::read(root(&[]).path(), &[0, 1].into());
        assert_eq!(format!("{host:?}"), format!("{:?}", Host::default()));
    }

    #[test]
    fn what_is_there_is_read() {
        let root = root(&[
            ("proc/sys/net/core/somaxconn", "4096"),
            ("proc/sys/net/ipv4/tcp_syncookies", "1"),
            ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999"),
            ("proc/sys/net/ipv4/tcp_mem", "1000\t2000\t3000"),
            ("proc/sys/fs/file-max", "9223372036854775807"),
            ("proc/meminfo", "MemTotal:  16000 kB\nMemAvailable:   8000 kB"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never"),
            ("sys/devices/system/node/node0/cpulist", "0-1"),
            ("sys/devices/system/node/node1/cpulist", "2-3"),
            ("sys/devices/system/node/possible", "0-1"),
            ("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,2"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave"),
            ("sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "0,2"),
            ("sys/class/net/lo/queues/rx-0/rps_cpus", "f"),
            ("sys/class/net/eth0/queues/rx-0/rps_cpus", "00000000,00000000"),
            ("sys/class/net/eth0/queues/rx-1/rps_cpus", "00000000,00000003"),
            ("sys/class/net/eth0/queues/tx-0/xps_cpus", "0"),
            ("sys/class/net/eth0/device/msi_irqs/41", "msix"),
            ("proc/irq/41/effective_affinity_list", "1"),
        ]);
        let host = Host::read(root.path(), &[0, 2].into());
        assert_eq!((host.somaxconn, host.syncookies, host.ports), (Some(4096), Some(true), Some((32768, 60999))));
        assert_eq!((host.tcp_pressure, host.file_max, host.memory), (Some(2000 * 4096), Some(i64::MAX as u64), Some(8000 << 10)));
        assert_eq!((host.huge_pages.as_deref(), host.nodes.len(), host.siblings.len()), (Some("always"), 2, 1));
        assert_eq!(host.governors, ["powersave".to_owned()].into());
        let card = Card { name: "eth0".into(), queues: 2, is_spread: true, cores: [1].into() };
        assert_eq!(host.cards, [card]);
    }

    #[test]
    fn memory_is_the_least_that_the_host_and_every_group_leave() {
        const HOST: (&str, &str) = ("proc/meminfo", "MemAvailable:   8000 kB");
        const OWN: (&str, &str) = ("proc/self/cgroup", "1:name=systemd:/x\n0::/school/homeroom");
        let memory = |files: &[(&str, &str)]| Host::read(root(files).path(), &BTreeSet::new()).memory;
        let group = |folder: &'static str, most: &'static str| {
            [(format!("sys/fs/cgroup/{folder}memory.max"), most), (format!("sys/fs/cgroup/{folder}memory.current"), "1000")]
        };
        let with = |groups: &[(String, &'static str)]| {
            let groups = groups.iter().map(|(path, text)| (path.as_str(), *text));
            memory(&[HOST, OWN].into_iter().chain(groups).collect::<Vec<_>>())
        };
        assert_eq!(with(&[]), Some(8000 << 10));
        assert_eq!(with(&group("school/homeroom/", "3000")), Some(2000));
        assert_eq!(with(&group("school/homeroom/", "max")), Some(8000 << 10), "no limit");
        assert_eq!(with(&group("school/homeroom/", "900")), Some(0), "more than it may");
        assert_eq!(with(&[group("school/homeroom/", "3000"), group("school/", "1500")].concat()), Some(500), "the one above");
        assert_eq!(with(&group("", "3000")), Some(2000), "a namespace's own root");
        assert_eq!(with(&group("neighbour/", "1001")), Some(8000 << 10));
        assert_eq!(memory(&[OWN]), None);
    }

    #[test]
    fn a_card_that_is_down_is_none_and_a_bridges_interrupts_are_not_a_cards() {
        let cards = |files: &[(&str, &str)]| Host::read(root(files).path(), &BTreeSet::new()).cards;
        let card =
            |state: &str| cards(&[("sys/class/net/eth0/device/modalias", "pci"), ("sys/class/net/eth0/operstate", state)]).len();
        assert_eq!(["up", "unknown", "down"].map(card), [1, 1, 0]);
        let bridge = [("sys/class/net/eth0/msi_irqs/7", "msi"), ("proc/irq/7/effective_affinity_list", "3")];
        let own = [("sys/class/net/eth0/device/msi_irqs/8", "msi"), ("proc/irq/8/effective_affinity_list", "1")];
        let cores = |files: &[(&str, &str)]| cards(files)[0].cores.clone();
        assert_eq!(cores(&[bridge, own].concat()), [1].into());
        assert_eq!(cores(&[&bridge[..], &[("sys/class/net/eth0/device/modalias", "virtio")]].concat()), [3].into());
    }

    #[test]
    fn lists_of_cores_are_read_whole_or_not_at_all() {
        assert_eq!(cores("0-2,8"), Some([0, 1, 2, 8].into()));
        assert_eq!(cores(""), Some([].into()));
        assert_eq!((cores("a"), cores("1-"), chosen("always")), (None, None, None));
    }
}
