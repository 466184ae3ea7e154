//! Letters of presence.

use super::*;
use crate::{
    auth::Account,
    protocols::presence::{
        FromHome, ToHome,
        asks::{Ask, Member, Publication, Reply},
        letters::{Agent, Bequest, Cuts, Gap, Heir, Held, Said, Seat},
        messages::SessionError,
    },
};

fn to_home() -> Vec<ToHome> {
    let account = Account { subject: "u1.x".into(), audience: "dev.example.org".into() };
    let cuts = Cuts::of("web", &account);
    let classroom = id(1);
    let publication = |sequence_id, receiver| Publication {
        entity_type: "ban".into(),
        operation: "created".into(),
        sequence_id,
        payload: r#"{"a":[1,2,3]}"#.into(),
        receiver,
        sender: Some("web.u3.dev".into()),
    };
    let asks = [
        Ask::Members { classroom, after: -1, limit: 1000 },
        Ask::Counts { classrooms: vec![id(1), id(2)] },
        Ask::Counts { classrooms: vec![] },
        Ask::Publish { classroom, event: publication(Some(i64::MIN), Some("web.u1.dev".into())) },
        Ask::Publish { classroom, event: publication(None, None) },
        Ask::Close { classroom, agent_id: "web.u1.dev".into() },
    ];
    let ask = |ask| ToHome::Ask { asker: FROM, number: u64::MAX, ask: Box::new(ask) };
    let agent = || Agent { id: long(), cuts };
    let unknown = || Agent { id: text(""), cuts: Cuts::UNKNOWN };
    let held = |place| Held { agent: agent(), session: i64::MAX, place };
    let said = |is_heard| Said { frame: Frame::from_wire(b"said"), is_heard };
    let gaps =
        [None, Some(Gap { said: vec![said(true), said(false)], is_torn: false }), Some(Gap { said: vec![], is_torn: true })];
    let heirs =
        gaps.map(|missed| Heir { agent: unknown(), session: 9, announced: missed.is_some(), is_over: missed.is_none(), missed });
    let bequest = |members| Box::new(Bequest { classroom, view: Some(7), is_whole: true, last_published: -1, members });
    let leave = |seat| ToHome::Leave { conn: conn(), classroom, seat, at: AT };
    let letters = [
        ToHome::Join { conn: conn(), classroom, agent: agent(), at: UnixMicros(-1) },
        ToHome::Resume { conn: conn(), classroom, held: held(None) },
        ToHome::Bequest(bequest(heirs.to_vec())),
        ToHome::Bequest(bequest(vec![])),
        leave(Seat::Agent(unknown())),
        leave(Seat::Held(held(Some(7)))),
        ToHome::Told { conn: conn(), classroom, place: u32::MAX },
    ];
    letters.into_iter().chain(asks.map(ask)).collect()
}

fn errors() -> [SessionError; 11] {
    [
        SessionError::UnsupportedRequest,
        SessionError::Unauthenticated,
        SessionError::AccessDenied,
        SessionError::DatabaseConnectionAcquisitionFailed,
        SessionError::DatabaseQueryFailed,
        SessionError::SerializationFailed,
        SessionError::MessagingFailed,
        SessionError::CloseOldConnectionFailed,
        SessionError::AuthTimedOut,
        SessionError::PongTimedOut,
        SessionError::Replaced,
    ]
}

pub(super) fn all() -> Vec<Letter> {
    let topic = Topic::Classroom(id(1));
    let replies = [
        Reply::Members(vec![Member { sequence_id: 5, agent_id: "web.u1.dev".into() }]),
        Reply::Counts(vec![(id(1), 7), (id(2), u64::MAX)]),
        Reply::Published { sequence_id: -5, members: 3 },
        Reply::Closed(true),
        Reply::Late,
    ];
    let from_home = [
        FromHome::Seated { place: 1, session: 2 },
        FromHome::Parted,
        FromHome::Bereft,
        FromHome::Replaced { classroom: id(1), place: 2 },
    ];
    let from_home = from_home.into_iter().chain(errors().map(FromHome::Refused));
    let mut letters: Vec<Letter> = to_home().into_iter().map(Letter::Home).collect();
    letters.extend(from_home.map(|letter| Letter::Connection(conn(), letter)));
    letters.extend(replies.map(|reply| Letter::Reply { number: 3, reply: Box::new(reply) }));
    letters.push(Letter::Publish { topic, frame: frame(), members: 9 });
    letters.push(Letter::PublishBut { conn: conn(), topic, frame: frame(), members: u32::MAX });
    letters.push(Letter::Show { conn: conn(), topic, frame: frame() });
    letters
}
