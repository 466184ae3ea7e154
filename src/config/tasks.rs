//! Tasks: their settings, and the workflows, a list of tables.

use super::{
    Size,
    agents::Words,
    fault::Fault,
    key::section,
    setting::{Fields, Place, Setting},
};
use crate::protocols::tasks::model::{Step, Workflow};
use std::{path::PathBuf, sync::Arc, time::Duration};
use toml::{Spanned, de::DeValue};

section! {
    /// What agents are told to do. Who they are: [[agents]]; what they do in several steps: [[workflows]].
    Tasks at "tasks." {
        /// How many sockets a user may have, over all shards.
        max_connections: u32 = 10;
        /// How many messages a socket may send in a minute, pongs not counted.
        messages_a_minute: u32 = 100;
        /// How many subscriptions a socket may have.
        max_subscriptions: usize = 50;
        /// The time from one ping (a message of JSON) to the next.
        ping_interval: Duration = "30s";
        /// After how many pings without an answer a socket is closed. 0: never.
        pings_missed: u32 = 0;
        /// A socket from which nothing comes for so long is closed.
        inactivity_timeout: Duration = "30m";
        /// Whether a pong is something. If not, who only listens is closed as well.
        pong_is_activity: bool = true;
        /// How often system_status_update is sent where nothing changed, and how often endpoints of [[models]] are looked for.
        status_interval: Duration = "30s";
        /// The shortest time from one update of a task's progress to the next.
        progress_interval: Duration = "200ms";
        /// How many tasks and steps run at a time on one shard; the others wait, by priority.
        max_running: usize = 1000;
        /// How many of one shard may wait.
        max_waiting: usize = 10000;
        /// How many of them may be one user's. Whoever has so many waiting is refused until some have begun.
        max_waiting_of_user: usize = 1000;
        /// The longest task.
        max_task: Size = "64KiB";
        /// The longest text that an agent may give.
        max_output: Size = "256KiB";
        /// The longest message of a socket.
        max_message: Size = "256KiB";
        /// A secret of others who sign in users of tasks: a file with at least 32 bytes. Their tokens are JWTs (HS256), of which only sub
        /// is needed; role "admin" makes an admin, exp and nbf hold where they are there. Without one only tokens of a login here are good.
        secret_file: Option<PathBuf> = "";
    }
}

/// A workflow, as it is configured. Its steps can be done one after the other.
#[derive(Clone, PartialEq, Debug)]
pub struct WorkflowSetting(Arc<Workflow>);

impl WorkflowSetting {
    /// As tasks know it.
    pub fn workflow(&self) -> &Arc<Workflow> {
        &self.0
    }
}

impl Setting for WorkflowSetting {
    const EXPECTED: &'static str = "a table with id and steps";

    fn scalar(_: &DeValue<'_>) -> Result<WorkflowSetting, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<WorkflowSetting> {
        let before = faults.len();
        let mut fields = Fields::of(value, place, faults);
        let id = fields.required::<String>("id", faults);
        let Words(name) = fields.optional("name", faults).unwrap_or_default();
        let Words(description) = fields.optional("description", faults).unwrap_or_default();
        let steps = fields.required::<Vec<StepSetting>>("steps", faults);
        fields.refuse_others(faults);
        let (id, steps) = (id?, steps?);
        let name = if name.is_empty() { id.clone() } else { name };
        let steps: Vec<Step> = steps.into_iter().map(|StepSetting(step)| step).collect();
        let named = named(&steps);
        let steps = steps.into_iter().zip(named).map(|(step, needs)| Step { needs, ..step }).collect();
        let workflow = Workflow { id: id.into(), name: name.into(), description: description.into(), steps };
        if let Err(fault) = workflow.check() {
            faults.push(place.inside("steps").fault(value, format!("expected steps that can be done: {fault}")));
        }
        (faults.len() == before).then(|| WorkflowSetting(Arc::new(workflow)))
    }
}

/// What each step needs: what it says, and the steps whose results its task names.
fn named(steps: &[Step]) -> Vec<Vec<Arc<str>>> {
    let needs = |step: &Step| {
        let is_named = |other: &&Step| step.task.contains(&format!("{{{}}}", other.id));
        let more = steps.iter().filter(is_named).map(|other| other.id.clone()).filter(|id| !step.needs.contains(id));
        step.needs.iter().cloned().chain(more).collect()
    };
    steps.iter().map(needs).collect()
}

/// A step, as it is configured.
struct StepSetting(Step);

/// What stands for the input of an execution where a task names it; no step is called so.
const INPUT: &str = "input";

impl Setting for StepSetting {
    const EXPECTED: &'static str = "a table with id, agent and task";

    fn scalar(_: &DeValue<'_>) -> Result<StepSetting, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<StepSetting> {
        let before = faults.len();
        let mut fields = Fields::of(value, place, faults);
        let id = fields.required::<String>("id", faults);
        let Words(name) = fields.optional("name", faults).unwrap_or_default();
        let agent = fields.required::<String>("agent", faults);
        let task = fields.required::<String>("task", faults);
        let needs: Vec<String> = fields.optional("needs", faults).unwrap_or_default();
        fields.refuse_others(faults);
        let (id, agent, task) = (id?, agent?, task?);
        if id == INPUT || id.contains(['{', '}']) {
            faults.push(place.inside("id").fault(value, "expected another name than \"input\", without { and }"));
        }
        let name = if name.is_empty() { id.clone() } else { name };
        let needs = needs.into_iter().map(Arc::from).collect();
        let step = Step { id: id.into(), name: name.into(), agent: agent.into(), task: task.into(), needs };
        (faults.len() == before).then_some(StepSetting(step))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Layers, Loaded, Settings};
    use std::{path::PathBuf, time::Duration};

    fn loaded(text: &str) -> Result<Settings, Vec<String>> {
        let loaded = Loaded::of(&Layers::default().file("homeroom.toml", text));
        loaded.map(|loaded| loaded.settings).map_err(|faults| faults.0.iter().map(ToString::to_string).collect())
    }

    fn told(text: &str) -> Vec<String> {
        loaded(text).expect_err(text)
    }

    const STEPS: &str = "[[workflows]]\nid = \"w\"\n[[workflows.steps]]\nid = \"a\"\nagent = \"code-agent\"\ntask = \"Look at {input}\"\n\
        [[workflows.steps]]\nid = \"b\"\nname = \"Second\"\nagent = \"test-agent\"\ntask = \"Test {a} {not} {a step}\"\n";

    #[test]
    fn a_workflow_is_read_and_the_rest_has_defaults() {
        let settings = loaded(STEPS).unwrap();
        let [workflow] = settings.workflows.as_slice() else { panic!("one") };
        let workflow = workflow.workflow();
        assert_eq!((&*workflow.id, &*workflow.name, &*workflow.description), ("w", "w", ""));
        let names: Vec<_> = workflow.steps.iter().map(|step| (&*step.id, &*step.name, &*step.agent)).collect();
        assert_eq!(names, [("a", "a", "code-agent"), ("b", "Second", "test-agent")]);
    }

    #[test]
    fn a_step_needs_what_its_task_names() {
        let settings = loaded(&format!(
            "{STEPS}[[workflows.steps]]\nid = \"c\"\nagent = \"code-agent\"\ntask = \"{{a}}\"\nneeds = [\"b\"]\n"
        ));
        let needs = settings.unwrap().workflows[0].workflow().steps.iter().map(|step| step.needs.join(",")).collect::<Vec<_>>();
        assert_eq!(needs, ["", "a", "b,a"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let step =
            |rest: &str| format!("[[workflows]]\nid = \"w\"\nsteps = [\n{{ id = \"a\", agent = \"tutor\", {rest} }},\n]\n");
        for (text, expected) in [
            ("[[workflows]]\nname = \"x\"\n".to_owned(), "homeroom.toml:1: workflows.id: is missing"),
            ("[[workflows]]\nid = \"w\"\n".to_owned(), "homeroom.toml:1: workflows.steps: is missing"),
            (
                "[[workflows]]\nid = \"w\"\nsteps = []\n".to_owned(),
                "homeroom.toml:1: workflows.steps: expected steps that can be done",
            ),
            (step("name = \"x\""), "homeroom.toml:4: workflows.steps.task: is missing"),
            (step("task = \"x\", model = \"m\""), "homeroom.toml:4: workflows.steps.model: is unknown here"),
            (
                step("task = \"x\", needs = [\"z\"]"),
                "homeroom.toml:1: workflows.steps: expected steps that can be done: a needs z",
            ),
            (step("task = \"again {a}\""), "homeroom.toml:1: workflows.steps: expected steps that can be done: a needs itself"),
            (
                step("task = \"x\"").replace("\"a\"", "\"input\""),
                "homeroom.toml:4: workflows.steps.id: expected another name than \"input\"",
            ),
            (step("task = \"x\"").replace("tutor", "nobody"), "homeroom.toml:1: workflows: a step of \"w\" names an agent"),
            (
                [step("task = \"x\""), step("task = \"y\"")].concat(),
                "homeroom.toml:6: workflows: expected one workflow with the id",
            ),
        ] {
            let told = told(&text);
            assert!(told.iter().any(|line| line.starts_with(expected)), "{text}: {told:?}");
        }
        assert!(told("[[workflows]]\nid = \"w\"\nsteps = []\n").len() == 1);
    }

    #[test]
    fn bounds_of_tasks() {
        let settings = loaded("[tasks]\npings_missed = 2\ninactivity_timeout = \"5s\"\nsecret_file = \"s\"\n").unwrap().tasks;
        assert_eq!((settings.pings_missed, settings.inactivity_timeout), (2, Duration::from_secs(5)));
        assert_eq!(settings.secret_file, Some(PathBuf::from("s")));
        for (text, expected) in [
            ("max_connections = 0", "homeroom.toml:2: tasks.max_connections: expected at least 1"),
            ("messages_a_minute = 0", "homeroom.toml:2: tasks.messages_a_minute: expected at least 1"),
            ("max_subscriptions = 0", "homeroom.toml:2: tasks.max_subscriptions: expected at least 1"),
            ("max_running = 0", "homeroom.toml:2: tasks.max_running: expected at least 1"),
            ("ping_interval = \"0s\"", "homeroom.toml:2: tasks.ping_interval: expected a duration from 10ms to 24h"),
            ("status_interval = \"1ms\"", "homeroom.toml:2: tasks.status_interval: expected a duration from 10ms to 24h"),
            ("max_task = \"2MiB\"", "homeroom.toml:2: tasks.max_task: expected a size from 1B to 1MiB"),
            ("max_output = \"1B\"", "homeroom.toml:2: tasks.max_output: expected a size from 1KiB to 4MiB"),
            ("max_message = \"32KiB\"", "homeroom.toml:2: tasks.max_message: expected max_message to hold"),
            ("max_mesage = \"64KiB\"", "homeroom.toml:2: tasks.max_mesage: is unknown; the nearest is tasks.max_message"),
        ] {
            let told = told(&format!("[tasks]\n{text}\n"));
            assert!(told.len() == 1 && told[0].starts_with(expected), "{text}: {told:?}");
        }
    }

    #[test]
    fn a_secret_that_cannot_be_read_or_is_too_short_is_told() {
        let loaded =
            Loaded::of(&Layers::default().file("homeroom.toml", "tasks.secret_file = \"/nonexistent/secret\"\n")).unwrap();
        let told: Vec<String> = loaded.unreadable_keys().iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with("homeroom.toml:1: tasks.secret_file: /nonexistent/secret cannot be read"), "{told:?}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let told = |bytes: usize| {
            std::fs::write(&file, "x".repeat(bytes) + "\n").unwrap();
            let text = format!("tasks.secret_file = {:?}\n", file.display().to_string());
            let loaded = Loaded::of(&Layers::default().file("homeroom.toml", text)).unwrap();
            loaded.unreadable_keys().iter().map(ToString::to_string).collect::<String>()
        };
        assert!(told(31).ends_with("has 31 bytes: expected at least 32"));
        assert_eq!(told(32), "");
    }
}
