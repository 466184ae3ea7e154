//! How tunnels end: whoever goes, in whatever order, and whatever is still on its way.

use super::{labs::*, world::*};
use crate::{
    protocols::labs::{
        asks::{Ask, Reply, Target},
        model::Role,
        record::{Kept, Record},
    },
    realtime::{ConnId, ShardId},
};
use std::time::Duration;
use uuid::Uuid;

/// What can end a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    ViewerGoes,
    ViewerCloses,
    AgentGoes,
    AgentCloses,
    Revoked,
    Displaced,
    Stopped,
    AgentReturns,
}

const ENDS: [End; 8] = [
    End::ViewerGoes,
    End::ViewerCloses,
    End::AgentGoes,
    End::AgentCloses,
    End::Revoked,
    End::Displaced,
    End::Stopped,
    End::AgentReturns,
];

struct Scene {
    world: World,
    agent: ConnId,
    viewer: ConnId,
    proxy: u32,
    session: Uuid,
    conns: Vec<ConnId>,
}

impl Scene {
    fn new(shards: u16) -> Scene {
        let mut world = World::new(shards);
        let agent = world.agent(0, "a1");
        let session = world.desktop(agent, "ann", 1);
        let other = usize::from(shards) - 1;
        let (viewer, proxy) = world.viewer(other, (session, &user_token("ann", 1, LATER)), agent);
        world.ready(agent, proxy, None);
        world.take_heard(agent);
        Scene { world, agent, viewer, proxy, session, conns: vec![agent, viewer] }
    }

    fn has_ended(&self, conn: ConnId) -> bool {
        self.world.heard.iter().any(|(own, words)| *own == conn && (words == "END" || words == "FIN"))
    }

    fn end(&mut self, end: End) {
        let Scene { agent, viewer, session, proxy, .. } = *self;
        let (agent_ended, viewer_ended) = (self.has_ended(agent), self.has_ended(viewer));
        let world = &mut self.world;
        match end {
            End::ViewerGoes if !viewer_ended => world.eof(viewer),
            End::ViewerCloses if !viewer_ended => world.frame(viewer, 8, &1000_u16.to_be_bytes()),
            End::AgentGoes if !agent_ended => world.eof(agent),
            End::AgentCloses if !agent_ended => {
                world.text(agent, &format!(r#"{{"type":"vnc_proxy_close","proxy_id":"proxy-{proxy}"}}"#));
            }
            End::ViewerGoes | End::ViewerCloses | End::AgentGoes | End::AgentCloses => {}
            End::Revoked => {
                world.engines[0].ask_labs(Ask::Keep(Record::Revoked { token: Uuid::from_u128(1), expires_at: LATER }));
            }
            End::Displaced => {
                let path = format!("/vnc-viewer/{session}?token={}", user_token("root", 2, LATER));
                let conn = world.upgrade(0, &path, "");
                self.conns.push(conn);
            }
            End::Stopped => {
                world.engines[0].ask_labs(Ask::Move { session, caller: caller("root"), to: Target::Terminated });
            }
            End::AgentReturns => {
                let conn = world.upgrade(viewer.shard.index(), "/agent/ws?agent_id=a1&platform=host", "");
                world.text(conn, r#"{"type":"register","agent_id":"a1"}"#);
                self.conns.push(conn);
            }
        }
        self.world.run();
    }

    /// The sockets that are left end too, and nothing is forgotten.
    fn leave(mut self) {
        for conn in self.conns.clone() {
            if !self.world.heard.iter().any(|(own, words)| *own == conn && words == "END") {
                self.world.eof(conn);
            }
        }
        self.world.leave_labs(&[]);
    }
}

#[test]
fn each_end_is_told_to_the_viewer_with_its_code() {
    for shards in [1, 2] {
        for (end, close) in [
            (End::ViewerCloses, "CLOSE 1000"),
            (End::AgentGoes, "CLOSE 10"),
            (End::AgentCloses, "CLOSE 1000"),
            (End::Revoked, "CLOSE 1008"),
            (End::Displaced, "CLOSE 1008"),
            (End::Stopped, "CLOSE 1000"),
            (End::AgentReturns, "CLOSE 10"),
        ] {
            let mut scene = Scene::new(shards);
            scene.end(end);
            let heard: Vec<_> = scene.world.heard.iter().filter(|(own, _)| *own == scene.viewer).cloned().collect();
            assert!(heard.iter().any(|(_, words)| words.starts_with(close)), "{end:?}: {heard:?}");
            scene.leave();
        }
    }
}

#[test]
fn each_end_of_a_viewer_is_told_to_the_agent_once() {
    for shards in [1, 2] {
        for end in [End::ViewerGoes, End::ViewerCloses, End::Revoked] {
            let mut scene = Scene::new(shards);
            scene.end(end);
            let told: Vec<_> = scene.world.heard.iter().filter(|(own, _)| *own == scene.agent).map(|(_, words)| words).collect();
            let expected = format!(r#"{{"type":"vnc_proxy_close","proxy_id":"proxy-{}"}}"#, scene.proxy);
            assert_eq!(told, [&expected], "{end:?}");
            scene.leave();
        }
    }
}

/// Two ends in every order, with letters to one shard held back until both have happened, or not.
#[test]
fn any_two_ends_in_any_order_leave_nothing_behind() {
    for shards in [1, 2, 3] {
        for first in ENDS {
            for second in ENDS {
                for held in [None, Some(0), Some(shards - 1)] {
                    let mut scene = Scene::new(shards);
                    scene.world.held = held.map(|shard| (ShardId(shard), Vec::new()));
                    scene.end(first);
                    scene.end(second);
                    if let Some((shard, letters)) = scene.world.held.take() {
                        let now = scene.world.now;
                        letters
                            .into_iter()
                            .for_each(|(from, letter)| scene.world.engines[shard.index()].letter(from, letter, now));
                        scene.world.run();
                    }
                    scene.leave();
                }
            }
        }
    }
}

#[test]
fn a_token_that_is_revoked_while_its_viewer_asks_lets_nobody_in() {
    let mut world = World::new(2);
    let home = (0..2).find(|shard| world.engines[*shard].has_registry()).unwrap();
    let agent = world.agent(home, "a1");
    let session = world.desktop(agent, "ann", 1);
    world.held = Some((ShardId(home as u16), Vec::new()));
    let conn = world.upgrade(1 - home, &format!("/vnc-viewer/{session}?token={}", user_token("ann", 1, LATER)), "");
    world.engines[1 - home].ask_labs(Ask::Keep(Record::Revoked { token: Uuid::from_u128(1), expires_at: LATER }));
    world.run();
    assert!(world.take_heard(conn)[0].starts_with("401 "));
    let now = world.now;
    for (from, letter) in world.held.take().unwrap().1 {
        world.engines[home].letter(from, letter, now);
    }
    world.run();
    let told = world.take_heard(agent);
    assert_eq!(json(&told[0])["type"], "vnc_proxy_request");
    assert_eq!(json(&told[1])["type"], "vnc_proxy_close");
    world.leave_labs(&[conn, agent]);
}

#[test]
fn at_the_close_all_are_told_of_a_restart_and_who_waits_of_a_later_time() {
    let mut world = World::new(2);
    let home = (0..2).find(|shard| world.engines[*shard].has_registry()).unwrap();
    let agent = world.agent(home, "a1");
    let session = world.desktop(agent, "ann", 1);
    let path = format!("/vnc-viewer/{session}?token={}", user_token("ann", 1, LATER));
    let viewer = world.upgrade(1 - home, &path, "");
    world.take_heard(viewer);
    world.take_heard(agent);
    world.held = Some((ShardId(home as u16), Vec::new()));
    let waiting = world.upgrade(1 - home, &path, "");
    world.drain();
    assert_eq!((world.take_heard(viewer).len(), world.take_heard(agent).len()), (0, 0), "at the drain nothing is said");
    world.close();
    assert!(world.take_heard(waiting)[0].starts_with("503 "));
    for conn in [viewer, agent] {
        let heard = world.take_heard(conn);
        assert!(heard.ends_with(&["CLOSE 1012".into(), "FIN".into()]), "{heard:?}");
    }
    world.held = None;
    world.leave_labs(&[waiting, viewer, agent]);
}

/// A paused viewer that says nothing and reads nothing is found by its Ping, as every other is.
#[test]
fn a_paused_viewer_that_is_silent_is_ended_in_time() {
    let mut scene = Scene::new(2);
    let (agent, viewer, proxy) = (scene.agent, scene.viewer, scene.proxy);
    let world = &mut scene.world;
    world.stalled.push(agent);
    for _ in 0..40 {
        world.bytes(viewer, &long(2, &[7; 20_000]));
    }
    assert_eq!(world.paused, [viewer]);
    // The agent lives and takes nothing.
    for _ in 0..18 {
        world.pass(Duration::from_secs(10));
        world.frame(agent, 10, b"");
        world.text(agent, r#"{"type":"heartbeat"}"#);
    }
    let heard = world.take_heard(viewer);
    assert!(heard.contains(&"CLOSE 1008".into()), "{heard:?}");
    assert_eq!(world.paused, [], "what it still says is read, so that its end is seen");
    assert_eq!(proxy, 1);
    world.stalled.clear();
    while world.let_go(agent) {}
    scene.leave();
}

/// A user's right is another, as the store was told.
fn edited(name: &str, role: Option<Role>, active: Option<bool>) -> Ask {
    let user = user_id(name);
    Ask::Keep(Record::EditedUser { user, email: None, role, active, password_hash: None, last_login: None })
}

#[test]
fn who_may_less_is_closed_on_every_shard_and_comes_again_by_what_he_may_now() {
    for shards in 1..=2 {
        let mut world = World::new(shards);
        let agent = world.agent(0, "a1");
        let session = world.desktop(agent, "ann", 1);
        let viewer = |world: &mut World, name: &str| {
            let path = format!("/vnc-viewer/{session}?token={}", user_token(name, 1, LATER));
            let conn = world.upgrade(usize::from(shards) - 1, &path, "");
            (conn, world.take_heard(conn)[0].split(' ').next().unwrap_or_default().to_owned())
        };
        let (admin, answer) = viewer(&mut world, "root");
        assert_eq!(answer, "101");
        let rename = Ask::Keep(Record::EditedUser {
            user: user_id("root"),
            email: Some("new".into()),
            role: None,
            active: None,
            password_hash: None,
            last_login: Some(LATER),
        });
        assert_eq!(world.ask_labs(0, rename), Reply::Kept(Kept::Done));
        assert_eq!(world.take_heard(admin), [""; 0], "what takes nothing away closes nothing");
        assert_eq!(world.ask_labs(0, edited("root", Some(Role::User), None)), Reply::Kept(Kept::Done));
        assert!(world.take_heard(admin).iter().any(|words| words.starts_with("CLOSE 1008")), "no admin any more");
        assert_eq!(viewer(&mut world, "root").1, "403", "his token says admin");
        let (own, answer) = viewer(&mut world, "ann");
        assert_eq!(answer, "101");
        assert_eq!(world.ask_labs(0, edited("ann", None, Some(false))), Reply::Kept(Kept::Done));
        assert!(world.take_heard(own).iter().any(|words| words.starts_with("CLOSE 1008")), "disabled");
        assert_eq!(viewer(&mut world, "ann").1, "401");
        assert_eq!(world.ask_labs(0, edited("ann", None, Some(true))), Reply::Kept(Kept::Done));
        assert_eq!(viewer(&mut world, "ann").1, "101");
        assert_eq!(world.ask_labs(0, edited("root", Some(Role::Admin), None)), Reply::Kept(Kept::Done));
        assert_eq!(viewer(&mut world, "root").1, "101", "at once, by the token that he has");
    }
}
