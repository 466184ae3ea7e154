//! This node among others: how it finds NATS, who else is there, and what becomes of it when it was taken for dead.

use super::{agents::secret, census};
use crate::{
    bridge::Bridge,
    cluster::{Cause, Node, Vigil, outside::Said},
    config::{Cluster, Database, Settings, SignIn},
    engine::{Answer, Heard, Letter},
    nats::{self, Access, AccessFault, Codec, Counts, Gateway, Me, News, Outside, Secrets, Unreached, Way},
    protocols::presence::record::Buried,
    realtime::{HashRing, NodeSlot, ShardId, StoreFault, View, view::Member},
    runtime::{Clock, Gate, Phase, Post, Stage, StopTimes},
    services::keys,
    store::{self, Ended, Roster, Seat, Store, Tenure, postgres},
};
use futures_lite::future::block_on;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc as std_mpsc,
    },
    thread,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

/// What may wait for the gateway.
const NEWS: usize = 4;
/// The nodes are read so often in a lease, and no more rarely than this.
const LOOKS: u32 = 6;
const LONGEST_LOOK: Duration = Duration::from_secs(1);
/// For what the shards said last to leave.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Between attempts to reach what a node needs before it begins.
const AGAIN: Duration = Duration::from_millis(500);
/// As many of the last views are looked through for the one in which this node's last life was.
const VIEWS: u64 = 256;

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
            // Its last line ends, as all do; of a key the white space at the end is none.
            Secrets::Credentials(format!("{text}\n"))
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

/// Who was there when a node was buried.
type Loss = Vec<Buried>;

/// A node by its slot and epoch, and who was on it.
type Bereaved = ((NodeSlot, u64), Loss);

/// This node as one of several.
pub(super) struct Joined {
    pub(super) node: Node,
    /// Itself alone: what shards begin with.
    pub(super) alone: Arc<HashRing>,
    /// Who was there when it joined.
    pub(super) ring: Arc<HashRing>,
    pub(super) counts: Arc<Counts>,
    /// Who was in this node's last life, in rooms that had their home there: nobody else knows of them.
    pub(super) bereaved: Option<Bereaved>,
    access: Access,
    prefix: String,
    /// What the subjects of other services begin with, and how many messages of theirs are taken a second.
    outside: (String, u32),
    lease: Duration,
}

/// What this node is among those that share its records; none: it stands alone.
pub(super) fn join(settings: &Settings, access: Option<Access>, store: &dyn Store) -> Result<Option<Joined>, ClusterFault> {
    let Some(access) = access else { return Ok(None) };
    let tenure = store.lease().tenure().ok_or(ClusterFault::Records(StoreFault::Failed))?;
    let node = node(tenure).ok_or(ClusterFault::Slot(tenure.slot))?;
    let roster = store.lease().roster().map_err(ClusterFault::Records)?;
    let own = Roster { number: 0, seats: roster.seats.iter().filter(|seat| seat.tenure == tenure).copied().collect() };
    let (alone, ring) = (Arc::new(ring(&own)), Arc::new(ring(&roster)));
    let (prefix, lease) = (settings.cluster.prefix.to_string(), settings.store.lease);
    let bereaved = bereaved(store, roster.number).map_err(ClusterFault::Records)?;
    let outside = settings.cluster.outside_prefix.as_deref().unwrap_or_default().to_owned();
    let outside = (outside, settings.cluster.outside_rate);
    Ok(Some(Joined { node, alone, ring, counts: Arc::default(), bereaved, access, prefix, outside, lease }))
}

/// Who was in this node's last life, in rooms that had their home there. `number`: of a view in which this life is.
fn bereaved(store: &dyn Store, number: u64) -> Result<Option<Bereaved>, StoreFault> {
    let Some(last_life) = store.lease().predecessor() else { return Ok(None) };
    let rosters = store.lease().rosters_between(number.saturating_sub(VIEWS), number)?;
    Ok(left_by(last_life, rosters, || live(store)))
}

/// Of a life and of those who are live now, who was in rooms that had their home there by the last roster that has it.
fn left_by((dead, ended): (Tenure, Vec<Ended>), rosters: Vec<Roster>, live: impl FnOnce() -> Loss) -> Option<Bereaved> {
    let is_in = |roster: &Roster| roster.seats.iter().any(|seat| seat.tenure == dead);
    // Where that is forgotten others were told of the node's end long ago.
    let (last, dead) = rosters.into_iter().rev().find(is_in).zip(node(dead))?;
    let last = ring(&last);
    let was_there = |one: &Buried| last.home(one.classroom.as_bytes()).node() == dead.slot;
    let all = ended.into_iter().map(loss).chain(live());
    Some(((dead.slot, dead.epoch), all.filter(was_there).collect()))
}

fn loss(Ended { session, classroom, agent_id, .. }: Ended) -> Buried {
    Buried { classroom, agent_id, session, is_over: true }
}

/// Who is in any room now. Of those who live on when a home dies its room's next home hears from their own shards, but of one who goes in
/// these moments.
fn live(store: &dyn Store) -> Loss {
    store.lease().live().unwrap_or_else(|fault| {
        tracing::warn!(?fault, "who is in which room could not be read: rows of those who leave now may stay");
        Vec::new()
    })
}

/// Waits until NATS can be reached: before that a node is of no use to the others.
///
/// # Errors
/// What no waiting mends.
pub(super) fn await_bus(access: &Access, bridge: &Bridge) -> Result<(), ClusterFault> {
    let mut is_told = false;
    loop {
        let own = access.clone();
        match block_on(bridge.ask(async move { nats::reach(&own).await })).ok_or(ClusterFault::Ended)? {
            Ok(()) => return Ok(()),
            Err(Unreached::Never(fault)) => return Err(ClusterFault::Access(fault)),
            Err(Unreached::NotNow(why)) if is_told => tracing::debug!(why, "NATS cannot be reached"),
            Err(Unreached::NotNow(why)) => tracing::warn!(why, "NATS cannot be reached: this node begins when it is there"),
        }
        is_told = true;
        thread::sleep(AGAIN);
    }
}

/// Waits until the database can be reached, for a node that is to begin anew.
pub fn await_records(settings: &Settings) {
    let Database::Postgres(url) = &settings.database else { return };
    let mut is_told = false;
    while let Err(why) = super::records::database(settings, url).and_then(|database| postgres::migrate(&database, false)) {
        if !is_told {
            tracing::warn!(%why, "this node begins anew when the database is there");
        }
        is_told = true;
        thread::sleep(AGAIN);
    }
}

fn node(tenure: Tenure) -> Option<Node> {
    Some(Node { slot: NodeSlot(u8::try_from(tenure.slot).ok()?), epoch: u64::try_from(tenure.epoch).ok()? })
}

/// The ring over the nodes that are read: those whose lease has run out too, until they are buried.
pub(super) fn ring(roster: &Roster) -> HashRing {
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
    pub(super) post: Post<Answer>,
    pub(super) shards: u16,
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
    pub(super) fn begin<C: Codec<Letter = Letter>>(
        self,
        line: nats::Line,
        (gate, codec): (Gate<Letter, Loss>, C),
        (watch, heard): (Watch, mpsc::Receiver<Heard>),
    ) -> Company {
        let (news, told) = mpsc::channel(NEWS);
        let (counts, clock, bridge) = (self.counts.clone(), watch.clock, watch.bridge.clone());
        let (outside, rate) = self.outside;
        let way = Way { say: watch.say(self.node.slot), heard };
        if rate > 0 {
            let names = (outside.as_str(), self.prefix.as_str());
            let stage = watch.stage.clone();
            let serves = move || stage.phase() == Phase::Serving;
            bridge.run(Outside::new(&line, names, rate, way, clock, counts.clone()).run(serves));
        }
        let me = Me { node: self.node, prefix: self.prefix };
        let (carries, carried) = std_mpsc::channel();
        bridge.run(async move {
            match Gateway::open(me, line, told, (gate, codec), clock, counts).await {
                Ok(gateway) => gateway.run().await,
                Err(fault) => tracing::error!(%fault, "the connection to NATS ended as it began"),
            }
            drop(carries);
        });
        self.counts.set_listens(true);
        let (stays, left) = oneshot::channel();
        let (first, lease) = (self.ring, self.lease);
        let census = census::Watch::of(&watch, self.node.slot);
        bridge.run(async move {
            tokio::select! {
                () = watch.follow((first, lease), news, self.counts) => {}
                () = census.look_again_and_again(lease * census::LEASES) => {}
                _ = left => {}
            }
        });
        Company { stays, carried }
    }
}

/// This node's part in the cluster, while its shards run.
pub(super) struct Company {
    stays: oneshot::Sender<()>,
    carried: std_mpsc::Receiver<()>,
}

impl Company {
    /// The shards have ended: what they said last still goes to the others, who would have to do without it.
    pub(super) fn leave(self) {
        drop(self.stays);
        // Told by the other end's end.
        let _ = self.carried.recv_timeout(LAST_WORDS);
    }
}

/// What a look at the nodes found.
enum Seen {
    /// Who has been there since the last look, in turn up to now, and those whom this look buried.
    Nodes(Vec<HashRing>, Vec<(Node, Loss)>),
    /// The records cannot be read now.
    Nothing,
    /// This node was buried.
    Lost,
}

impl Watch {
    /// Hands what other services say to the shards of this node: one room's always to the same, so that it stays in order.
    fn say(&self, node: NodeSlot) -> impl FnMut(u64, Said) + Send + 'static {
        let (post, shards) = (self.post.clone(), self.shards.max(1));
        move |ticket, Said { classroom, event }| {
            let place = classroom.as_bytes().iter().fold(0_u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(u16::from(*byte)));
            let answer = Answer::Outside { ticket, classroom, event: Box::new(event) };
            post.post(ShardId::of(node, (place % shards) as u8), [answer]);
        }
    }

    /// Tells who is there, and buries who is dead, until this node ends or finds that it was buried itself, or might as well have been.
    /// `first`: what this node's shards begin with.
    async fn follow(self, (first, lease): (Arc<HashRing>, Duration), news: mpsc::Sender<News<Loss>>, counts: Arc<Counts>) {
        let every = (lease / LOOKS).min(LONGEST_LOOK);
        let mut known = first.view().number();
        let mut vigil = Vigil::new(lease, self.clock.moment());
        // Before anything else: until the gateway knows the others it loses what is for them.
        if news.send(News::View(first)).await.is_err() {
            return;
        }
        let mut under_way = None;
        loop {
            sleep(every).await;
            self.heed(&mut vigil, &counts);
            if counts.is_buried() || vigil.is_lost() {
                return self.begin_anew(vigil.cause());
            }
            let (store, buries, heard) = (self.store.clone(), vigil.buries(), counts.clone());
            let look = || Box::pin(self.bridge.call(move || look(&*store, known, || buries && heard.hears())));
            // A database that says nothing keeps a look waiting, and nothing else.
            let Ok(seen) = timeout(every, under_way.get_or_insert_with(look)).await else { continue };
            under_way = None;
            match seen {
                None => return,
                // One that ends gives its tenure back: nobody took it for dead.
                Some(Seen::Lost) if self.stage.phase() >= Phase::Closing => return,
                Some(Seen::Lost) => return self.begin_anew(vigil.cause()),
                Some(Seen::Nothing) => {}
                Some(Seen::Nodes(rings, buried)) => {
                    vigil.read(self.clock.moment());
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
        }
    }

    /// Acts by what is heard by the bus now, and by how long ago the records were read.
    fn heed(&self, vigil: &mut Vigil, counts: &Counts) {
        if vigil.hears(counts.hears(), self.clock.moment()) {
            if vigil.renews() {
                tracing::info!("this node hears the others by NATS again, and renews its lease");
            } else {
                tracing::warn!("this node hears nothing by NATS: it does not renew its lease, and is buried if others hear");
            }
        }
        self.store.lease().hold_back(!vigil.renews());
        counts.set_doubts(vigil.doubts());
        counts.set_listens(vigil.listens());
        counts.read_ago_millis.store(u64::try_from(vigil.blind().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Ends every connection: clients come back to this node in its next life, or to another.
    fn begin_anew(&self, cause: Cause) {
        tracing::error!(%cause, "this node was taken for dead: it ends its connections and begins anew");
        self.fenced.store(true, Relaxed);
        let stage = self.stage.clone();
        let stop = move || stage.stop(StopTimes { drain: Duration::ZERO, goodbye: super::GOODBYE });
        if let Err(error) = thread::Builder::new().name("stop".to_owned()).spawn(stop) {
            tracing::error!(%error, "a thread could not be started");
            std::process::exit(1);
        }
    }
}

/// `known` is the number of the last view that was told; `buries`: whether others may be taken for dead. Blocks.
fn look(store: &dyn Store, known: u64, buries: impl Fn() -> bool) -> Seen {
    let lease = store.lease();
    let Some(own) = lease.tenure() else { return Seen::Lost };
    let Ok(mut roster) = lease.roster() else { return Seen::Nothing };
    if roster.seats.iter().all(|seat| seat.tenure != own) {
        return Seen::Lost;
    }
    let dead: Vec<Tenure> =
        roster.seats.iter().filter(|seat| !seat.is_alive && seat.tenure != own).map(|seat| seat.tenure).collect();
    let buried: Vec<_> = dead.into_iter().filter(|_| buries()).filter_map(|dead| bury(store, dead)).collect();
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
fn bury(store: &dyn Store, dead: Tenure) -> Option<(Node, Loss)> {
    match store.lease().bury(dead) {
        Ok(store::Buried::Here(ended)) => {
            tracing::warn!(node = %dead, sessions = ended.len(), "a node is dead: its sessions have ended");
            let ended = ended.into_iter().map(loss);
            // Of those who live on elsewhere a room's next home hears from their own shards, but of one who goes in these moments.
            let live = store.lease().live().unwrap_or_else(|fault| {
                tracing::warn!(?fault, "who is in which room could not be read: rows of those who leave now may stay");
                Vec::new()
            });
            Some((node(dead)?, ended.chain(live).collect()))
        }
        Ok(store::Buried::Before) => None,
        Err(fault) => {
            tracing::debug!(node = %dead, %fault, "a node was not buried");
            None
        }
    }
}

/// Why a node is no place for new clients now: a code, and words.
pub(super) fn unready(counts: &Counts) -> Option<(&'static str, &'static str)> {
    if !counts.is_connected() {
        return Some(("bus_disconnected", "nats: not connected"));
    }
    if !counts.hears() {
        return Some(("bus_deaf", "nats: nothing comes back"));
    }
    (!counts.listens()).then_some(("roster_unread", "database: it cannot be read who else is there"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Layers, Loaded},
        protocols::presence::record::Entering,
        realtime::{ClassroomId, UnixMicros},
        store::{MemoryStore, Ticket},
    };

    fn enter(store: &MemoryStore, classroom: ClassroomId, agent_id: &str) {
        let (agent_id, at) = (agent_id.into(), UnixMicros(1));
        let entering = Entering { classroom, agent_id, at, node: NodeSlot(0), session: None };
        store.enter(Ticket { shard: ShardId(0), token: 0 }, entering).unwrap();
        assert_eq!(store.take_answers().len(), 1);
    }

    #[test]
    fn a_node_that_is_back_at_once_leaves_those_of_its_last_life_and_those_who_live_elsewhere_in_its_rooms() {
        let one = MemoryStore::new(8);
        let (other, again) = (one.beside("other"), one.beside("homeroom"));
        let (dead, lives) = (one.lease().tenure().unwrap(), other.lease().take().unwrap());
        let seat = |tenure| Seat { tenure, shards: 1, is_alive: true };
        let rosters = || [3, 4].map(|number| Roster { number, seats: vec![seat(dead), seat(lives)] }).to_vec();
        let views = ring(&rosters()[1]);
        let room = |slot| (1..).map(ClassroomId::from_u128).find(|room| views.home(room.as_bytes()).node().0 == slot).unwrap();
        let rooms = [room(0), room(1)];
        for (at, classroom) in rooms.into_iter().enumerate() {
            enter(&one, classroom, &format!("web.dead{at}.school"));
            enter(&other, classroom, &format!("web.live{at}.school"));
        }
        one.set_time(UnixMicros(7_000_000));
        again.lease().take().unwrap();
        let last_life = again.lease().predecessor().unwrap();
        let (whose, left) = left_by(last_life.clone(), rosters(), || live(&again)).unwrap();
        assert_eq!(whose, (NodeSlot(0), node(dead).unwrap().epoch));
        let told: Vec<_> = left.iter().map(|one| (one.classroom, &*one.agent_id, one.is_over)).collect();
        assert_eq!(told, [(rooms[0], "web.dead0.school", true), (rooms[0], "web.live0.school", false)]);
        // Where nobody knows any more in which view that life was, all were told of its end long ago.
        let forgotten = vec![Roster { number: 4, seats: vec![seat(lives)] }];
        assert!(left_by(last_life, forgotten, || live(&again)).is_none());
    }

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
