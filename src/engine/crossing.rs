//! From one view of the cluster to the next: which homes have moved, whose letters wait, and when everybody has said what he had to say.
//!
//! A shard that hears of a view takes its ring at once, forgets the homes that are elsewhere now and tells every shard of the view that it
//! begins; then it tells new homes what they must know of its connections, and every shard that it has reached the view. Until all shards
//! have said so, what comes for a home that has moved here waits: behind it lies all that was said by earlier views.

use super::{Connection, Engine, Letter};
use crate::{
    protocols::{
        presence::{FromHome, Seat, SessionError, ToHome, record::Buried},
        quiz::QuizId,
    },
    realtime::{ClassroomId, ConnId, HashRing, NodeSlot, Now, ShardId, View, table::Key},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    sync::Arc,
};

/// As many letters of one shard wait for a view at most, and as many for homes that have moved here.
pub(super) const WAITING: usize = 65_536;
/// As many views that were not reached are remembered singly.
const EARLIER: usize = 8;

/// What is known of a shard that sends letters.
#[derive(Default)]
struct Sender {
    /// Its node's epoch, by its own word.
    epoch: u64,
    /// To which life of this node it speaks.
    to: u64,
    /// The view that it acts by, by its own word.
    view: u64,
    /// The last view that it has said to have reached.
    reached: u64,
    /// What it said by a view that is not here yet, in order.
    ahead: VecDeque<Letter>,
    /// More has come than may wait: nothing counts until its node is taken for another.
    is_broken: bool,
    /// The link to it broke, and it has not begun anew since: what it says it said before it knew, and says again.
    is_cut: bool,
}

/// See the file.
pub(super) struct Crossing {
    /// Whether every shard has reached the view and nothing waits: letters of this node are read as they come.
    is_quiet: bool,
    /// Whether every shard has reached the view.
    is_whole: bool,
    /// Whether there is no other node, so that nobody can speak by another view for long.
    is_alone: bool,
    /// Every home is new here: the node has just come.
    is_new: bool,
    /// The last view before which others were passed over.
    skipped_to: u64,
    /// The rings since the last view that was reached.
    pub(super) earlier: Vec<Arc<HashRing>>,
    senders: BTreeMap<ShardId, Sender>,
    /// For homes that have moved here.
    pub(super) waiting: VecDeque<(ShardId, Letter)>,
    /// What this shard left to rooms' next homes, until every shard has reached the view: said again where a link breaks.
    pub(super) bequests: Vec<ToHome>,
    /// Whose wish to be let in is among those: it is heard once.
    pub(super) asking: BTreeSet<ConnId>,
    /// Whether this shard has not yet said that it has reached the view: something that it began is still being written.
    is_due: bool,
    /// Leaves that another node's home has not confirmed.
    parting: BTreeMap<ConnId, ToHome>,
    /// Nodes from which more came than may wait.
    broken: Vec<NodeSlot>,
    /// Who was there when this node buried another one, until the view comes that is without them.
    pub(super) mourned: BTreeMap<(NodeSlot, u64), Vec<Buried>>,
}

impl Crossing {
    pub(super) fn new() -> Crossing {
        Crossing {
            is_quiet: true,
            is_whole: true,
            is_alone: true,
            is_new: false,
            skipped_to: 0,
            earlier: Vec::new(),
            senders: BTreeMap::new(),
            waiting: VecDeque::new(),
            bequests: Vec::new(),
            asking: BTreeSet::new(),
            is_due: false,
            parting: BTreeMap::new(),
            broken: Vec::new(),
            mourned: BTreeMap::new(),
        }
    }

    /// Whether whoever has this home can be asked without regard to views.
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Whether a letter is read as it comes.
    pub(super) fn is_plain(&self, letter: &Letter, is_here: bool) -> bool {
        self.is_quiet && is_here && !matches!(letter, Letter::ViewBegins { .. } | Letter::ViewReached { .. })
    }

    fn begin(&mut self, before: Arc<HashRing>, after: &View) {
        self.is_alone = after.members().len() == 1 && before.view().members().len() == 1;
        self.is_new |= before.view().number() == 0 || self.earlier.len() >= EARLIER;
        if self.earlier.len() < EARLIER {
            self.earlier.push(before);
        }
        (self.is_whole, self.is_quiet, self.is_due) = (false, false, true);
        self.senders.retain(|shard, sender| after.has(*shard) || !sender.ahead.is_empty());
    }

    /// Whether every other shard of the view acts by it: so whatever they said to this one by earlier views has come.
    fn has_heard_out(&self, view: &View, own: ShardId) -> bool {
        let has_begun = |sender: &Sender, shard: ShardId| {
            sender.view >= view.number() && (shard.node() == own.node() || Some(sender.epoch) == view.epoch(shard.node()))
        };
        let mut others = view.shards().filter(|shard| *shard != own);
        others.all(|shard| self.senders.get(&shard).is_some_and(|sender| has_begun(sender, shard)))
    }

    /// Whether a shard says by this view what it says, or by one since which this was so by every ring. Where views were passed over nobody
    /// knows.
    pub(super) fn has_been_since(&self, from: ShardId, view: u64, is_so: impl Fn(&HashRing) -> bool) -> bool {
        let by = self.senders.get(&from).map_or(0, |sender| sender.view);
        let mut since = self.earlier.iter().filter(|ring| ring.view().number() >= by);
        by >= view || by >= self.skipped_to && since.all(|ring| is_so(ring))
    }

    fn is_reached(&self, view: &View, own: NodeSlot) -> bool {
        view.shards().all(|shard| {
            let sender = self.senders.get(&shard);
            sender.is_some_and(|sender| {
                sender.reached >= view.number() && (shard.node() == own || Some(sender.epoch) == view.epoch(shard.node()))
            })
        })
    }
}

impl Engine {
    /// Who is in the cluster from now on, as the ring over all of its shards; to be told to each shard of the node. A shard begins with a
    /// view of number 0 that has its own node alone. One with no higher number than the last, or without this node, changes nothing. Views
    /// are to be told in turn, none left out: a home that has missed one forgets its rooms, and only those who missed it too come again.
    pub fn view(&mut self, ring: Arc<HashRing>, now: Now) {
        let view = ring.view().clone();
        if view.number() <= self.ring.view().number() || !view.has(self.id) {
            return;
        }
        let had_come = self.rooms_that_have_come();
        let before = mem::replace(&mut self.ring, ring);
        self.crossing.begin(before.clone(), &view);
        // Of views that were passed over nobody here knows: any home may have been elsewhere and be back.
        let is_first = before.view().number() == 0;
        let has_skipped = !is_first && view.number() > before.view().number() + 1;
        if has_skipped {
            (self.crossing.is_new, self.crossing.skipped_to) = (true, view.number());
        }
        self.homes.join_cluster();
        self.homes.forget_census();
        let own = self.id.node();
        let is_other = |node: NodeSlot| before.view().epoch(node).is_some_and(|epoch| view.epoch(node) != Some(epoch));
        let is_gone = |node: NodeSlot| node != own && is_other(node);
        // Whoever was there and waits here waits no more: nobody would ever hear that he is gone.
        self.crossing.waiting.retain(|(from, _)| !is_gone(from.node()));
        self.crossing.asking.retain(|conn| !is_gone(conn.shard.node()));
        // Of its next life nothing is lost yet.
        self.crossing.senders.iter_mut().filter(|(shard, _)| is_gone(shard.node())).for_each(|(_, sender)| sender.is_cut = false);
        self.begin_view(view.shards().collect(), false);
        self.with_homes(|homes, out| homes.lose(&|shard: ShardId| is_gone(shard.node()), now, out));
        let (ring, id) = (self.ring.clone(), self.id);
        self.with_homes(|homes, out| {
            let held = (before.view().number(), |classroom| !had_come.contains(&classroom));
            homes.move_out(held, |classroom| !has_skipped && ring.home(classroom.as_bytes()) == id, now, out);
        });
        let has_moved = |from: ShardId, to: ShardId| has_skipped || from != to || is_gone(from.node());
        self.come_again(|classroom| has_moved(before.home(classroom.as_bytes()), ring.home(classroom.as_bytes())));
        let has_quiz_moved = |quiz: QuizId| has_moved(before.home(&quiz.place()), ring.home(&quiz.place()));
        self.quizzes_move(&has_quiz_moved, &|shard: ShardId| is_gone(shard.node()), now);
        self.sessions_move(&|node: NodeSlot| is_gone(node), now);
        self.labs_move(&before, &is_gone, now);
        self.tasks_move(&before, has_skipped, &is_gone, now);
        self.wait_again(now);
        self.part_again(&before, has_skipped, is_gone);
        self.bequeath_buried(is_first);
        before.view().members().iter().filter(|member| is_gone(member.slot)).for_each(|member| self.lose_asks(member.slot));
        if is_first || before.view().members().iter().any(|member| is_gone(member.slot)) {
            self.doubt_keys(is_first);
        }
        self.retell_keys();
        self.retell_revocations();
        self.say_reached();
        self.read_ahead(now);
        self.settle(now);
    }

    /// What was on its way between this node and that one is lost, in both directions, while both live. To be told to each shard before
    /// anything that the other says afterwards. Whoever is in a room with its home there may have missed what was published: he is
    /// closed for a restart, and comes again without a gap.
    pub fn estranged(&mut self, node: NodeSlot, now: Now) {
        let view = self.ring.view().clone();
        let Some(member) = view.member(node).filter(|_| node != self.id.node()) else { return };
        self.crossing.broken.retain(|own| *own != node);
        self.crossing.waiting.retain(|(from, _)| from.node() != node);
        self.crossing.asking.retain(|conn| conn.shard.node() != node);
        for shard in member.shards() {
            let sender = self.crossing.senders.entry(shard).or_default();
            (sender.is_broken, sender.is_cut) = (false, true);
            // Behind it is missing what was lost: that all has been said is said again.
            sender.ahead.retain(|letter| !matches!(letter, Letter::ViewReached { .. }));
        }
        self.homes.forget_census();
        self.with_homes(|homes, _| homes.doubt(node));
        self.begin_view(member.shards().collect(), true);
        let ring = self.ring.clone();
        // A home that has not even heard that somebody was there must hear it before he leaves.
        self.come_again(|classroom| ring.home(classroom.as_bytes()).node() == node);
        for leave in self.crossing.parting.values().cloned().collect::<Vec<_>>() {
            if ring.home(leave.classroom().as_bytes()).node() == node {
                self.post_leave(leave.nowhere());
            }
        }
        // A former home there may have had something on its way, or was to pass on what was lost on its way to it.
        let rings: Vec<Arc<HashRing>> = self.crossing.earlier.iter().chain([&ring]).cloned().collect();
        let was_at_home = |classroom: ClassroomId| rings.iter().any(|ring| ring.home(classroom.as_bytes()).node() == node);
        for bequest in mem::take(&mut self.crossing.bequests) {
            if was_at_home(bequest.classroom()) {
                self.leave_to_home(bequest);
            } else {
                self.crossing.bequests.push(bequest);
            }
        }
        self.close_listeners(was_at_home, now);
        self.labs_are_cut(node, now);
        let was_there = |quiz: QuizId| rings.iter().any(|ring| ring.home(&quiz.place()).node() == node);
        self.quizzes_are_cut(&|quiz| ring.home(&quiz.place()).node() == node, &was_there, node, now);
        self.sessions_are_cut(node, now);
        self.tasks_are_cut(node, now);
        self.lose_asks(node);
        self.retell_keys();
        self.retell_revocations();
        if !self.crossing.is_due {
            member.shards().for_each(|shard| self.post(shard, Letter::ViewReached { view: view.number() }));
        }
        self.settle(now);
    }

    /// The view that this shard acts by.
    pub fn seen(&self) -> &Arc<View> {
        self.ring.view()
    }

    /// Whether every shard has reached that view, so that nothing waits for it any more.
    pub fn is_whole(&self) -> bool {
        self.crossing.is_whole
    }

    /// Nodes that said more by a view that is not here yet than may wait: what is on its way from them is to be taken for lost.
    pub fn broken(&self) -> &[NodeSlot] {
        &self.crossing.broken
    }

    /// A letter that is not simply read.
    pub(super) fn letter_between_views(&mut self, from: ShardId, letter: Letter, now: Now) {
        let number = self.ring.view().number();
        let sender = self.crossing.senders.entry(from).or_default();
        sender.is_cut &= !matches!(letter, Letter::ViewBegins { anew: true, .. });
        if sender.is_cut {
            return;
        }
        let is_ahead = matches!(letter, Letter::ViewBegins { view, .. } if view > number);
        if sender.is_broken || (sender.ahead.is_empty() && !is_ahead) {
            if !sender.is_broken {
                self.take(from, letter, now);
            }
            return;
        }
        self.crossing.is_quiet = false;
        if sender.ahead.len() < WAITING || from.node() == self.id.node() {
            return sender.ahead.push_back(letter);
        }
        sender.ahead.clear();
        sender.is_broken = true;
        if !self.crossing.broken.contains(&from.node()) {
            self.crossing.broken.push(from.node());
        }
    }

    /// Says that it has reached the view, when nothing is written any more for homes that are elsewhere, and when it has heard what others
    /// said to it by earlier views: so whatever it passes on comes before this, and no new home speaks before all have heard the former
    /// one.
    pub(super) fn say_reached(&mut self) {
        if !self.crossing.is_due || !self.crossing.has_heard_out(self.ring.view(), self.id) {
            return;
        }
        if self.homes.moving() || self.quizzes.moving() || self.keys_moving() || self.labs_moving() {
            return;
        }
        self.crossing.is_due = false;
        let view = self.ring.view().clone();
        view.shards().for_each(|shard| self.post(shard, Letter::ViewReached { view: view.number() }));
    }

    fn begin_view(&mut self, shards: Vec<ShardId>, anew: bool) {
        let view = self.ring.view();
        let (number, epoch) = (view.number(), view.epoch(self.id.node()).unwrap_or_default());
        for shard in shards {
            let to = view.epoch(shard.node()).unwrap_or_default();
            self.letters.push((shard, Letter::ViewBegins { view: number, epoch, to, anew }));
        }
    }

    /// Tells the homes of these rooms of those who are in them, or want to be, on this shard.
    fn come_again(&mut self, has_moved: impl Fn(ClassroomId) -> bool) {
        for key in self.connections.keys().collect::<Vec<Key>>() {
            let conn = self.conn_id(key);
            let letter = self.connections.at_mut(key).and_then(|connection| {
                let machine = connection.presence_mut()?;
                let classroom = machine.classroom()?;
                has_moved(classroom).then(|| machine.again(conn)).flatten()
            });
            if let Some(letter) = letter {
                self.post(self.home_of(letter.classroom()), Letter::Home(letter));
            }
        }
    }

    /// Ends the sessions of those who are in these rooms.
    fn close_listeners(&mut self, is_among: impl Fn(ClassroomId) -> bool, now: Now) {
        for key in self.connections.keys().collect::<Vec<Key>>() {
            let machine = self.connections.at_mut(key).and_then(Connection::presence_mut);
            let is_live = machine.is_some_and(|machine| machine.is_live() && machine.classroom().is_some_and(&is_among));
            if is_live {
                self.close_for_restart(key, now);
            }
        }
    }

    /// Whoever left a room whose home died before it knew of that has still to be told of.
    fn part_again(&mut self, before: &HashRing, has_skipped: bool, is_gone: impl Fn(NodeSlot) -> bool) {
        for (conn, leave) in mem::take(&mut self.crossing.parting) {
            let (from, to) = (before.home(leave.classroom().as_bytes()), self.home_of(leave.classroom()));
            if from == to && !is_gone(from.node()) && !has_skipped {
                self.crossing.parting.insert(conn, leave);
            } else if is_gone(from.node()) {
                let ToHome::Leave { classroom, seat, at, .. } = &leave else { continue };
                let again = match seat {
                    Seat::Held(held) => ToHome::Resume { conn, classroom: *classroom, held: held.clone() },
                    Seat::Agent(agent) => ToHome::Join { conn, classroom: *classroom, agent: agent.clone(), at: *at },
                };
                self.post(to, Letter::Home(again));
                self.post_leave(leave.nowhere());
            }
        }
    }

    /// Leaves somebody to a room's home.
    pub(super) fn leave_to_home(&mut self, bequest: ToHome) {
        let home = self.home_of(bequest.classroom());
        if home.node() != self.id.node() && !self.crossing.is_whole {
            self.crossing.bequests.push(bequest.clone());
        }
        self.post(home, Letter::Home(bequest));
    }

    /// Posts a leave; one to another node is kept until it is confirmed.
    pub(super) fn post_leave(&mut self, letter: ToHome) {
        let home = self.home_of(letter.classroom());
        if home.node() != self.id.node()
            && let ToHome::Leave { conn, .. } = &letter
        {
            self.crossing.parting.insert(*conn, letter.clone());
        }
        self.post(home, Letter::Home(letter));
    }

    /// A home knows that this connection has left.
    pub(super) fn parted(&mut self, conn: ConnId) {
        self.crossing.parting.remove(&conn);
    }

    /// What was said by a view that is here now.
    fn read_ahead(&mut self, now: Now) {
        let senders: Vec<ShardId> = self.crossing.senders.keys().copied().collect();
        for from in senders {
            while let Some(letter) = self.next_ahead(from) {
                self.take(from, letter, now);
            }
        }
        self.look_whether_quiet();
    }

    fn next_ahead(&mut self, from: ShardId) -> Option<Letter> {
        let number = self.ring.view().number();
        let ahead = &mut self.crossing.senders.get_mut(&from)?.ahead;
        let waits = matches!(ahead.front()?, Letter::ViewBegins { view, .. } if *view > number);
        if waits { None } else { ahead.pop_front() }
    }

    fn look_whether_quiet(&mut self) {
        let crossing = &mut self.crossing;
        crossing.is_quiet = crossing.is_whole && crossing.senders.values().all(|sender| sender.ahead.is_empty());
    }

    /// Reads a letter by this view.
    fn take(&mut self, from: ShardId, letter: Letter, now: Now) {
        let view = self.ring.view();
        let sender = self.crossing.senders.entry(from).or_default();
        if let Letter::ViewBegins { view, epoch, to, .. } = letter {
            (sender.epoch, sender.to, sender.view) = (epoch, to, view);
            return self.say_reached();
        }
        let is_of_here =
            |sender: &Sender| view.epoch(from.node()) == Some(sender.epoch) && view.epoch(self.id.node()) == Some(sender.to);
        if from.node() != self.id.node() && !is_of_here(sender) {
            // Of one who is not in the cluster any more, or for this node's last life, of whose end whoever says this has not heard.
            return;
        }
        if let Letter::ViewReached { view } = letter {
            sender.reached = sender.reached.max(view);
            self.with_homes(|homes, out| homes.heard_all(from, now, out));
            self.sessions_heard_all(from, now);
            self.with_registry(|registry, out| registry.heard_all(from, now, out));
            return self.look_whether_whole(now);
        }
        self.read(from, letter, now);
    }

    fn look_whether_whole(&mut self, now: Now) {
        if self.crossing.is_whole || !self.crossing.is_reached(self.ring.view(), self.id.node()) {
            return;
        }
        let crossing = &mut self.crossing;
        (crossing.is_whole, crossing.is_new) = (true, false);
        crossing.is_alone = self.ring.view().members().len() == 1;
        crossing.earlier.clear();
        self.crossing.bequests.clear();
        self.with_homes(|homes, out| homes.inherit(now, out));
        // Whoever was in and has gone leaves before others come: the row that he had may have ended at the former home, and is nobody's.
        let asking = mem::take(&mut self.crossing.asking);
        let leaves = |letter: &Letter| matches!(letter, Letter::Home(ToHome::Leave { conn, .. }) if !asking.contains(conn));
        let waiting = mem::take(&mut self.crossing.waiting).into_iter();
        let (leaving, others): (Vec<_>, Vec<_>) = waiting.partition(|(_, letter)| leaves(letter));
        for (from, letter) in leaving.into_iter().chain(others) {
            self.read(from, letter, now);
        }
        self.with_homes(|homes, out| homes.close_estates(now, out));
        self.tasks_are_whole(now);
        self.keys_are_whole();
        self.quizzes_come();
        self.labs_are_whole(now);
        self.look_whether_quiet();
    }

    /// Whether the home of a key, which is here, was elsewhere in a view since the last that was reached.
    pub(super) fn has_come(&self, key: &[u8]) -> bool {
        !self.crossing.is_whole && (self.crossing.is_new || self.crossing.earlier.iter().any(|ring| ring.home(key) != self.id))
    }

    /// Those that are at home here and have not been taken over from their former homes yet.
    fn rooms_that_have_come(&self) -> BTreeSet<ClassroomId> {
        let rooms = self.homes.rooms().filter(|_| !self.crossing.is_whole);
        rooms.filter(|classroom| self.has_come(classroom.as_bytes())).collect()
    }

    /// A letter to the home of a classroom, which may be elsewhere by now, or have come here only just.
    pub(super) fn home_hears(&mut self, from: ShardId, letter: ToHome, now: Now) {
        if self.crossing.is_alone {
            return self.with_homes(|homes, out| homes.letter(letter, now, out));
        }
        let classroom = letter.classroom();
        let home = self.home_of(classroom);
        match letter {
            ToHome::Ask { asker, number, ask } if home != self.id => self.redirect((asker, number), ask),
            // Whoever was left to another is passed on.
            ToHome::Bequest(_) if home != self.id => self.leave_to_home(letter),
            // It was said again, since a link broke, and had come before.
            ToHome::Bequest(_) if self.crossing.is_whole => {}
            // Whoever says this says it again to the new home.
            ToHome::Join { .. } | ToHome::Resume { .. } | ToHome::Leave { .. } | ToHome::Told { .. } if home != self.id => {}
            ToHome::Join { conn, .. } if self.has_come(classroom.as_bytes()) && self.crossing.waiting.len() >= WAITING => {
                let refused = FromHome::Refused(SessionError::DatabaseConnectionAcquisitionFailed);
                self.post(conn.shard, Letter::Connection(conn, refused));
            }
            ToHome::Join { conn, .. } if self.has_come(classroom.as_bytes()) => {
                if self.crossing.asking.insert(conn) {
                    self.crossing.waiting.push_back((from, Letter::Home(letter)));
                }
            }
            ToHome::Leave { .. } | ToHome::Told { .. } | ToHome::Ask { .. } if self.has_come(classroom.as_bytes()) => {
                self.crossing.waiting.push_back((from, Letter::Home(letter)));
            }
            letter => self.with_homes(|homes, out| homes.letter(letter, now, out)),
        }
    }
}
