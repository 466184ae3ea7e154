//! What the shell asks of an engine. The protocol between them is told in [`crate::engine::port`].

use crate::{
    engine::{Listener, Output, door::Address, thinning::Pace},
    realtime::{ConnId, HashRing, Moment, NodeSlot, Now, ShardId},
};
use std::sync::Arc;

/// What the process as a whole is doing, told to every shard when it changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    /// The process is to stop after a while. Let the connected go at this pace; go on accepting and serving.
    Thin(Pace),
    /// The process was asked to stop. Tell the connected; go on accepting and serving.
    Drain,
    /// The drain is over: no socket is accepted any more. Say goodbye and close every connection.
    Close,
}

/// One shard without a reactor: a state machine that the shell feeds, and asks once a turn what is to be done.
pub trait Shard: 'static {
    /// What one shard tells another.
    type Letter: Send + 'static;
    /// What ended with a node that this one buried.
    type Loss: Send + 'static;
    /// What other threads (store, bridge) tell a shard.
    type Answer: Send + 'static;

    /// A connection was accepted, which comes from there. `None`: close it at once.
    fn accepted(&mut self, listener: Listener, from: Address, now: Now) -> Option<ConnId>;
    /// A proxy says whom a connection comes from that was accepted with an unknown address.
    fn comes_from(&mut self, _conn: ConnId, _from: Address, _now: Now) {}
    /// Bytes came, in order. After the engine decided to hand a connection off, but before [`Shard::finish`] took the hand-off
    /// out, more may come (and the end, too): they belong to the hand-off's head. What comes later the shell appends by itself.
    fn received(&mut self, conn: ConnId, bytes: &[u8], now: Now);
    /// The peer sends no more: end of stream, or the connection broke. Said once, and never after the engine asked for the close.
    fn ended(&mut self, conn: ConnId, now: Now);
    /// The one send that was in flight has left, whole, or the socket broke (`ok` is false).
    fn sent(&mut self, conn: ConnId, ok: bool, now: Now);
    /// The shell forgot this connection: the slot may be used again.
    fn released(&mut self, conn: ConnId);
    /// A letter from another shard (or from this one). Each comes once, and in order for each sender.
    fn letter(&mut self, from: ShardId, letter: Self::Letter, now: Now);
    /// Who is in the cluster from now on. Never on a node that stands alone.
    fn view(&mut self, ring: Arc<HashRing>, now: Now);
    /// This node has buried that one, and with it this. Told to one shard, before the view without that node.
    fn mourn(&mut self, node: (NodeSlot, u64), loss: Self::Loss);
    /// What was on its way to or from this node is lost, and nothing behind it will be.
    fn estranged(&mut self, node: NodeSlot, now: Now);
    /// An answer from another thread.
    fn answer(&mut self, answer: Self::Answer, now: Now);
    /// The process stops.
    fn control(&mut self, control: Control, now: Now);
    /// Fires what is due.
    fn tick(&mut self, now: Now);
    /// When [`Shard::tick`] must be called next, if nothing else happens before.
    fn next_deadline(&self) -> Option<Moment>;
    /// Writes into `out` all that this turn wants done.
    fn finish(&mut self, now: Now, out: &mut Output);
    /// The process hands its sockets over to another: what cannot be carried is closed. `is_plain` tells of a connection whether nothing
    /// stands before its socket.
    fn leave(&mut self, _is_plain: &dyn Fn(ConnId) -> bool, _now: Now) {}
    /// Nothing is received any more; what is under way ends.
    fn part(&mut self, _is_plain: &dyn Fn(ConnId) -> bool, _now: Now) {}
    /// Whether nothing is under way here, when a turn is over.
    fn is_quiet(&self) -> bool {
        true
    }
    /// What another process needs to go on, and whose sockets go with it, in its order.
    fn estate(&mut self, _is_plain: &dyn Fn(ConnId) -> bool, _now: Now) -> (Vec<u8>, Vec<ConnId>) {
        (Vec::new(), Vec::new())
    }
    /// Takes over what it was made for, before anything else happens. `from`: where the sockets come from, in its order. Returns the
    /// names of their connections.
    fn take_over(&mut self, _from: &[Address], _now: Now) -> Vec<ConnId> {
        Vec::new()
    }
    /// How much is under way here that somebody elsewhere waits for: a stop that has the time lets it end.
    fn owed(&self) -> usize {
        0
    }
    /// Letters to other shards. The shell drains them after it submitted the sends of the turn.
    fn letters(&mut self) -> &mut Vec<(ShardId, Self::Letter)>;
}
