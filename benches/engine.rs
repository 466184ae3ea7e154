//! Turns of a whole engine, without a socket: a publish to 1,000 members, a sign-in from the first byte to `connect_success`, an echo.

mod brisk;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use homeroom::{
    auth::{Algorithm, Authority, CallerKey, Claims, Issuer, Permissions, Rule, Secret, SessionKey, SigningKey, UserKey},
    engine::{
        Answer, Birth, Counters, Engine, Entrance, Letter, Limits, Listener, Output, Question, Rules, Since, SocketApi, Topic,
    },
    protocols::{chat, labs, presence, quiz, tasks},
    realtime::{ClassroomId, ConnId, Frame, HashRing, Moment, Now, ShardId, UnixMicros},
    websocket::frame,
};
use std::{hint::black_box, sync::Arc};

const CLASSROOM: ClassroomId = ClassroomId::from_u128(7);
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
const SWITCHING: &[u8] = b"HTTP/1.1 101";

/// One shard, and a shell and a store that do at once what they are asked.
struct World {
    engine: Engine,
    now: Now,
    out: Output,
    sessions: i64,
    /// What the last turns sent, for the benches to look at.
    sent_bytes: usize,
    signing: SigningKey,
}

impl World {
    fn new() -> World {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).expect("the kernel has randomness");
        let secret = Secret::new(bytes);
        let audiences = vec!["school".to_owned()];
        let issuer = Issuer { name: "issuer".into(), audiences, algorithm: Algorithm::HS256, key: secret.clone() };
        let sockets = vec![("/ws".to_owned(), SocketApi::Presence), ("/echo".to_owned(), SocketApi::Echo)];
        let rules = Rules {
            entrances: vec![Entrance { sockets }],
            authority: Authority::new([issuer]).expect("a key made here is good"),
            permissions: Permissions::new([("school".to_owned(), Rule::None)]),
            presence: presence::Settings { events: false, ..presence::Settings::default() },
            quiz_authority: Authority::new([]).expect("nobody signs"),
            quiz_session: SessionKey::new(&[7; 32]),
            quiz: quiz::Settings::default(),
            labs_users: UserKey::new(&secret).expect("32 bytes are enough"),
            labs_agents: None,
            labs: labs::Settings::default(),
            callers: CallerKey::new(&secret).expect("32 bytes are enough"),
            catalog: Arc::default(),
            chat: chat::Settings::default(),
            tasks: tasks::Settings::default(),
            workflows: Arc::default(),
            guests: None,
            show_shard: false,
        };
        let birth = Birth { id: ShardId(0), start: Moment(0), seed: 7 };
        let ring = Arc::new(HashRing::new(1));
        World {
            engine: Engine::new(birth, ring, Limits::default(), Arc::new(rules), Arc::new(Counters::default())),
            now: Now { moment: Moment(0), wall: UnixMicros(1_700_000_000_000_000) },
            out: Output::default(),
            sessions: 0,
            sent_bytes: 0,
            signing: SigningKey::new(Algorithm::HS256, &secret).expect("32 bytes are enough"),
        }
    }

    /// Turns until nothing moves. Every send is done at once.
    fn run(&mut self) {
        loop {
            self.engine.finish(self.now, &mut self.out);
            let mut moved = false;
            for send in self.out.sends.drain(..) {
                self.sent_bytes += black_box(send.segment.bytes()).len();
                self.engine.sent(send.conn, true, self.now);
                moved = true;
            }
            self.out.half_closes.clear();
            for conn in self.out.closes.drain(..) {
                self.engine.released(conn);
                moved = true;
            }
            for (to, letter) in std::mem::take(self.engine.letters()) {
                self.engine.letter(to, letter, self.now);
                moved = true;
            }
            for question in std::mem::take(self.engine.questions()) {
                if let Question::Enter { ticket, .. } = question {
                    self.sessions += 1;
                    self.engine.answer(Answer::Entered { ticket, result: Ok(self.sessions) }, self.now);
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn open(&mut self, upgrade: &[u8]) -> ConnId {
        let conn = self.engine.accepted(Listener(0), self.now).expect("there is room");
        self.hear(conn, upgrade);
        conn
    }

    fn hear(&mut self, conn: ConnId, bytes: &[u8]) {
        self.engine.received(conn, bytes, self.now);
        self.run();
    }

    fn sign_in_frame(&self, subject: &str) -> Vec<u8> {
        let claims = Claims { issuer: "issuer", audience: "school", subject, lifetime: None };
        let token = self.signing.issue(&claims, self.now.wall).expect("HMAC cannot fail");
        let payload = format!(r#"{{"agent_label":"web","classroom_id":"{CLASSROOM}","token":"{token}"}}"#);
        masked(0x81, format!(r#"{{"type":"connect_request","payload":{payload}}}"#).as_bytes())
    }
}

fn upgrade(path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// A client's frame.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0xFE);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().enumerate().map(|(place, byte)| byte ^ MASK[place % 4]));
    frame
}

fn publish(criterion: &mut Criterion) {
    let mut world = World::new();
    let head = upgrade("/ws");
    for member in 0..1_000 {
        let frame = world.sign_in_frame(&format!("student-{member}"));
        let conn = world.open(&head);
        world.hear(conn, &frame);
        world.hear(conn, &masked(0x8A, b""));
    }
    assert_eq!(world.engine.counters().presence_live.read(), 1_000, "everybody is in");
    let mut group = criterion.benchmark_group("engine");
    let frame: Frame = frame::text(&[b'x'; 256]);
    for frames in [1, 16] {
        group.throughput(Throughput::Elements(1_000 * frames));
        group.bench_function(format!("a turn with {frames} published to 1,000 members"), |bencher| {
            bencher.iter(|| {
                for _ in 0..frames {
                    world.engine.letter(
                        ShardId(0),
                        Letter::Publish {
                            topic: Topic::Classroom(CLASSROOM),
                            frame: frame.clone(),
                            members: 1,
                            since: Since::default(),
                        },
                        world.now,
                    );
                }
                world.run();
            });
        });
    }
    let before = world.engine.counters().delivered.read();
    let published = Letter::Publish { topic: Topic::Classroom(CLASSROOM), frame, members: 1, since: Since::default() };
    world.engine.letter(ShardId(0), published, world.now);
    world.run();
    assert_eq!(world.engine.counters().delivered.read() - before, 1_000, "each of them heard it");
    group.finish();
}

fn sign_in(criterion: &mut Criterion) {
    let mut world = World::new();
    let (head, close) = (upgrade("/ws"), masked(0x88, &1000_u16.to_be_bytes()));
    let requests: Vec<_> = (0..1_000).map(|student| world.sign_in_frame(&format!("student-{student}"))).collect();
    let mut next = 0;
    criterion.bench_function("engine: sign-in to connect_success, and close", |bencher| {
        bencher.iter(|| {
            next = (next + 1) % requests.len();
            let conn = world.open(&head);
            world.hear(conn, &requests[next]);
            world.hear(conn, &close);
            world.engine.ended(conn, world.now);
            world.run();
        });
    });
    let counters = world.engine.counters();
    assert_eq!((counters.presence_success.read() as i64, counters.presence_live.read()), (world.sessions, 0));
}

fn echo(criterion: &mut Criterion) {
    let mut world = World::new();
    let conn = world.open(&upgrade("/echo"));
    assert!(world.sent_bytes > SWITCHING.len(), "it was upgraded");
    let message = masked(0x82, &[b'm'; 256]);
    criterion.bench_function("engine: an echo of 256 bytes", |bencher| bencher.iter(|| world.hear(conn, black_box(&message))));
    let before = world.sent_bytes;
    world.hear(conn, &message);
    assert_eq!(world.sent_bytes - before, 260, "it came back");
}

criterion_group! { name = benches; config = brisk::brisk(); targets = publish, sign_in, echo }
criterion_main!(benches);
