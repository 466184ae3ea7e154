//! What each node of several has for itself: chat and labs. Who is in the cluster, and what becomes of them, is nothing to these.

use super::{chat::person, world::*};
use crate::protocols::{
    chat::{self, Ask as ChatAsk},
    labs::asks::{Ask as LabsAsk, LimitKey, Reply as LabsReply, Window},
};
use uuid::Uuid;

/// Every shard of each of two nodes asks, while the other node is dead and nobody knows of that.
#[test]
fn chat_and_labs_of_a_node_need_no_other() {
    for (shard, other) in [(0, 1), (1, 1), (2, 0), (3, 0)] {
        let mut world = World::cluster(2, 2);
        world.kill(other);
        for id in (1..=16).map(Uuid::from_u128) {
            let session = world.ask_chat(shard, ChatAsk::End { session: id, caller: person("anna") });
            assert_eq!(session, chat::Reply::Refused(chat::asks::Refused::NoSession));
            let counted = world.ask_labs(shard, LabsAsk::Limit { key: LimitKey::User(id), window: Window::Login });
            assert!(matches!(counted, LabsReply::Limit { .. }), "{counted:?}");
        }
        // It hears that it is registered.
        world.agent(shard, "k8s-1");
    }
}
