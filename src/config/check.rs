//! What no key alone can tell: relations between settings, and what works but is odd.

use super::{
    DEFAULT_AGENTS, Settings, WorkflowSetting, cluster,
    issuer::{EMBEDDED_AUDIENCE, Issuer},
    limits, places, traces,
};
use crate::{
    models::{BUILTIN_MODEL, HOME_TOOLS},
    protocols::labs::{given, idle},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Something about one or more keys.
#[derive(Debug)]
pub(super) struct Found {
    /// The keys it is about: never empty.
    pub(super) keys: Vec<&'static str>,
    /// Which item of the first of them, where that is a list.
    pub(super) item: Option<usize>,
    pub(super) message: String,
}

/// All that was found.
#[derive(Default, Debug)]
pub(super) struct Findings {
    pub(super) faults: Vec<Found>,
    pub(super) warnings: Vec<Found>,
}

impl Findings {
    pub(super) fn fault(&mut self, keys: &[&'static str], message: impl Into<String>) {
        self.faults.push(Found { keys: keys.to_vec(), item: None, message: message.into() });
    }

    /// About an item of the first of the keys, a list; counted from 0.
    fn fault_in(&mut self, keys: &[&'static str], item: usize, message: impl Into<String>) {
        self.faults.push(Found { keys: keys.to_vec(), item: Some(item), message: message.into() });
    }

    pub(super) fn warning(&mut self, keys: &[&'static str], message: impl Into<String>) {
        self.warnings.push(Found { keys: keys.to_vec(), item: None, message: message.into() });
    }
}

/// Looks at everything.
pub(super) fn check(settings: &Settings) -> Findings {
    let mut findings = Findings::default();
    times(settings, &mut findings);
    sizes(settings, &mut findings);
    labs(settings, &mut findings);
    chat(settings, &mut findings);
    agents(settings, &mut findings);
    tasks(settings, &mut findings);
    workflows(settings, &mut findings);
    cluster::check(settings, &mut findings);
    places::check(settings, &mut findings);
    limits::check(settings, &mut findings);
    traces::check(settings, &mut findings);
    audiences(settings, &mut findings);
    owners(&settings.quiz.issuers, &mut findings);
    if settings.test.endpoints {
        findings.warning(&["test.endpoints"], "test endpoints are served: never do this in production");
    }
    findings
}

/// Longer than this is a slip of the unit, and beyond what the timers are made for.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// A shard's own timer does not turn faster.
pub(super) const SHORTEST: Duration = Duration::from_millis(10);

fn times(settings: &Settings, findings: &mut Findings) {
    let Settings { stop, store, websocket, presence, quiz, labs, chat, tasks, reload, .. } = settings;
    let bounded = [
        ("store.acquire_timeout", store.acquire_timeout),
        ("store.connect_timeout", store.connect_timeout),
        ("store.statement_timeout", store.statement_timeout),
        ("websocket.handshake_timeout", websocket.handshake_timeout),
        ("websocket.close_timeout", websocket.close_timeout),
        ("presence.auth_timeout", presence.auth_timeout),
        ("presence.ping_interval", presence.ping_interval),
        ("presence.pong_timeout", presence.pong_timeout),
        ("presence.coalesce_tick", presence.coalesce_tick),
        ("quiz.ping_interval", quiz.ping_interval),
        ("quiz.pong_timeout", quiz.pong_timeout),
        ("quiz.snapshot_interval", quiz.snapshot_interval),
        ("quiz.goodbye", quiz.goodbye),
        ("quiz.idle", quiz.idle),
        ("labs.heartbeat_interval", labs.heartbeat_interval),
        ("labs.register_timeout", labs.register_timeout),
        ("labs.command_wait", labs.command_wait),
        ("labs.logs_wait", labs.logs_wait),
        ("labs.follow_interval", labs.follow_interval),
        ("labs.command_timeout", labs.command_timeout),
        ("labs.stop_retry", labs.stop_retry),
        ("labs.ping_interval", labs.ping_interval),
        ("labs.pong_timeout", labs.pong_timeout),
        ("labs.activity_interval", labs.activity_interval),
        ("chat.auth_timeout", chat.auth_timeout),
        ("chat.session_expiry", chat.session_expiry),
        ("chat.approval_expiry", chat.approval_expiry),
        ("chat.stream_comment", chat.stream_comment),
        ("chat.ping_interval", chat.ping_interval),
        ("chat.pong_timeout", chat.pong_timeout),
        ("tasks.ping_interval", tasks.ping_interval),
        ("tasks.inactivity_timeout", tasks.inactivity_timeout),
        ("tasks.status_interval", tasks.status_interval),
        ("tasks.progress_interval", tasks.progress_interval),
        ("reload.jwks_interval", reload.jwks_interval),
        ("reload.jwks_pause", reload.jwks_pause),
        ("reload.jwks_timeout", reload.jwks_timeout),
    ];
    for (key, time) in bounded {
        if !(SHORTEST..=LONGEST).contains(&time) {
            findings.fault(&[key], "expected a duration from 10ms to 24h");
        }
    }
    if reload.jwks_interval < reload.jwks_pause {
        findings.fault(&["reload.jwks_interval", "reload.jwks_pause"], "expected jwks_interval to be no shorter than jwks_pause");
    }
    if !(SHORTEST..=idle::LONGEST).contains(&labs.forget_agents_after) {
        findings.fault(&["labs.forget_agents_after"], "expected a duration from 10ms to 8784h");
    }
    for (key, time) in [("stop.drain", stop.drain), ("quiz.flags_after_end", quiz.flags_after_end)] {
        if time > LONGEST {
            findings.fault(&[key], "expected a duration of at most 24h");
        }
    }
    if !(Duration::from_secs(1)..=LONGEST).contains(&store.lease) {
        findings.fault(&["store.lease"], "expected a duration from 1s to 24h");
    }
    if presence.pong_timeout >= presence.ping_interval {
        findings.fault(
            &["presence.pong_timeout", "presence.ping_interval"],
            "expected pong_timeout to be shorter than ping_interval",
        );
    }
}

/// A row of a snapshot is never longer: an alias of 100 characters, each escaped, beside some 350 bytes of ids, numbers and names.
const ROW_BYTES: usize = 1024;

fn sizes(settings: &Settings, findings: &mut Findings) {
    let Settings { store, websocket, presence, quiz, .. } = settings;
    for (key, number) in [("store.queue", store.queue), ("store.readers", store.readers)] {
        if number == 0 {
            findings.fault(&[key], "expected at least 1");
        }
    }
    if !(1024..=(16 << 20)).contains(&websocket.max_message.bytes()) {
        findings.fault(&["websocket.max_message"], "expected a size from 1KiB to 16MiB");
    }
    if websocket.outbox < websocket.max_message {
        findings
            .fault(&["websocket.outbox", "websocket.max_message"], "expected outbox to hold at least one message of max_message");
    }
    if !(1..websocket.max_message.bytes()).contains(&presence.max_label.bytes()) {
        findings.fault(
            &["presence.max_label", "websocket.max_message"],
            "expected max_label to be at least 1B and less than websocket.max_message",
        );
    }
    if quiz.snapshot_rows == 0 {
        findings.fault(&["quiz.snapshot_rows"], "expected at least 1");
    }
    if quiz.max_running == 0 {
        findings.fault(&["quiz.max_running"], "expected at least 1");
    }
    if quiz.snapshot_rows > quiz.outbox.bytes() / ROW_BYTES {
        findings.warning(
            &["quiz.snapshot_rows", "quiz.outbox"],
            "outbox may be smaller than a snapshot of so many rows (1KiB each at most), and then closes who listens to it",
        );
    }
}

fn labs(settings: &Settings, findings: &mut Findings) {
    let own = &settings.labs;
    let counts = [
        ("labs.heartbeats_missed", own.heartbeats_missed as usize),
        ("labs.max_agents", own.max_agents),
        ("labs.logins_a_minute", own.logins_a_minute as usize),
        ("labs.creations_a_minute", own.creations_a_minute as usize),
        ("labs.requests_a_minute", own.requests_a_minute as usize),
        ("labs.agent_requests_a_minute", own.agent_requests_a_minute as usize),
    ];
    for (key, _) in counts.into_iter().filter(|(_, count)| *count == 0) {
        findings.fault(&[key], "expected at least 1");
    }
    // A viewer that is not paused has half of it left at least, and what is received at a time (64 KiB) must fit into that.
    if !((128 << 10)..=(64 << 20)).contains(&own.tunnel_window.bytes()) {
        findings.fault(&["labs.tunnel_window"], "expected a size from 128KiB to 64MiB");
    }
    if own.early_bytes > own.tunnel_window {
        findings.fault(&["labs.early_bytes", "labs.tunnel_window"], "expected early_bytes to be no more than tunnel_window");
    }
    if !given::is_name(&own.namespace) {
        findings.fault(&["labs.namespace"], "expected 1 to 64 letters, digits and . _ -");
    }
    let mut names = BTreeSet::new();
    for (at, template) in own.templates.iter().enumerate().filter(|(_, template)| !names.insert(template.name())) {
        findings.fault_in(&["labs.templates"], at, format!("expected one template with the name {:?}", template.name()));
    }
}

fn chat(settings: &Settings, findings: &mut Findings) {
    let own = &settings.chat;
    let counts = [
        ("chat.max_content", own.max_content),
        ("chat.context_messages", own.context_messages),
        ("chat.logins_a_minute", own.logins_a_minute as usize),
        ("chat.creations_a_minute", own.creations_a_minute as usize),
        ("chat.messages_a_minute", own.messages_a_minute as usize),
        ("chat.streams_a_minute", own.streams_a_minute as usize),
        ("chat.looks_a_minute", own.looks_a_minute as usize),
        ("chat.lists_a_minute", own.lists_a_minute as usize),
    ];
    for (key, _) in counts.into_iter().filter(|(_, count)| *count == 0) {
        findings.fault(&[key], "expected at least 1");
    }
    if own.max_content > 1_000_000 {
        findings.fault(&["chat.max_content"], "expected at most 1000000");
    }
    if own.max_attachment.bytes() > 64 << 20 {
        findings.fault(&["chat.max_attachment"], "expected at most 64MiB");
    }
    if !((1 << 10)..=(16 << 20)).contains(&own.max_answer.bytes()) {
        findings.fault(&["chat.max_answer"], "expected a size from 1KiB to 16MiB");
    }
}

fn agents(settings: &Settings, findings: &mut Findings) {
    let Settings { models, tools, agents, chat, .. } = settings;
    let mut names = BTreeSet::new();
    for (at, model) in models.iter().enumerate().filter(|(_, model)| !names.insert(model.name.as_str())) {
        findings.fault_in(&["models"], at, format!("expected one model with the name {:?}", model.name));
    }
    names.insert(BUILTIN_MODEL);
    let mut tool_names = BTreeSet::from(HOME_TOOLS);
    for (at, tool) in tools.iter().enumerate() {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=64).contains(&tool.name.len()) || !tool.name.bytes().all(is_name) {
            findings.fault_in(&["tools"], at, "expected names of 1 to 64 letters, digits, _ and -");
        } else if HOME_TOOLS.contains(&tool.name.as_str()) {
            findings.fault_in(&["tools"], at, format!("expected no tool with the name {:?}: it is there already", tool.name));
        } else if !tool_names.insert(&tool.name) {
            findings.fault_in(&["tools"], at, format!("expected one tool with the name {:?}", tool.name));
        }
    }
    let mut agent_names = BTreeSet::new();
    for (at, agent) in agents.iter().enumerate() {
        if !agent_names.insert(agent.name.as_str()) {
            findings.fault_in(&["agents"], at, format!("expected one agent with the name {:?}", agent.name));
        }
        if [&agent.model].into_iter().chain(&agent.other_models).any(|model| !names.contains(model.as_str())) {
            findings.fault_in(
                &["agents", "models"],
                at,
                format!("the agent {:?} names a model that is not in [[models]]", agent.name),
            );
        }
        if agent.tools.iter().any(|tool| !tool_names.contains(tool.as_str())) {
            findings.fault_in(
                &["agents", "tools"],
                at,
                format!("the agent {:?} names a tool that is not in [[tools]]", agent.name),
            );
        }
    }
    if !agents.is_empty() && !agent_names.contains(chat.default_agent.as_str()) {
        findings.fault(&["agents", "chat.default_agent"], "expected an agent with the name that chat.default_agent has");
    }
}

fn tasks(settings: &Settings, findings: &mut Findings) {
    let own = &settings.tasks;
    let counts = [
        ("tasks.max_connections", own.max_connections as usize),
        ("tasks.messages_a_minute", own.messages_a_minute as usize),
        ("tasks.max_subscriptions", own.max_subscriptions),
        ("tasks.max_running", own.max_running),
    ];
    for (key, _) in counts.into_iter().filter(|(_, count)| *count == 0) {
        findings.fault(&[key], "expected at least 1");
    }
    if !(1..=(1 << 20)).contains(&own.max_task.bytes()) {
        findings.fault(&["tasks.max_task"], "expected a size from 1B to 1MiB");
    }
    if !((1 << 10)..=(4 << 20)).contains(&own.max_output.bytes()) {
        findings.fault(&["tasks.max_output"], "expected a size from 1KiB to 4MiB");
    }
    if own.max_message.bytes() > 16 << 20 {
        findings.fault(&["tasks.max_message"], "expected at most 16MiB");
    } else if own.max_message < own.max_task && own.max_task.bytes() <= 1 << 20 {
        findings.fault(&["tasks.max_message", "tasks.max_task"], "expected max_message to hold a task of max_task");
    }
}

fn workflows(settings: &Settings, findings: &mut Findings) {
    let Settings { agents, chat, workflows, .. } = settings;
    let defaults = DEFAULT_AGENTS.iter().map(|(name, _, _)| *name).chain([chat.default_agent.as_str()]);
    let names: BTreeSet<&str> = match agents.as_slice() {
        [] => defaults.collect(),
        agents => agents.iter().map(|agent| agent.name.as_str()).collect(),
    };
    let mut ids = BTreeSet::new();
    for (at, workflow) in workflows.iter().map(WorkflowSetting::workflow).enumerate() {
        if !ids.insert(&workflow.id) {
            findings.fault_in(&["workflows"], at, format!("expected one workflow with the id {:?}", workflow.id));
        }
        if workflow.steps.iter().any(|step| !names.contains(&*step.agent)) {
            findings.fault_in(
                &["workflows", "agents"],
                at,
                format!("a step of {:?} names an agent that is not there", workflow.id),
            );
        }
    }
}

fn audiences(settings: &Settings, findings: &mut Findings) {
    let presence = &settings.presence;
    let mut spoken: BTreeSet<&str> = presence.issuers.values().flat_map(|issuer| &issuer.audiences).map(String::as_str).collect();
    for audience in &spoken {
        if !presence.permissions.contains_key(*audience) {
            let message = format!("no permission names the audience {audience:?}: all its accounts will be refused");
            findings.warning(&["presence.issuers", "presence.permissions"], message);
        }
    }
    if presence.issuers.is_empty() {
        spoken.insert(EMBEDDED_AUDIENCE);
    }
    for audience in presence.permissions.keys().filter(|audience| !spoken.contains(audience.as_str())) {
        findings.warning(&["presence.permissions"], format!("no issuer may speak for the audience {audience:?}"));
    }
    // The first part of `a:b` is what is configured.
    for audience in spoken.into_iter().chain(presence.permissions.keys().map(String::as_str)) {
        if audience.contains(':') {
            findings.fault(
                &["presence.issuers", "presence.permissions"],
                format!("expected the first part of the audience {audience:?}, without \":\""),
            );
        }
    }
}

/// An owner is "audience/subject", so that an audience with a slash could make one owner of two accounts.
fn owners(issuers: &BTreeMap<String, Issuer>, findings: &mut Findings) {
    for audience in issuers.values().flat_map(|issuer| &issuer.audiences) {
        if audience.contains([':', '/']) {
            let message = format!("expected the first part of the audience {audience:?}, without \":\" or \"/\"");
            findings.fault(&["quiz.issuers"], message);
        }
    }
}
