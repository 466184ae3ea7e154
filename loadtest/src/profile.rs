//! A school day as it is written down: which parts there are, and what each phase asks of them. What is wrong in it is told with its file
//! and line, and with what is allowed.

use crate::{
    args::duration,
    tempo::{Leg, Tempo},
};
use serde::Deserialize;
use std::{fmt::Display, fs, ops::RangeInclusive, path::Path, time::Duration};
use toml::Spanned;

/// The longest phase, or time in one.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The profiles that come with the program.
const OWN: [(&str, &str); 2] =
    [("small", include_str!("../profiles/small.toml")), ("district", include_str!("../profiles/district.toml"))];
const PEOPLE: RangeInclusive<u32> = 1..=1_000_000;
const RATES: RangeInclusive<f64> = 0.0..=1_000_000.0;
/// A quiz has no more questions, and a session no more messages.
const MOST_QUESTIONS: u64 = 500;
const MOST_MESSAGES: u64 = 100;

/// A day.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Profile {
    /// The file's name, or that of one of the program's own.
    pub(crate) name: String,
    pub(crate) presence: Option<Presence>,
    pub(crate) quiz: Option<Quiz>,
    pub(crate) chat: Option<Chat>,
    pub(crate) tasks: Option<Tasks>,
    pub(crate) labs: Option<Labs>,
    pub(crate) ramp: Duration,
    pub(crate) steady: Duration,
    pub(crate) storm: Duration,
    pub(crate) drain: Duration,
}

/// Classrooms with events.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Presence {
    pub(crate) students: u32,
    pub(crate) classrooms: u32,
    pub(crate) bytes: u32,
    pub(crate) returns_within: Duration,
    pub(crate) publishes: Tempo,
}

/// Quizzes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Quiz {
    pub(crate) participants: u32,
    pub(crate) quizzes: u32,
    pub(crate) questions: u32,
    pub(crate) answers: Tempo,
}

/// Talks with an agent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Chat {
    pub(crate) sessions: u32,
    pub(crate) words: u32,
    pub(crate) pace: Duration,
    pub(crate) messages: u32,
    pub(crate) says: Tempo,
}

/// Tasks of agents.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Tasks {
    pub(crate) users: u32,
    pub(crate) sockets: u32,
    pub(crate) asks: Tempo,
}

/// Desktops that are watched.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Labs {
    pub(crate) agents: u32,
    pub(crate) sessions: u32,
    /// So many of them push what their screens show, so many bytes a second each; keys are pressed at the others.
    pub(crate) streams: u32,
    pub(crate) stream_bytes: u32,
    pub(crate) keys: Tempo,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    presence: Option<PresencePart>,
    quiz: Option<QuizPart>,
    chat: Option<ChatPart>,
    tasks: Option<TasksPart>,
    labs: Option<LabsPart>,
    ramp: Plain,
    steady: Working,
    storm: Storming,
    drain: Plain,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresencePart {
    students: Spanned<u32>,
    classrooms: Spanned<u32>,
    bytes: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuizPart {
    participants: Spanned<u32>,
    quizzes: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChatPart {
    sessions: Spanned<u32>,
    words: Spanned<u32>,
    pace: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TasksPart {
    users: Spanned<u32>,
    sockets: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LabsPart {
    agents: Spanned<u32>,
    sessions: Spanned<u32>,
    streams: Spanned<u32>,
    stream_bytes: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    lasting: Spanned<String>,
}

/// Rates are a second, over all of a part.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Working {
    lasting: Spanned<String>,
    publishes: Option<Spanned<f64>>,
    answers: Option<Spanned<f64>>,
    messages: Option<Spanned<f64>>,
    tasks: Option<Spanned<f64>>,
    keys: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Storming {
    lasting: Spanned<String>,
    returns_within: Option<Spanned<String>>,
    publishes: Option<Spanned<f64>>,
    answers: Option<Spanned<f64>>,
    messages: Option<Spanned<f64>>,
    tasks: Option<Spanned<f64>>,
    keys: Option<Spanned<f64>>,
}

/// The text of one of the program's own profiles.
///
/// # Errors
/// A sentence for the user: there is none of that name.
pub(crate) fn own(name: &str) -> Result<&'static str, String> {
    let names = OWN.map(|(name, _)| name).join(", ");
    let found = OWN.iter().find(|(own, _)| *own == name).map(|(_, text)| *text);
    found.ok_or_else(|| format!("there is no profile {name:?}: {names}, or a file"))
}

impl Profile {
    /// Reads a file, or one of the program's own profiles by its name.
    ///
    /// # Errors
    /// A sentence for the user.
    pub(crate) fn read(name: &str) -> Result<Profile, String> {
        if Path::new(name).exists() {
            let text = fs::read_to_string(name).map_err(|fault| format!("{name}: {fault}"))?;
            return Profile::parse(name, &text);
        }
        Profile::parse(name, own(name)?)
    }

    fn parse(name: &str, text: &str) -> Result<Profile, String> {
        let source = Source { name, text };
        let file: File = toml::from_str(text)
            .map_err(|fault| source.fault(fault.span().map_or(0, |span| span.start), &fault.message().replace('\n', " ")))?;
        let (steady, storm) = (source.time(&file.steady.lasting, "lasting")?, source.time(&file.storm.lasting, "lasting")?);
        let tempo = |of: Rates<'_>| source.tempo(of, [steady, storm]);
        let (presence, quiz, chat, tasks, labs) = (&file.presence, &file.quiz, &file.chat, &file.tasks, &file.labs);
        let [a, b] = [&file.steady.publishes, &file.storm.publishes];
        let publishes = tempo(Rates { what: "publishes", part: "presence", is_there: presence.is_some(), steady: a, storm: b })?;
        let [a, b] = [&file.steady.answers, &file.storm.answers];
        let answers = tempo(Rates { what: "answers", part: "quiz", is_there: quiz.is_some(), steady: a, storm: b })?;
        let [a, b] = [&file.steady.messages, &file.storm.messages];
        let says = tempo(Rates { what: "messages", part: "chat", is_there: chat.is_some(), steady: a, storm: b })?;
        let [a, b] = [&file.steady.tasks, &file.storm.tasks];
        let asks = tempo(Rates { what: "tasks", part: "tasks", is_there: tasks.is_some(), steady: a, storm: b })?;
        let [a, b] = [&file.steady.keys, &file.storm.keys];
        let keys = tempo(Rates { what: "keys", part: "labs", is_there: labs.is_some(), steady: a, storm: b })?;
        Ok(Profile {
            name: name.to_owned(),
            presence: presence
                .as_ref()
                .zip(publishes)
                .map(|(part, tempo)| source.presence(part, &file.storm, tempo))
                .transpose()?,
            quiz: quiz.as_ref().zip(answers).map(|(part, tempo)| source.quiz(part, tempo)).transpose()?,
            chat: chat.as_ref().zip(says).map(|(part, tempo)| source.chat(part, tempo)).transpose()?,
            tasks: tasks.as_ref().zip(asks).map(|(part, tempo)| source.tasks(part, tempo)).transpose()?,
            labs: labs.as_ref().zip(keys).map(|(part, tempo)| source.labs(part, tempo)).transpose()?,
            ramp: source.time(&file.ramp.lasting, "lasting")?,
            steady,
            storm,
            drain: source.time(&file.drain.lasting, "lasting")?,
        })
    }
}

/// A file that is read, for what is said of it.
struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

/// What both phases ask of a part.
struct Rates<'a> {
    what: &'a str,
    part: &'a str,
    is_there: bool,
    steady: &'a Option<Spanned<f64>>,
    storm: &'a Option<Spanned<f64>>,
}

impl Source<'_> {
    fn fault(&self, at: usize, what: &str) -> String {
        let line = self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        format!("{}:{line}: {what}", self.name)
    }

    fn allowed<T: Display + PartialOrd + Copy>(
        &self,
        value: &Spanned<T>,
        what: &str,
        allowed: RangeInclusive<T>,
    ) -> Result<T, String> {
        let (found, least, most) = (*value.get_ref(), allowed.start(), allowed.end());
        let fault = || self.fault(value.span().start, &format!("{what} = {found}: allowed is from {least} to {most}"));
        if allowed.contains(&found) { Ok(found) } else { Err(fault()) }
    }

    fn time(&self, value: &Spanned<String>, what: &str) -> Result<Duration, String> {
        let found = duration(value.get_ref()).ok().filter(|time| !time.is_zero() && *time <= LONGEST);
        let allowed = "allowed is a time above zero and of a day at most with its unit, such as \"500ms\", \"30s\" or \"2m\"";
        found.ok_or_else(|| self.fault(value.span().start, &format!("{what} = {:?}: {allowed}", value.get_ref())))
    }

    /// Rates of a part that is there, and none of one that is not.
    fn tempo(&self, rates: Rates<'_>, [steady, storm]: [Duration; 2]) -> Result<Option<Tempo>, String> {
        let Rates { what, part, is_there, .. } = rates;
        let given: Vec<&Spanned<f64>> = rates.steady.iter().chain(rates.storm).collect();
        if let Some(first) = given.first().filter(|_| !is_there) {
            return Err(self.fault(first.span().start, &format!("{what}: allowed only where there is a table [{part}]")));
        }
        let rate = |value: &Option<Spanned<f64>>| value.as_ref().map_or(Ok(0.0), |value| self.allowed(value, what, RATES));
        let tempo =
            Tempo::of(Leg { rate: rate(rates.steady)?, lasting: steady }, Leg { rate: rate(rates.storm)?, lasting: storm });
        if is_there && tempo.total() == 0 {
            let at = self.text.find(&format!("[{part}]")).unwrap_or(0);
            return Err(self.fault(at, &format!("[{part}] has nothing to do: give {what} in [steady] or [storm]")));
        }
        Ok(is_there.then_some(tempo))
    }

    fn presence(&self, part: &PresencePart, storm: &Storming, publishes: Tempo) -> Result<Presence, String> {
        let students = self.allowed(&part.students, "students", 2..=1_000_000)?;
        let lasting = self.time(&storm.lasting, "lasting")?;
        let returns_within = storm.returns_within.as_ref().map_or(Ok(lasting), |time| self.time(time, "returns_within"))?;
        if let Some(time) = storm.returns_within.as_ref().filter(|_| returns_within > lasting) {
            return Err(self.fault(time.span().start, "returns_within: allowed is up to `lasting` of [storm]"));
        }
        Ok(Presence {
            students,
            classrooms: self.allowed(&part.classrooms, "classrooms", 1..=students - 1)?,
            bytes: self.allowed(&part.bytes, "bytes", 128..=65_536)?,
            returns_within,
            publishes,
        })
    }

    fn quiz(&self, part: &QuizPart, answers: Tempo) -> Result<Quiz, String> {
        let participants = self.allowed(&part.participants, "participants", PEOPLE)?;
        let questions =
            self.each(answers, participants, MOST_QUESTIONS, &part.participants, "questions of each of participants")?;
        Ok(Quiz { participants, quizzes: self.allowed(&part.quizzes, "quizzes", 1..=participants)?, questions, answers })
    }

    fn chat(&self, part: &ChatPart, says: Tempo) -> Result<Chat, String> {
        let sessions = self.allowed(&part.sessions, "sessions", PEOPLE)?;
        let messages = self.each(says, sessions, MOST_MESSAGES, &part.sessions, "messages of each of sessions")?;
        let (words, pace) = (self.allowed(&part.words, "words", 2..=10_000)?, self.time(&part.pace, "pace")?);
        Ok(Chat { sessions, words, pace, messages, says })
    }

    fn tasks(&self, part: &TasksPart, asks: Tempo) -> Result<Tasks, String> {
        let sockets = self.allowed(&part.sockets, "sockets", 1..=crate::tasks::contract::SOCKETS_A_USER)?;
        Ok(Tasks { users: self.allowed(&part.users, "users", PEOPLE)?, sockets, asks })
    }

    fn labs(&self, part: &LabsPart, keys: Tempo) -> Result<Labs, String> {
        let sessions = self.allowed(&part.sessions, "sessions", PEOPLE)?;
        Ok(Labs {
            agents: self.allowed(&part.agents, "agents", 1..=sessions.min(10_000))?,
            sessions,
            streams: self.allowed(&part.streams, "streams", 0..=sessions - 1)?,
            stream_bytes: self.allowed(&part.stream_bytes, "stream_bytes", 1_024..=1_000_000_000)?,
            keys,
        })
    }

    /// How many operations of a tempo each has, at least one.
    fn each(&self, tempo: Tempo, all: u32, most: u64, at: &Spanned<u32>, what: &str) -> Result<u32, String> {
        let each = tempo.total().div_ceil(all.into()).max(1);
        let fault = || {
            self.fault(at.span().start, &format!("{each} {what} = {all}: allowed are up to {most}; lower rates, or more of them"))
        };
        if each <= most { Ok(each as u32) } else { Err(fault()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(from: &str, to: &str) -> String {
        let text = OWN[0].1;
        assert!(text.contains(from), "{from}");
        Profile::parse("day.toml", &text.replacen(from, to, 1)).unwrap_err()
    }

    #[test]
    fn the_programs_own_profiles_are_right_and_the_small_one_takes_two_minutes() {
        let all = OWN.map(|(name, _)| Profile::read(name).unwrap());
        assert!(all.iter().all(|day| day.presence.is_some() && day.quiz.is_some() && day.chat.is_some()));
        assert!(all.iter().all(|day| day.tasks.is_some() && day.labs.is_some()));
        let small = &all[0];
        assert_eq!((small.ramp + small.steady + small.storm + small.drain).as_secs(), 120);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_what_is_allowed() {
        let line = |of: &str| OWN[0].1.lines().position(|line| line.contains(of)).unwrap() + 1;
        let wrong = fault("students = ", "students = 0 # ");
        assert_eq!(wrong, format!("day.toml:{}: students = 0: allowed is from 2 to 1000000", line("students = ")));
        let wrong = fault("returns_within = ", "returns_within = \"9h\" # ");
        assert!(
            wrong.starts_with(&format!("day.toml:{}: ", line("returns_within = "))) && wrong.contains("\"500ms\""),
            "{wrong}"
        );
        let wrong = fault("classrooms = ", "rooms = ");
        assert!(wrong.contains("unknown field `rooms`, expected one of") && wrong.contains("`classrooms`"), "{wrong}");
        let wrong = fault("[tasks]", "[exams]");
        assert!(wrong.contains("unknown field `exams`"), "{wrong}");
        let wrong = fault("streams = ", "streams = 8 # ");
        assert!(wrong.contains("streams = 8: allowed is from 0 to 7"), "{wrong}");
        let wrong = fault("answers = ", "answers = 1e9 # ");
        assert!(wrong.contains("answers = 1000000000: allowed is from 0 to 1000000"), "{wrong}");
        assert!(Profile::read("no such profile").unwrap_err().contains("small, district"));
    }
}
