//! The parts of a day, each set up as its own scenario is: by that scenario's command line and its orders.

use crate::{
    args::{self, Cli, Command, Gathering, Mixed, Site},
    chat,
    crew::letters::Task,
    lab::order::Keys,
    order::{Break, Pace, Returns, Storm},
    profile::{self, Profile},
    quiz::order::{Holds, Pace as QuizPace},
    scenario::{
        Stop,
        crowd::{self, Doing},
        desktops::{Desktops, sign_in},
        papers, reconnect, target_of,
    },
    tasks::plan::Plan as TaskPlan,
    wire::http::Target,
};
use clap::Parser;
use std::{ops::Range, path::Path, time::Duration};

/// Everybody has come in this part of the ramp: the rest of it is for those who are late.
const COMING: f64 = 0.8;
/// Everybody has been told to go in this part of the drain.
const GOING: f64 = 0.5;

/// What a lane of the day does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Presence,
    Quiz,
    Chat,
    Tasks,
    Labs,
}

/// Labs as they were asked for, and by whom.
pub(super) struct Labs {
    pub(super) args: args::Lab,
    target: Target,
    token: String,
}

impl Labs {
    /// Who makes the sessions.
    pub(super) fn desktops(&self) -> Desktops<'_> {
        Desktops::new(&self.args, &self.target, self.token.clone())
    }
}

/// Chat as it was planned.
pub(super) struct Chat {
    pub(super) plan: chat::order::Plan,
    /// Answers that are read back.
    pub(super) sampled: u64,
}

/// What was asked of each part, and what its workers are to do.
pub(super) struct Parts {
    pub(super) presence: Option<args::Reconnect>,
    pub(super) quiz: Option<args::Quiz>,
    pub(super) chat: Option<Chat>,
    pub(super) tasks: Option<(args::Tasks, TaskPlan)>,
    pub(super) labs: Option<Labs>,
    lanes: Vec<(Part, Vec<Task>)>,
}

/// What all command lines have in common.
struct Line(Vec<String>);

impl Line {
    fn of(scenario: &str, url: &str, key: &Path) -> Line {
        Line(["homeroom-load", scenario, "--url", url, "--key"].map(str::to_owned).to_vec()).and(key.display())
    }

    fn and(mut self, word: impl ToString) -> Line {
        self.0.push(word.to_string());
        self
    }

    fn with(self, option: &str, value: impl ToString) -> Line {
        self.and(option).and(value)
    }

    fn signed(self, args: &Mixed) -> Line {
        self.with("--issuer", &args.issuer).with("--aud", &args.aud)
    }

    fn lasting(self, option: &str, time: Duration) -> Line {
        self.with(option, format!("{}ms", time.as_millis().max(1)))
    }

    fn parse(self) -> Result<Command, Stop> {
        Cli::try_parse_from(self.0).map(|cli| cli.command).map_err(|fault| Stop::Usage(fault.to_string()))
    }
}

/// A scenario's arguments, which the profile has filled in.
fn unlike<T>(_: Command) -> Result<T, Stop> {
    Err(Stop::Usage("a part of the day is not what it was parsed as".to_owned()))
}

impl Parts {
    /// Reads keys, makes tokens, sets quizzes and sessions up. Classrooms go first: whoever joins from another host is given the first
    /// orders, and so has members of classrooms, who are most of all connections.
    ///
    /// # Errors
    /// What was asked cannot be done, or the server refuses to have it set up.
    pub(super) fn of(args: &Mixed, day: &Profile) -> Result<Parts, Stop> {
        let mut parts = Parts { presence: None, quiz: None, chat: None, tasks: None, labs: None, lanes: Vec::new() };
        if let Some(presence) = day.presence {
            parts.add_presence(args, day, presence)?;
        }
        if let Some(quiz) = day.quiz {
            parts.add_quiz(args, day, quiz)?;
        }
        if let Some(chat) = day.chat {
            parts.add_chat(args, day, chat)?;
        }
        if let Some(tasks) = day.tasks {
            parts.add_tasks(args, day, tasks)?;
        }
        if let Some(labs) = day.labs {
            parts.add_labs(args, day, labs)?;
        }
        Ok(parts)
    }

    /// What all workers are to do, and which of them belong to which part.
    pub(super) fn take_tasks(&mut self) -> (Vec<Task>, Vec<(Part, Range<usize>)>) {
        let (mut all, mut lanes) = (Vec::new(), Vec::new());
        for (part, tasks) in std::mem::take(&mut self.lanes) {
            lanes.push((part, all.len()..all.len() + tasks.len()));
            all.extend(tasks);
        }
        (all, lanes)
    }

    fn add_presence(&mut self, args: &Mixed, day: &Profile, part: profile::Presence) -> Result<(), Stop> {
        let line = Line::of("reconnect", &args.presence_url, &args.presence_key).signed(args);
        let rate = f64::from(part.students) / (day.ramp.as_secs_f64() * COMING);
        let line = line.with("--students", part.students).with("--classrooms", part.classrooms).with("--bytes", part.bytes);
        let mut own = match line.with("--rate", rate).lasting("--within", part.returns_within).parse()? {
            Command::Reconnect(own) => own,
            other => return unlike(other),
        };
        own.crowd.site = args.site.clone();
        let mut publishing = reconnect::publisher(&own.crowd, own.publish_rate, part.bytes)?;
        publishing.pace = Pace::Rate(part.publishes);
        let storm = Storm { within: part.returns_within, returns: Returns::Even, breaks: Break::Close, stay: own.stay };
        let leave_within = Some(day.drain.mul_f64(GOING));
        let doing = Doing { publishing: Some(publishing), storm: Some(storm), leave_within, ..Doing::default() };
        let orders = crowd::orders(&own.crowd, &target_of(&args.site, &args.presence_url, "ws")?, &doing)?;
        self.lanes.push((Part::Presence, orders.into_iter().map(Task::Classrooms).collect()));
        self.presence = Some(own);
        Ok(())
    }

    fn add_quiz(&mut self, args: &Mixed, day: &Profile, part: profile::Quiz) -> Result<(), Stop> {
        let line = Line::of("quiz", &args.quiz_url, &args.quiz_key).signed(args).with("--questions", part.questions);
        let rate = f64::from(part.participants) / (day.ramp.as_secs_f64() * COMING * 0.5);
        let line = line.with("--participants", part.participants).with("--quizzes", part.quizzes).with("--start-rate", rate);
        let mut own = match line.with("--answer-rate", 1).parse()? {
            Command::Quiz(own) => own,
            other => return unlike(other),
        };
        own.sitting.site = site_of(args, own.sitting.quizzes);
        let plan = papers::Plan {
            pace: QuizPace::Rate(part.answers),
            correct: own.correct,
            holds: Holds::Line,
            screens: own.screens,
            channels: own.watch.clone(),
            sample: own.sample,
        };
        let orders = papers::orders(&own.sitting, &target_of(&args.site, &args.quiz_url, "ws")?, &plan)?;
        self.lanes.push((Part::Quiz, orders.into_iter().map(Task::Quizzes).collect()));
        self.quiz = Some(own);
        Ok(())
    }

    fn add_chat(&mut self, args: &Mixed, day: &Profile, part: profile::Chat) -> Result<(), Stop> {
        let every = (day.steady + day.storm) / part.messages.max(1);
        let mut line =
            Line::of("chat", &args.chat_url, &args.chat_key).with("--sessions", part.sessions).with("--words", part.words);
        line = line.with("--messages", part.messages).lasting("--pace", part.pace).lasting("--every", every);
        if let Some(listen) = args.model_listen {
            line = line.with("--model-listen", listen);
        }
        if let Some(agent) = &args.chat_agent {
            line = line.with("--agent", agent);
        }
        let mut own = match line.parse()? {
            Command::Chat(own) => own,
            other => return unlike(other),
        };
        own.site = site_of(args, part.sessions);
        let plan = chat::order::Plan { tempo: Some(part.says), ..super::super::chat::plan(&own)? };
        let (tasks, sampled) = super::super::chat::tasks(&own, &target_of(&args.site, &args.chat_url, "http")?, plan)?;
        self.lanes.push((Part::Chat, tasks));
        self.chat = Some(Chat { plan, sampled: sampled * u64::from(plan.messages) });
        Ok(())
    }

    fn add_tasks(&mut self, args: &Mixed, day: &Profile, part: profile::Tasks) -> Result<(), Stop> {
        let line = Line::of("tasks", &args.tasks_url, &args.tasks_key).signed(args).with("--users", part.users);
        let mut line = line.with("--sockets", part.sockets).lasting("--for", day.steady + day.storm);
        if let Some(model) = args.tasks_model.as_deref().or(args.model_listen.map(|_| "builtin")) {
            line = line.with("--model", model);
        }
        let mut own = match line.parse()? {
            Command::Tasks(own) => own,
            other => return unlike(other),
        };
        own.site = site_of(args, part.users);
        let plan = super::super::tasks::plan(&own, Some(part.asks))?;
        let orders = super::super::tasks::orders(&own, &target_of(&args.site, &args.tasks_url, "ws")?, plan)?;
        self.lanes.push((Part::Tasks, orders.into_iter().map(Task::Tasks).collect()));
        self.tasks = Some((own, plan));
        Ok(())
    }

    fn add_labs(&mut self, args: &Mixed, day: &Profile, part: profile::Labs) -> Result<(), Stop> {
        let Some(password) = &args.labs_password else {
            return Err(Stop::Usage(
                "the day has labs: give --labs-password, or take [labs] and keys out of the profile".to_owned(),
            ));
        };
        let line = Line(["homeroom-load", "lab", "--url", &args.labs_url].map(str::to_owned).to_vec());
        let line =
            line.with("--user", &args.labs_user).with("--password", password.display()).with("--template", &args.labs_template);
        let line = line.with("--agents", part.agents).with("--sessions", part.sessions).with("--bulk", part.streams);
        let line = line.with("--bulk-rate", part.stream_bytes).with("--typists", part.sessions - part.streams);
        let mut own = match line.lasting("--for", day.steady + day.storm).parse()? {
            Command::Lab(own) => own,
            other => return unlike(other),
        };
        own.site = site_of(args, part.agents);
        let target = target_of(&args.site, &args.labs_url, "http")?;
        let token = sign_in(&own, &target)?;
        let keys = Keys { tempo: part.keys, count: part.keys.total() };
        let orders = super::super::lab::orders(&own, &target, &token, keys)?;
        self.lanes.push((Part::Labs, orders.into_iter().map(Task::Labs).collect()));
        self.labs = Some(Labs { args: own, target, token });
        Ok(())
    }
}

/// The run's site for a part that has no more workers than it can share its people among, all of them on this host.
fn site_of(args: &Mixed, most: u32) -> Site {
    let gathering = Gathering { listen: None, expect_workers: None, ..args.site.gathering.clone() };
    Site { workers: args.site.workers.map(|workers| workers.min(most)), gathering, ..args.site.clone() }
}
