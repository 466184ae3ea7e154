//! Clients: what they say, in which pieces, and how they behave. They know no engine.

use crate::{
    dice::Dice,
    quiz::{clients::Talk, sockets::Bearer},
};
use homeroom::{
    auth::{Algorithm, Claims, Secret, SigningKey, UserKey},
    realtime::{ClassroomId, UnixMicros},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::OnceLock,
};

pub(crate) const SECRET: &[u8] = b"a secret of thirty-two bytes, or more";
pub(crate) const EPOCH: UnixMicros = UnixMicros(1_700_000_000_000_000);
pub(crate) const SUBJECTS: usize = 3;
const AUDIENCES: [&str; 3] = ["school", "asked", "closed"];
const LABELS: [&str; 2] = ["web", "app"];

/// Signs the tokens of users of labs.
pub(crate) fn user_key() -> UserKey {
    UserKey::new(&Secret::new(SECRET)).expect("the secret is long enough")
}

/// One agent in one room: what can exist once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Seat {
    pub(crate) room: ClassroomId,
    pub(crate) agent: String,
}

/// What a piece of a client's speech means once its last byte has arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Meaning {
    /// A good upgrade to presence, or to the echo.
    Upgrade {
        echo: bool,
    },
    /// A head for the socket of the quizzes, with this credential.
    Comes(Bearer),
    /// A message to it, which has so many answers.
    Wish(usize),
    /// Plain HTTP, or an upgrade to where nothing is.
    Http,
    /// A head that is refused.
    BadHead,
    /// A connect request with nothing wrong.
    Request(Seat),
    /// A first frame with something wrong.
    BadRequest,
    Ping,
    Pong,
    Close,
    /// What ends the connection: no mask, reserved bits, not UTF-8, too long.
    Broken,
    /// A message that says nothing: ignored, unless it is the first.
    Noise,
    /// A part of a message.
    Fragment,
}

/// A piece of speech: bytes and what they mean.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    bytes: Vec<u8>,
    meaning: Meaning,
}

/// One client. What it wants to say waits in `parts`.
#[derive(Debug)]
pub(crate) struct Client {
    parts: VecDeque<Part>,
    /// How much of the first part has been said.
    said: usize,
    /// What it talks about at the quizzes.
    talk: Option<Talk>,
    /// Whether it answers Pings.
    pub(crate) pongs: bool,
    /// Whether it ends its side when the server has ended its own.
    pub(crate) polite: bool,
    /// How often of a hundred a send to it stays in flight.
    pub(crate) stalls: usize,
    /// Whether it goes on talking when its script is over.
    pub(crate) chatty: bool,
    /// It has ended its side.
    pub(crate) ended: bool,
}

impl Client {
    /// Somebody: mostly a student who signs in, sometimes anything at all.
    pub(crate) fn random(dice: &mut Dice, rooms: &[ClassroomId]) -> Client {
        let mut parts = VecDeque::new();
        match dice.below(40) {
            0 => parts.push_back(part(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), Meaning::Http)),
            1 => parts.push_back(part(head("/nowhere", true), Meaning::Http)),
            2 => parts.push_back(part(head("/ws", false), Meaning::BadHead)),
            3 => parts.push_back(part(b"\x16\x03\x01 rubbish\r\n\r\n".to_vec(), Meaning::BadHead)),
            4 => {}
            5 => {
                parts.push_back(part(head("/echo", true), Meaning::Upgrade { echo: true }));
                (0..dice.below(4)).for_each(|_| parts.push_back(noise(dice)));
            }
            kind => {
                parts.push_back(part(head("/ws", true), Meaning::Upgrade { echo: false }));
                (0..dice.below(2)).for_each(|_| parts.push_back(part(masked(dice, 0x89, b"early"), Meaning::Ping)));
                match kind {
                    6 | 7 => parts.push_back(bad_request(dice, rooms)),
                    8 => {}
                    _ => parts.extend(request(dice, rooms)),
                }
            }
        }
        Client::new(dice, parts, None)
    }

    /// One with a script, and habits of its own.
    pub(crate) fn new(dice: &mut Dice, parts: impl IntoIterator<Item = Part>, talk: Option<Talk>) -> Client {
        let (lazy, rude) = (dice.percent(15), dice.percent(20));
        let stalls = if dice.percent(30) { dice.between(10, 98) } else { 3 };
        let (parts, chatty) = (parts.into_iter().collect(), dice.percent(30));
        Client { parts, said: 0, talk, pongs: !lazy, polite: !rude, stalls, chatty, ended: false }
    }

    /// Whether it has something to say.
    pub(crate) fn has_words(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Puts a Pong behind what it is about to say.
    pub(crate) fn pong(&mut self, dice: &mut Dice) {
        self.parts.push_back(part(masked(dice, 0x8A, b""), Meaning::Pong));
    }

    /// Thinks of something to say.
    pub(crate) fn invent(&mut self, dice: &mut Dice, rooms: &[ClassroomId]) {
        match dice.below(20) {
            0 => self.parts.push_back(part(masked(dice, 0x88, &[0x03, 0xE8]), Meaning::Close)),
            1 => self.parts.push_back(part(broken(dice), Meaning::Broken)),
            2..=5 => self.parts.push_back(part(masked(dice, 0x89, b"there?"), Meaning::Ping)),
            6 | 7 => self.parts.push_back(part(masked(dice, 0x8A, b"unasked"), Meaning::Pong)),
            8.. if let Some(talk) = &self.talk => self.parts.push_back(talk.word(dice)),
            8 => self.parts.extend(request(dice, rooms)),
            _ => self.parts.push_back(noise(dice)),
        }
    }

    /// The next bytes, in any pieces, and what they complete.
    pub(crate) fn speak(&mut self, dice: &mut Dice) -> (Vec<u8>, Vec<Meaning>) {
        let front = self.parts.front().map_or(0, |part| part.bytes.len() - self.said);
        let all = self.parts.iter().map(|part| part.bytes.len()).sum::<usize>() - self.said;
        match dice.below(10) {
            0..5 => self.say(front),
            5..7 => self.say(all),
            7 => self.say(dice.between(1, all.max(1)).min(all)),
            _ => self.say(dice.between(1, front.max(1)).min(front)),
        }
    }

    /// All that it wants to say.
    pub(crate) fn speak_all(&mut self) -> (Vec<u8>, Vec<Meaning>) {
        self.say(usize::MAX)
    }

    fn say(&mut self, limit: usize) -> (Vec<u8>, Vec<Meaning>) {
        let (mut bytes, mut meanings) = (Vec::new(), Vec::new());
        while let Some(part) = self.parts.front() {
            let rest = &part.bytes[self.said..];
            let taken = rest.len().min(limit - bytes.len());
            bytes.extend_from_slice(&rest[..taken]);
            if taken < rest.len() {
                self.said += taken;
                break;
            }
            self.said = 0;
            meanings.extend(self.parts.pop_front().map(|part| part.meaning));
        }
        (bytes, meanings)
    }
}

pub(crate) fn part(bytes: Vec<u8>, meaning: Meaning) -> Part {
    Part { bytes, meaning }
}

pub(crate) fn head(path: &str, good: bool) -> Vec<u8> {
    let key = if good { "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" } else { "" };
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{upgrade}{key}\r\n").into_bytes()
}

fn request(dice: &mut Dice, rooms: &[ClassroomId]) -> Vec<Part> {
    let audience = if dice.percent(15) { "asked" } else { "school" };
    let (room, label, subject) = (*dice.pick(rooms), *dice.pick(&LABELS), dice.below(SUBJECTS));
    let text = connect_request(label, room, token(audience, subject));
    let meaning = Meaning::Request(Seat { room, agent: format!("{label}.{}.{audience}", name(subject)) });
    if !dice.percent(15) {
        return vec![part(masked(dice, 0x81, text.as_bytes()), meaning)];
    }
    let (first, second) = text.as_bytes().split_at(dice.between(1, text.len() - 1));
    vec![
        part(masked(dice, 0x01, first), Meaning::Fragment),
        part(masked(dice, 0x89, b"within"), Meaning::Ping),
        part(masked(dice, 0x80, second), meaning),
    ]
}

fn bad_request(dice: &mut Dice, rooms: &[ClassroomId]) -> Part {
    let room = *dice.pick(rooms);
    let bytes = match dice.below(5) {
        0 => masked(dice, 0x82, b"binary"),
        1 => masked(dice, 0x81, b"rubbish"),
        2 => masked(dice, 0x81, connect_request("web", room, "no.to.ken").as_bytes()),
        3 => masked(dice, 0x81, connect_request("", room, token("school", 0)).as_bytes()),
        _ => masked(dice, 0x81, connect_request("web", room, token("closed", 0)).as_bytes()),
    };
    part(bytes, Meaning::BadRequest)
}

fn noise(dice: &mut Dice) -> Part {
    let payload = vec![b'n'; dice.below(200)];
    let opcode = if dice.percent(50) { 0x81 } else { 0x82 };
    part(masked(dice, opcode, &payload), Meaning::Noise)
}

fn broken(dice: &mut Dice) -> Vec<u8> {
    match dice.below(4) {
        0 => vec![0x81, 0x01, b'x'],
        1 => masked(dice, 0xF1, b"reserved"),
        2 => masked(dice, 0x81, b"\xFF\xFE"),
        _ => vec![0x82, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    }
}

/// A frame from a client: the first byte as given, masked.
pub(crate) fn masked(dice: &mut Dice, first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = (dice.number() as u32).to_be_bytes();
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

pub(crate) fn connect_request(label: &str, room: ClassroomId, token: &str) -> String {
    format!(r#"{{"type":"connect_request","payload":{{"agent_label":"{label}","classroom_id":"{room}","token":"{token}"}}}}"#)
}

fn name(subject: usize) -> String {
    format!("u{subject}")
}

/// Every agent that may sign in.
pub(crate) fn agents() -> Vec<String> {
    let each = |audience| LABELS.into_iter().flat_map(move |l| (0..SUBJECTS).map(move |s| format!("{l}.{}.{audience}", name(s))));
    ["school", "asked"].into_iter().flat_map(each).collect()
}

pub(crate) fn token(audience: &'static str, subject: usize) -> &'static str {
    static TOKENS: OnceLock<BTreeMap<(&'static str, usize), String>> = OnceLock::new();
    let tokens = TOKENS.get_or_init(|| {
        let key = SigningKey::new(Algorithm::HS256, &Secret::new(SECRET)).expect("the secret is long enough");
        let issue = |audience, subject| {
            let claims = Claims { issuer: "issuer", audience, subject: &name(subject), lifetime: None };
            key.issue(&claims, EPOCH).expect("a key that signs")
        };
        AUDIENCES.into_iter().flat_map(|a| (0..SUBJECTS).map(move |s| (a, s))).map(|(a, s)| ((a, s), issue(a, s))).collect()
    });
    &tokens[&(audience, subject)]
}
