//! Two ends and a bus that loses, doubles, delays and mixes up, with a clock of its own; and what must hold after each step.

use super::*;

/// A seeded die: the same seed throws the same numbers everywhere.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.number() % end.max(1) as u64) as usize
    }

    pub(super) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

/// What is planted, to show that the checks find it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// An end that is made again has the number of the one before.
    SameNumber,
    /// Packets of an older pair are taken for ones of the newest.
    Relabelled,
    /// An end breaks and nobody there is told.
    SwallowedBroke,
    /// More is acknowledged than has come.
    HastyAcknowledgement,
    /// Two packets change their places in the stream.
    Renumbered,
    /// What was delivered is delivered again.
    DoubledDelivery,
    /// Time stands still for one end.
    StoppedClock,
    /// An end does not hear that the bus is back.
    MissedReturn,
}

impl Fault {
    pub(super) const ALL: [Fault; 8] = [
        Fault::SameNumber,
        Fault::Relabelled,
        Fault::SwallowedBroke,
        Fault::HastyAcknowledgement,
        Fault::Renumbered,
        Fault::DoubledDelivery,
        Fault::StoppedClock,
        Fault::MissedReturn,
    ];
}

/// What the bus does to packets, in percent, and how long they take at most.
struct Weather {
    loses: usize,
    doubles: usize,
    delay_micros: usize,
}

/// One end, and what it is held against.
struct End {
    link: Link,
    made: u32,
    /// How often it was told that the link broke, or was made again.
    era: usize,
    /// The era in which each letter was sent, by the letter's number.
    sent: Vec<usize>,
    /// The last letter that came, and in which era of ours that was.
    heard: Option<(usize, usize)>,
    /// Whether the other end has broken or was made again, and this one has not heard of it.
    owed_a_break: bool,
    bus: bool,
}

pub(super) struct World {
    dice: Dice,
    fault: Option<Fault>,
    ends: [End; 2],
    on_bus: Vec<(Moment, usize, Packet)>,
    weather: Weather,
    /// Whether nothing reaches that end.
    cut: [bool; 2],
    now: Moment,
}

const NODES: [Node; 2] = [A, B];

impl World {
    pub(super) fn new(seed: u64, fault: Option<Fault>) -> World {
        let mut dice = Dice(seed);
        let now = Moment(1_000_000);
        let end = |me: usize| End {
            link: Link::new(NODES[me], NODES[1 - me], 1, SMALL, now),
            made: 1,
            era: 0,
            sent: Vec::new(),
            heard: None,
            owed_a_break: false,
            bus: true,
        };
        let weather = Weather {
            loses: [0, 1, 10, 40][dice.below(4)],
            doubles: [0, 1, 20][dice.below(3)],
            delay_micros: [1, 1_000, 400_000][dice.below(3)],
        };
        World { dice, fault, ends: [end(0), end(1)], on_bus: Vec::new(), weather, cut: [false; 2], now }
    }

    /// Something happens; `Err` says what does not hold after it.
    pub(super) fn step(&mut self) -> Result<(), String> {
        let end = self.dice.below(2);
        match self.dice.below(100) {
            0..40 => self.send(end)?,
            40..80 => self.go_on(self.now)?,
            80..92 => {
                let until = self.now + MILLI * self.dice.below(700) as u32;
                self.go_on(until)?;
            }
            92..94 => self.cut[end] = !self.cut[end],
            94..97 => self.turn_bus(end, !self.ends[end].bus)?,
            97 if self.dice.percent(30) => self.at(end, |link, now, out| link.break_off(now, out))?,
            98 if self.dice.percent(30) => self.make_again(end),
            _ => {
                for _ in 0..self.dice.below(40) {
                    self.send(end)?;
                }
            }
        }
        self.check()
    }

    /// All faults are over: what was sent since the last break must come, and then there is rest.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        self.weather = Weather { loses: 0, doubles: 0, delay_micros: 1_000 };
        self.cut = [false; 2];
        for end in 0..2 {
            self.turn_bus(end, true)?;
            self.send(end)?;
        }
        self.go_on(self.now + Duration::from_secs(20))?;
        self.check()?;
        for end in 0..2 {
            let (here, there) = (&self.ends[end], &self.ends[1 - end]);
            let (last, heard) = (here.sent.len() - 1, there.heard.map(|(letter, _)| letter));
            if here.sent[last] == here.era && heard != Some(last) {
                return Err(format!("{end} sent {last}, and {heard:?} is the last that came"));
            }
            if here.owed_a_break {
                return Err(format!("{end} was never told that the link broke"));
            }
            if here.link.held_bytes() > 0 || here.link.deadline().is_some() {
                return Err(format!("{end} does not come to rest"));
            }
        }
        Ok(())
    }

    fn send(&mut self, end: usize) -> Result<(), String> {
        let letter = self.ends[end].sent.len();
        let era = self.ends[end].era;
        self.ends[end].sent.push(era);
        self.at(end, |link, now, out| link.send(body_of(letter), now, out))
    }

    fn turn_bus(&mut self, end: usize, there: bool) -> Result<(), String> {
        self.ends[end].bus = there;
        if there && self.fault == Some(Fault::MissedReturn) && self.dice.percent(30) {
            return Ok(());
        }
        self.at(end, |link, now, out| link.bus(there, now, out))
    }

    /// The end forgets everything. Whoever did that knows of it.
    fn make_again(&mut self, end: usize) {
        let here = &mut self.ends[end];
        here.made += u32::from(self.fault != Some(Fault::SameNumber));
        here.link = Link::new(NODES[end], NODES[1 - end], here.made, SMALL, self.now);
        here.bus = true;
        here.era += 1;
        here.owed_a_break = false;
        // One that had not met it before has lost nothing.
        self.ends[1 - end].owed_a_break = self.ends[1 - end].link.theirs != 0;
    }

    /// Packets arrive and ends are ticked, in order of time, until then.
    fn go_on(&mut self, until: Moment) -> Result<(), String> {
        for _ in 0..20_000 {
            let arrives = self.on_bus.iter().enumerate().min_by_key(|(place, (at, ..))| (*at, *place));
            let arrives = arrives.map(|(place, (at, ..))| (*at, place));
            let stands = |end: usize| end == 1 && self.fault == Some(Fault::StoppedClock);
            let ticks = (0..2).filter(|end| !stands(*end)).filter_map(|end| Some((self.ends[end].link.deadline()?, end))).min();
            let is_packet = arrives.is_some_and(|(at, _)| ticks.is_none_or(|(tick, _)| at <= tick));
            let Some((at, which)) = (if is_packet { arrives } else { ticks }).filter(|(at, _)| *at <= until) else {
                self.now = until;
                return Ok(());
            };
            self.now = at.max(self.now);
            if is_packet {
                let (_, to, packet) = self.on_bus.remove(which);
                self.arrive(to, packet)?;
            } else {
                self.at(which, |link, now, out| link.tick(now, out))?;
            }
        }
        Err("there is no end of packets and ticks".into())
    }

    fn arrive(&mut self, to: usize, mut packet: Packet) -> Result<(), String> {
        if self.cut[to] || !self.ends[to].bus {
            return Ok(());
        }
        match self.fault {
            Some(Fault::Relabelled) => {
                packet.header.incarnation = self.ends[1 - to].link.mine;
                packet.header.known = self.ends[to].link.mine;
            }
            Some(Fault::HastyAcknowledgement) if self.dice.percent(5) => packet.header.acknowledged += 1,
            Some(Fault::Renumbered) if packet.header.sequence > 1 && self.dice.percent(5) => packet.header.sequence -= 1,
            _ => {}
        }
        self.at(to, |link, now, out| link.receive(packet, now, out))
    }

    fn at(&mut self, end: usize, act: impl FnOnce(&mut Link, Moment, &mut Vec<Effect>)) -> Result<(), String> {
        let mut out = Vec::new();
        act(&mut self.ends[end].link, self.now, &mut out);
        out.into_iter().try_for_each(|effect| self.effect(end, effect))
    }

    fn effect(&mut self, end: usize, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Send(packet) => self.post(end, packet),
            Effect::Broke { why, .. } => {
                match why {
                    Why::Reborn => self.ends[end].owed_a_break = false,
                    Why::Full | Why::Asked => self.ends[1 - end].owed_a_break = true,
                    Why::TooLarge | Why::Nonsense => return Err(format!("{end} broke for {why:?}")),
                }
                self.ends[end].era += usize::from(self.fault != Some(Fault::SwallowedBroke));
            }
            Effect::Deliver { body, .. } => {
                self.deliver(end, &body)?;
                if self.fault == Some(Fault::DoubledDelivery) && self.dice.percent(2) {
                    self.deliver(end, &body)?;
                }
            }
        }
        Ok(())
    }

    fn post(&mut self, from: usize, packet: Packet) {
        let copies = 1 + usize::from(self.dice.percent(self.weather.doubles));
        for _ in 0..copies {
            let delay = Duration::from_micros(self.dice.below(self.weather.delay_micros) as u64);
            if !self.dice.percent(self.weather.loses) && self.ends[from].bus {
                self.on_bus.push((self.now + delay, 1 - from, packet.clone()));
            }
        }
    }

    /// In each of its eras an end hears one era of the other, from its beginning, without a gap.
    fn deliver(&mut self, to: usize, body: &[u8]) -> Result<(), String> {
        let (here, there) = (&self.ends[to], &self.ends[1 - to]);
        let letter = number_of(body)?;
        let Some(era) = there.sent.get(letter) else { return Err(format!("{letter} was never sent")) };
        let is_first = letter == 0 || there.sent[letter - 1] < *era;
        let follows = match here.heard {
            Some((last, _)) if last >= letter => false,
            Some((last, at)) if at == here.era => last + 1 == letter && there.sent[last] == *era,
            _ => is_first,
        };
        if !follows {
            return Err(format!("{to} heard {letter} of era {era} after {:?} in its era {}", here.heard, here.era));
        }
        self.ends[to].heard = Some((letter, self.ends[to].era));
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let most = SMALL.held_bytes + SMALL.letter_bytes;
        match self.ends.iter().position(|end| end.link.held_bytes() > most) {
            Some(end) => Err(format!("{end} holds {} bytes", self.ends[end].link.held_bytes())),
            None => Ok(()),
        }
    }
}

/// The letter with that number: every eleventh takes several packets.
fn body_of(letter: usize) -> Bytes {
    let length = if letter.is_multiple_of(11) { 250 + letter % 600 } else { letter % 60 };
    let mut body = format!("{letter:08}").into_bytes();
    body.extend((0..length).map(|place| (letter + place) as u8));
    body.into()
}

fn number_of(body: &[u8]) -> Result<usize, String> {
    let number = body.get(..8).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| digits.parse().ok());
    match number {
        Some(letter) if body_of(letter) == body => Ok(letter),
        _ => Err("a letter is damaged".into()),
    }
}
