//! This node among others: how it finds NATS, who else is there, and what becomes of it when it was taken for dead.

use super::agents::secret;
use crate::{
    bridge::Bridge,
    cluster::Node,
    config::{Cluster, Settings, SignIn},
    engine::Letter,
    nats::{self, Access, AccessFault, Codec, Counts, Gateway, Me, News, Secrets},
    protocols::presence::record::Buried,
    realtime::{HashRing, NodeSlot, StoreFault, View, view::Member},
    runtime::{Clock, Gate, Phase, Stage, StopTimes},
    services::keys,
    store::{self, Ended, Roster, Seat, Store, Tenure},
};
use futures_lite::future::block_on;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, time::sleep};

/// What may wait for the gateway.
const NEWS: usize = 4;
/// The nodes are read so often in a lease, and no more rarely than this.
const LOOKS: u32 = 6;
const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// Why this node did not become one of several.
#[derive(Debug)]
pub enum ClusterFault {
    /// A secret that cannot be had.
    Secret(String),
    /// NATS does not let it in.
    Access(AccessFault),
    /// The nodes cannot be read.
    Records(StoreFault),
    /// Its slot is not among those that a shard's name can tell.
    Slot(u16),
    /// The bridge ended at once.
    Ended,
}

impl fmt::Display for ClusterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterFault::Secret(why) => write!(f, "the way into NATS: {why}"),
            ClusterFault::Access(fault) => fault.fmt(f),
            ClusterFault::Records(_) => f.write_str("the records were opened, but the nodes could not be read"),
            ClusterFault::Slot(slot) => write!(f, "the records gave this node the slot {slot}: there are 256 nodes at most"),
            ClusterFault::Ended => f.write_str("the bridge ended as it began"),
        }
    }
}

/// The way to NATS as it is configured; none: this node stands alone. Reads files and the environment.
///
/// # Errors
/// A secret that cannot be had; the text names its place, never what is in it.
pub fn access(settings: &Cluster) -> Result<Option<Access>, String> {
    if !settings.is_there() {
        return Ok(None);
    }
    let secrets = match settings.sign_in() {
        SignIn::Nobody => Secrets::None,
        SignIn::Credentials(file) => {
            let text = keys::load(&file).map_err(|error| error.to_string())?;
            let text = std::str::from_utf8(text.expose()).map_err(|_| format!("{}: expected a text", file.display()))?;
            Secrets::Credentials(text.to_owned())
        }
        SignIn::User(name, password) => Secrets::User(name, secret(&password)?),
        SignIn::Token(token) => Secrets::Token(secret(&token)?),
    };
    Ok(Some(Access {
        servers: settings.servers.to_vec(),
        secrets,
        is_encrypted: settings.is_encrypted(),
        ca_file: settings.ca_file.clone(),
        identity: settings.certificate_file.clone().zip(settings.key_file.clone()),
    }))
}

/// Who ended with a node.
type Loss = Vec<Buried>;

/// This node as one of several.
pub(super) struct Joined {
    pub(super) node: Node,
    /// Itself alone: what shards begin with.
    pub(super) alone: Arc<HashRing>,
    /// Who was there when it joined.
    pub(super) ring: Arc<HashRing>,
    pub(super) counts: Arc<Counts>,
    access: Access,
    prefix: String,
    lease: Duration,
}

/// What this node is among those that share its records; none: it stands alone.
pub(super) fn join(settings: &Settings, store: &dyn Store) -> Result<Option<Joined>, ClusterFault> {
    let Some(access) = access(&settings.cluster).map_err(ClusterFault::Secret)? else { return Ok(None) };
    let tenure = store.lease().tenure().ok_or(ClusterFault::Records(StoreFault::Failed))?;
    let node = node(tenure).ok_or(ClusterFault::Slot(tenure.slot))?;
    let roster = store.lease().roster().map_err(ClusterFault::Records)?;
    let own = Roster { number: 0, seats: roster.seats.iter().filter(|seat| seat.tenure == tenure).copied().collect() };
    let (alone, ring) = (Arc::new(ring(&own)), Arc::new(ring(&roster)));
    let (prefix, lease) = (settings.cluster.prefix.to_string(), settings.store.lease);
    Ok(Some(Joined { node, alone, ring, counts: Arc::default(), access, prefix, lease }))
}

fn node(tenure: Tenure) -> Option<Node> {
    Some(Node { slot: NodeSlot(u8::try_from(tenure.slot).ok()?), epoch: u64::try_from(tenure.epoch).ok()? })
}

/// The ring over the nodes that are read: those whose lease has run out too, until they are buried.
fn ring(roster: &Roster) -> HashRing {
    let member = |seat: &Seat| {
        let Node { slot, epoch } = node(seat.tenure)?;
        Some(Member { slot, epoch, shards: seat.shards })
    };
    HashRing::of(Arc::new(View::new(roster.number, roster.seats.iter().filter_map(member).collect())))
}

/// Who watches over a node that is one of several.
pub(super) struct Watch {
    pub(super) bridge: Bridge,
    pub(super) store: Arc<dyn Store>,
    pub(super) stage: Arc<Stage>,
    pub(super) clock: Clock,
    /// Set when this node was taken for dead.
    pub(super) fenced: Arc<AtomicBool>,
}

impl Joined {
    /// Connects to NATS, or begins to try.
    pub(super) fn connect(&self, bridge: &Bridge) -> Result<nats::Line, ClusterFault> {
        let (access, counts) = (self.access.clone(), self.counts.clone());
        let connected = bridge.ask(async move { nats::connect(&access, &counts).await });
        block_on(connected).ok_or(ClusterFault::Ended)?.map_err(ClusterFault::Access)
    }

    /// From now on letters are carried, and it is followed who is there.
    pub(super) fn begin<C: Codec<Letter = Letter>>(self, line: nats::Line, (gate, codec): (Gate<Letter, Loss>, C), watch: Watch) {
        let (news, told) = mpsc::channel(NEWS);
        let (counts, clock, bridge) = (self.counts.clone(), watch.clock, watch.bridge.clone());
        let me = Me { node: self.node, prefix: self.prefix };
        bridge.run(async move {
            match Gateway::open(me, line, told, (gate, codec), clock, counts).await {
                Ok(gateway) => gateway.run().await,
                Err(fault) => tracing::error!(%fault, "the connection to NATS ended as it began"),
            }
        });
        bridge.run(watch.follow(self.ring, news, self.counts, (self.lease / LOOKS).min(LONGEST_LOOK)));
    }
}

/// What a look at the nodes found.
enum Seen {
    /// Who has been there since the last look, in turn up to now, and those whom this look buried.
    Nodes(Vec<HashRing>, Vec<(NodeSlot, Loss)>),
    /// The records cannot be read now.
    Nothing,
    /// This node was buried.
    Lost,
}

impl Watch {
    /// Tells who is there, and buries who is dead, until this node ends or finds that it was buried itself.
    async fn follow(self, first: Arc<HashRing>, news: mpsc::Sender<News<Loss>>, counts: Arc<Counts>, every: Duration) {
        let mut known = first.view().number();
        let mut read_at = Instant::now();
        if news.send(News::View(first)).await.is_err() {
            return;
        }
        while self.stage.phase() < Phase::Closing {
            sleep(every).await;
            let store = self.store.clone();
            match self.bridge.call(move || look(&*store, known)).await {
                None => return,
                // One that ends gives its tenure back: nobody took it for dead.
                Some(Seen::Lost) if self.stage.phase() >= Phase::Closing => return,
                Some(Seen::Lost) => return self.begin_anew(),
                Some(Seen::Nothing) => {}
                Some(Seen::Nodes(rings, buried)) => {
                    read_at = Instant::now();
                    for (node, loss) in buried {
                        let _ = news.send(News::Mourn(node, loss)).await;
                    }
                    for ring in rings {
                        known = ring.view().number();
                        if news.send(News::View(Arc::new(ring))).await.is_err() {
                            return;
                        }
                    }
                }
            }
            counts.lease_age_millis.store(u64::try_from(read_at.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
        }
    }

    /// Ends every connection: clients come back to this node in its next life, or to another.
    fn begin_anew(&self) {
        tracing::error!("this node was taken for dead: it ends its connections and begins anew");
        self.fenced.store(true, Relaxed);
        let stage = self.stage.clone();
        let stop = move || stage.stop(StopTimes { drain: Duration::ZERO, goodbye: super::GOODBYE });
        if let Err(error) = thread::Builder::new().name("stop".to_owned()).spawn(stop) {
            tracing::error!(%error, "a thread could not be started");
            std::process::exit(1);
        }
    }
}

/// `known` is the number of the last view that was told. Blocks.
fn look(store: &dyn Store, known: u64) -> Seen {
    let lease = store.lease();
    let Some(own) = lease.tenure() else { return Seen::Lost };
    let Ok(mut roster) = lease.roster() else { return Seen::Nothing };
    if roster.seats.iter().all(|seat| seat.tenure != own) {
        return Seen::Lost;
    }
    let dead: Vec<Tenure> =
        roster.seats.iter().filter(|seat| !seat.is_alive && seat.tenure != own).map(|seat| seat.tenure).collect();
    let buried: Vec<_> = dead.into_iter().filter_map(|dead| bury(store, dead)).collect();
    if !buried.is_empty() {
        // Those who were on it are told of by whoever buried it, and there is no other: the last roster stands in where none is to be had.
        roster = lease.roster().unwrap_or(roster);
    }
    if roster.number <= known {
        return Seen::Nodes(Vec::new(), buried);
    }
    // Homes that pass a view over know less than those that go through it. Where those between cannot be read, they are passed over.
    let missed = if roster.number > known + 1 { lease.rosters_between(known, roster.number) } else { Ok(Vec::new()) };
    let rosters = missed.unwrap_or_default().into_iter().chain([roster]);
    Seen::Nodes(rosters.map(|roster| ring(&roster)).collect(), buried)
}

/// Who was on that node, where this call buried it.
fn bury(store: &dyn Store, dead: Tenure) -> Option<(NodeSlot, Loss)> {
    match store.lease().bury(dead) {
        Ok(store::Buried::Here(ended)) => {
            tracing::warn!(node = %dead, sessions = ended.len(), "a node is dead: its sessions have ended");
            let loss = |Ended { session, classroom, agent_id, .. }| Buried { classroom, agent_id, session };
            Some((node(dead)?.slot, ended.into_iter().map(loss).collect()))
        }
        Ok(store::Buried::Before) => None,
        Err(fault) => {
            tracing::debug!(node = %dead, %fault, "a node was not buried");
            None
        }
    }
}

/// Why a node is no place for new clients now.
pub(super) fn unready(counts: &Counts) -> Option<&'static str> {
    if !counts.is_connected() {
        return Some("nats: not connected");
    }
    (!counts.hears()).then_some("nats: nothing comes back")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, Loaded};

    #[test]
    fn secrets_are_read_from_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "correct horse\n").unwrap();
        let text = format!("[cluster]\nuser = \"ann\"\npassword_file = {file:?}\nca_file = \"ca.pem\"\n");
        let mut settings = Loaded::of(&Layers::default().file("homeroom.toml", text)).unwrap().settings.cluster;
        assert!(access(&settings).unwrap().is_none(), "alone");
        // Only with a shared database would the file say so.
        settings.servers = "tls://127.0.0.1".parse().unwrap();
        let access_now = access(&settings).unwrap().unwrap();
        assert_eq!(access_now.secrets, Secrets::User("ann".into(), "correct horse".into()));
        assert!(access_now.is_encrypted && access_now.servers == ["tls://127.0.0.1:4222"]);
        std::fs::remove_file(&file).unwrap();
        let told = access(&settings).unwrap_err();
        assert!(told.contains("password") && !told.contains("correct"), "{told}");
    }
}
