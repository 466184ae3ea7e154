//! Those who say something over REST and wait for the answer: whole, or piece by piece. Some go before it is there, some take no more.

use super::{book::Book, cast::caller, faults::Fault, people::Author, world::Chat};
use crate::world::note;
use homeroom::{
    engine::Letter,
    protocols::chat::{
        Ask, MessageId, SessionId, Told,
        asks::Refused,
        model::{Completeness, Decision},
    },
    realtime::UnixMicros,
};
use std::{cell::RefCell, rc::Rc};
use uuid::Uuid;

/// How far one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Waiting,
    /// It was told its last.
    Over,
    /// It has gone, or takes no more.
    Left,
}

/// See the file.
pub(crate) struct Follower {
    shard: usize,
    pub(crate) session: SessionId,
    content: String,
    pub(crate) answer: MessageId,
    pub(crate) streamed: bool,
    /// Pieces that it takes.
    most: usize,
    since: UnixMicros,
    heard: Rc<RefCell<Vec<Told>>>,
    seen: usize,
    pub(crate) has_begun: bool,
    text: String,
    pub(crate) stage: Stage,
}

impl Chat {
    /// Somebody says something over REST.
    pub(crate) fn request(&mut self) {
        let session = self.some_session();
        let user = if self.stage.dice.percent(92) { self.owner(session).unwrap_or(0) } else { self.stage.dice.below(3) };
        let content = self.words();
        let n = u128::from(self.last_words);
        let ids = [Uuid::from_u128(0xB0_0000_0000 + n), Uuid::from_u128(0xC0_0000_0000 + n)];
        let streamed = self.stage.dice.percent(65);
        let most = if self.stage.dice.percent(15) { self.stage.dice.between(1, 6) } else { usize::MAX };
        let shard = self.stage.some_shard();
        note!(self.stage, "request at {shard} in {}: {content:.60} {streamed} {most}", session.as_u128());
        self.authors.insert(content.clone(), Author::Request);
        let heard: Rc<RefCell<Vec<Told>>> = Rc::default();
        let (into, words) = (Rc::clone(&heard), content.as_str().into());
        let say = Ask::Say { session, caller: caller(user), ids, content: words, attachments: Vec::new(), streamed };
        let tell = move |piece| {
            let mut heard = into.borrow_mut();
            heard.push(piece);
            heard.len() < most
        };
        self.stage.feed(shard).say_chat(say, Box::new(tell));
        let [_, answer] = ids;
        let (since, seen, has_begun, text, stage) = (self.stage.now.wall, 0, false, String::new(), Stage::Waiting);
        let follower = Follower { shard, session, content, answer, streamed, most, since, heard, seen, has_begun, text, stage };
        self.followers.push(follower);
        self.count("requests");
        self.turn(shard);
    }

    /// One of them goes.
    pub(crate) fn follower_leaves(&mut self) {
        let open: Vec<usize> = (0..self.followers.len()).filter(|at| self.followers[*at].stage == Stage::Waiting).collect();
        if !open.is_empty() {
            let at = *self.stage.dice.pick(&open);
            self.leaves(at);
        }
    }

    pub(crate) fn leaves(&mut self, at: usize) {
        let Follower { shard, session, answer, .. } = self.followers[at];
        note!(self.stage, "the request for {answer} goes");
        self.followers[at].stage = Stage::Left;
        self.stage.feed(shard).leave_chat(Ask::Leave { session, answer });
        assert_eq!(Rc::strong_count(&self.followers[at].heard), 1, "somebody holds one who has gone");
        self.count("requests that go");
        self.turn(shard);
    }

    /// Looks at what they were told.
    pub(crate) fn poll_followers(&mut self) {
        for at in 0..self.followers.len() {
            let pieces: Vec<Told> = {
                let follower = &self.followers[at];
                follower.heard.borrow()[follower.seen..].to_vec()
            };
            for piece in pieces {
                let Follower { session, answer, since, .. } = self.followers[at];
                note!(self.stage, "the request for {answer} is told {piece:?}");
                if let Told::Refused(Refused::Store(fault)) = piece {
                    assert!(self.may_refuse(fault, session, since), "the request for {answer} is told {piece:?}");
                }
                let name = self.followers[at].hears(&piece, &self.book).unwrap_or_else(|why| panic!("{piece:?} is told: {why}"));
                self.count(name);
            }
            let follower = &mut self.followers[at];
            if follower.seen >= follower.most && follower.stage == Stage::Waiting {
                follower.stage = Stage::Left;
            }
            let is_held = Rc::strong_count(&follower.heard) > 1;
            assert!(!is_held || follower.stage == Stage::Waiting, "somebody holds one who is told no more");
        }
    }

    /// When all is quiet, and models have said all they will: who still waits waits for leave to be given, and what nobody waits for is
    /// over.
    pub(crate) fn check_followers(&self) {
        for follower in &self.followers {
            let running = self.book.running(follower.session).is_some_and(|answer| answer.id == follower.answer);
            match follower.stage {
                Stage::Waiting => {
                    let is_behind =
                        self.book.with_words(&follower.content).is_none() && self.book.running(follower.session).is_some();
                    let is_open = running && follower.streamed || is_behind;
                    assert!(is_open, "the request for {} waits for ever", follower.answer);
                }
                Stage::Left | Stage::Over => {}
            }
        }
        let open = self.followers.iter().filter(|follower| follower.stage == Stage::Waiting).count() as u64;
        assert_eq!(self.stage.level(|counters| counters.chat_followers.read()), open, "those who follow");
    }

    /// What nobody waits for any more is over at once.
    pub(crate) fn check_left(&self) {
        for follower in self.followers.iter().filter(|follower| follower.stage != Stage::Waiting && follower.streamed) {
            let running = self.book.running(follower.session).is_some_and(|answer| answer.id == follower.answer);
            assert!(!running, "{} is given, and nobody waits for it", follower.answer);
        }
    }

    /// What becomes of a piece where a fault is planted. None: it is lost.
    pub(crate) fn spoil_piece(&mut self, letter: Letter) -> Option<Letter> {
        let is_piece = matches!(&letter, Letter::ChatTold { .. });
        if is_piece && self.strikes(Fault::LostPiece, 4) { None } else { Some(letter) }
    }
}

impl Follower {
    fn hears(&mut self, piece: &Told, book: &Book) -> Result<&'static str, String> {
        self.seen += 1;
        if self.stage == Stage::Over {
            return Err("it was told its last before".into());
        }
        if !self.streamed && !matches!(piece, Told::Waits(_) | Told::End { .. } | Told::Refused(_)) {
            return Err("it is told the end alone".into());
        }
        let answer = || book.with_words(&self.content).map(|message| book.answer_to(message));
        match piece {
            Told::Begin { message } => {
                let is_there = answer().is_some_and(|answer| answer.id == *message && *message == self.answer);
                if std::mem::replace(&mut self.has_begun, true) || !is_there {
                    return Err("it is not on disk, or begins twice".into());
                }
                Ok("followed answers")
            }
            Told::Delta(_) | Told::Call { .. } | Told::Result { .. } | Told::Asked { .. } if !self.has_begun => {
                Err("it has not begun".into())
            }
            Told::Delta(delta) => {
                self.text.push_str(delta);
                Ok("followed deltas")
            }
            Told::Call { .. } => Ok("followed calls"),
            Told::Result { result, .. } => {
                let result: serde_json::Value = serde_json::from_str(result).map_err(|_| "a result is JSON")?;
                let call = result["n"].as_u64().or(result["value"].as_u64());
                let leave = call.and_then(|call| book.leave_for(call)).map(|approval| approval.decision);
                let may = result.get("error").is_some() || matches!(leave, None | Some(Decision::Approved));
                if may { Ok("followed results") } else { Err(format!("{leave:?} was decided")) }
            }
            Told::Asked { approval } => match book.approvals.get(&approval.id) {
                Some(kept) if kept.created_at == approval.created_at && kept.call == approval.call => Ok("followed questions"),
                Some(_) | None => Err("it is not on disk".into()),
            },
            Told::Waits(message) => {
                self.stage = Stage::Over;
                let is_asked = book.approvals.values().any(|approval| approval.message == message.id);
                let is_right = !self.streamed && message.id == self.answer && is_asked;
                if is_right { Ok("answers that wait for leave") } else { Err("nobody is asked for leave".into()) }
            }
            Told::End { message, broken, .. } => {
                self.stage = Stage::Over;
                if book.messages.get(&self.answer) != Some(&**message) {
                    return Err(format!("on disk is {:?}", book.messages.get(&self.answer)));
                }
                if self.streamed && (*self.text != *message.content || !self.has_begun) {
                    return Err(format!("it was told {:?}", self.text));
                }
                let is_whole = message.completeness == Completeness::Whole;
                if is_whole == broken.is_none() { Ok("ends of requests") } else { Err("it is whole, or not".into()) }
            }
            Told::Refused(why) => {
                self.stage = Stage::Over;
                let is_begun = answer().is_some();
                match (why, is_begun) {
                    (Refused::Store(_), _) => Ok("requests refused by the store"),
                    (Refused::Crowded | Refused::NoSession | Refused::Ended | Refused::Stopping, false) => Ok("requests refused"),
                    (why, _) => Err(format!("{why:?}, and on disk is {:?}", answer())),
                }
            }
        }
    }
}
