//! Models, tools and agents as the settings have them: the catalog that the pure rooms know, and the endpoints that only the bridge knows.

use super::{rules::Fault, tally::Tally};
use crate::{
    config::{
        AgentSetting, BackendSetting, DEFAULT_AGENTS, ModelSetting, RemoteSetting, STAND_INS, SecretPlace, Settings, ToolSetting,
        WorkflowSetting,
    },
    models::{Agent, BUILTIN_MODEL, Backend, Catalog, Model, Schema, Tool, catalog::Work, home_tools},
    protocols::tasks::{
        Workflows,
        model::{Step, Workflow},
    },
    services::{Endpoint, HttpTool, SetupFault, keys, models::Patience},
};
use std::{collections::BTreeMap, env, sync::Arc};

/// Ways out, by name, with what became of the requests to each.
type ByName<T> = Arc<BTreeMap<Arc<str>, (T, Arc<Tally>)>>;

/// What is behind HTTP. Cheap to clone: pools of connections are shared.
#[derive(Clone, Default)]
pub(super) struct Outside {
    pub(super) models: ByName<Endpoint>,
    pub(super) tools: ByName<HttpTool>,
}

impl Outside {
    /// In the place of `earlier`: what is called the same goes on counting there.
    pub(super) fn inheriting(self, earlier: &Outside) -> Outside {
        Outside { models: inherited(self.models, &earlier.models), tools: inherited(self.tools, &earlier.tools) }
    }
}

fn inherited<T: Clone>(new: ByName<T>, earlier: &ByName<T>) -> ByName<T> {
    let tally = |name: &Arc<str>, own: &Arc<Tally>| earlier.get(name).map_or_else(|| own.clone(), |(_, tally)| tally.clone());
    Arc::new(new.iter().map(|(name, (way, own))| (name.clone(), (way.clone(), tally(name, own)))).collect())
}

/// Makes both; every fault is told.
pub(super) fn furnish(settings: &Settings, faults: &mut Vec<Fault>) -> (Catalog, Outside) {
    let mut endpoints = BTreeMap::new();
    let mut http_tools = BTreeMap::new();
    for model in &settings.models {
        if let BackendSetting::Remote(remote) = &model.backend {
            match endpoint(remote) {
                Ok(endpoint) => drop(endpoints.insert(model.name.as_str().into(), (endpoint, Arc::new(Tally::new())))),
                Err(why) => faults.push(Fault::new(format!("models {:?}: {why}", model.name))),
            }
        }
    }
    for tool in &settings.tools {
        match http_tool(tool) {
            Ok(made) => drop(http_tools.insert(tool.name.as_str().into(), (made, Arc::new(Tally::new())))),
            Err(why) => faults.push(Fault::new(format!("tools {:?}: {why}", tool.name))),
        }
    }
    (catalog(settings), Outside { models: Arc::new(endpoints), tools: Arc::new(http_tools) })
}

fn endpoint(remote: &RemoteSetting) -> Result<Endpoint, String> {
    let key = remote.key.as_ref().map(|key| secret(&key.place)).transpose()?;
    let patience =
        Patience { first: remote.first_timeout, next: remote.next_timeout, attempts: remote.attempts, places: remote.places };
    Endpoint::new(&remote.url, key.as_deref(), patience).map_err(told)
}

fn http_tool(tool: &ToolSetting) -> Result<HttpTool, String> {
    let key = tool.key.as_ref().map(|key| secret(&key.place)).transpose()?;
    let bearer = key.map(|key| ("Authorization".to_owned(), format!("Bearer {key}")));
    let headers: Vec<(String, String)> = tool.headers.clone().into_iter().chain(bearer).collect();
    HttpTool::new(&tool.url, &headers, tool.timeout, tool.max_answer.bytes()).map_err(told)
}

fn told(fault: SetupFault) -> String {
    fault.to_string()
}

/// A secret from where it is. Faults name the place, never what is in it.
pub(super) fn secret(place: &SecretPlace) -> Result<String, String> {
    match place {
        SecretPlace::File(file) => {
            let secret = keys::load(file).map_err(|error| error.to_string())?;
            let text = std::str::from_utf8(secret.expose()).map_err(|_| format!("{}: expected a text", file.display()))?;
            Ok(text.to_owned())
        }
        SecretPlace::Variable(name) => {
            let value = env::var(name).ok().filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("the environment variable {name} is not set"))
        }
    }
}

/// What is configured, with what is there anyway, and some agents where none are.
fn catalog(settings: &Settings) -> Catalog {
    let there: Vec<ModelSetting> = stand_ins(settings).chain([BUILTIN_MODEL]).map(builtin).collect();
    // What is configured goes before what is there anyway.
    let models: BTreeMap<Arc<str>, Arc<Model>> =
        there.iter().chain(&settings.models).map(model).map(|model| (model.name.clone(), Arc::new(model))).collect();
    let tools: BTreeMap<Arc<str>, Arc<Tool>> =
        home().into_iter().chain(settings.tools.iter().map(tool)).map(|tool| (tool.name.clone(), Arc::new(tool))).collect();
    let defaults = if settings.agents.is_empty() { default_agents(settings, &tools) } else { Vec::new() };
    let given = defaults.iter().chain(&settings.agents);
    // The settings' check has seen to it that every name is there.
    let agents = given.filter_map(|given| agent(given, &models, &tools)).map(|agent| (agent.name.clone(), Arc::new(agent)));
    Catalog { agents: agents.collect(), models, tools }
}

/// The models that the built-in agent stands in for: only where nothing else is configured.
fn stand_ins(settings: &Settings) -> impl Iterator<Item = &'static str> {
    let is_bare = settings.models.is_empty() && settings.agents.is_empty();
    STAND_INS.into_iter().filter(move |_| is_bare)
}

fn builtin(name: &str) -> ModelSetting {
    let backend = BackendSetting::Builtin { pace: AgentSetting::PACE };
    ModelSetting { name: name.to_owned(), backend, prompt_price: 0.0, completion_price: 0.0 }
}

/// Whom one may talk to, and those who do tasks. The latter have no tools: what one of them gives may name a tool, and is the next
/// one's task.
fn default_agents(settings: &Settings, tools: &BTreeMap<Arc<str>, Arc<Tool>>) -> Vec<AgentSetting> {
    let agent = |name: &str, description: &str, instructions: &str| AgentSetting {
        name: name.to_owned(),
        description: description.to_owned(),
        instructions: instructions.to_owned(),
        model: settings.models.first().map_or(BUILTIN_MODEL, |first| &first.name).to_owned(),
        other_models: Vec::new(),
        tools: Vec::new(),
        max_rounds: AgentSetting::MAX_ROUNDS,
        time_limit: AgentSetting::TIME_LIMIT,
        max_tokens: 0,
    };
    let others: Vec<String> =
        stand_ins(settings).map(str::to_owned).chain(settings.models.iter().skip(1).map(|model| model.name.clone())).collect();
    let tools = tools.keys().map(|name| name.to_string()).collect();
    let talker = AgentSetting { tools, ..agent(&settings.chat.default_agent, "The agent of this school", "") };
    let doers =
        DEFAULT_AGENTS.into_iter().filter(|(name, _, _)| *name != talker.name).map(|(name, description, instructions)| {
            AgentSetting { other_models: others.clone(), ..agent(name, description, instructions) }
        });
    let doers = doers.collect::<Vec<_>>();
    [talker].into_iter().chain(doers).collect()
}

/// The workflows that are configured, and the one that is there where none are.
pub(super) fn workflows(settings: &Settings) -> Workflows {
    let given = settings.workflows.iter().map(WorkflowSetting::workflow).cloned();
    let all: Workflows = given.map(|workflow| (workflow.id.clone(), workflow)).collect();
    if !all.is_empty() {
        return all;
    }
    let review = code_review(settings);
    Workflows::from([(review.id.clone(), Arc::new(review))])
}

/// The one that the contract's page names. Agents that are not there are stood in for by the one whom everybody may talk to.
fn code_review(settings: &Settings) -> Workflow {
    let is_there = |name: &str| settings.agents.is_empty() || settings.agents.iter().any(|agent| agent.name == name);
    let step = |id: &str, name: &str, agent: &str, task: &str, needs: &[&str]| Step {
        id: id.into(),
        name: name.into(),
        agent: if is_there(agent) { agent } else { &settings.chat.default_agent }.into(),
        task: task.into(),
        needs: needs.iter().map(|id| Arc::from(*id)).collect(),
    };
    Workflow {
        id: "code-review-workflow".into(),
        name: "Code review".into(),
        description: "Reviews code, says which tests it needs, and sums up".into(),
        steps: vec![
            step("step1", "Review", "code-agent", "Review this code: what does it do, and what is wrong with it? {input}", &[]),
            step("step2", "Tests", "test-agent", "Which tests does this code need? {input}\n\nIts review: {step1}", &["step1"]),
            step("step3", "Summary", "code-agent", "Sum up for the author.\n\n{step1}\n\n{step2}", &["step1", "step2"]),
        ],
    }
}

fn model(setting: &ModelSetting) -> Model {
    Model {
        name: setting.name.as_str().into(),
        backend: match &setting.backend {
            BackendSetting::Builtin { pace } => Backend::Builtin { pace: *pace },
            BackendSetting::Remote(remote) => Backend::Remote { model: remote.model.as_str().into() },
        },
        prompt_price: setting.prompt_price,
        completion_price: setting.completion_price,
    }
}

fn tool(setting: &ToolSetting) -> Tool {
    Tool {
        name: setting.name.as_str().into(),
        description: setting.description.as_str().into(),
        parameters: setting.parameters.clone(),
        needs_approval: setting.needs_approval,
        work: Work::Http,
    }
}

fn agent(
    setting: &AgentSetting,
    models: &BTreeMap<Arc<str>, Arc<Model>>,
    tools: &BTreeMap<Arc<str>, Arc<Tool>>,
) -> Option<Agent> {
    Some(Agent {
        name: setting.name.as_str().into(),
        description: setting.description.as_str().into(),
        instructions: setting.instructions.as_str().into(),
        model: models.get(setting.model.as_str())?.clone(),
        others: setting.other_models.iter().filter_map(|name| models.get(name.as_str()).cloned()).collect(),
        tools: setting.tools.iter().filter_map(|name| tools.get(name.as_str()).cloned()).collect(),
        max_rounds: setting.max_rounds,
        time_limit: setting.time_limit,
        max_tokens: (setting.max_tokens > 0).then_some(setting.max_tokens),
    })
}

/// The tools that need nothing from outside.
fn home() -> Vec<Tool> {
    let described = [
        ("Works out an arithmetic expression", home_tools::CALCULATOR, Work::Calculator),
        ("Searches what was said in this session", home_tools::SEARCH, Work::Search),
    ];
    let named = home_tools::HOME_TOOLS.into_iter().zip(described);
    let made = named.filter_map(|(name, (description, schema, work))| {
        // Tests read these schemas.
        let parameters = Schema::new(schema).ok()?;
        Some(Tool { name: name.into(), description: description.into(), parameters, needs_approval: false, work })
    });
    made.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, Loaded};

    fn settings(text: &str) -> Settings {
        Loaded::of(&Layers::default().file("homeroom.toml", text)).unwrap_or_else(|faults| panic!("{faults}")).settings
    }

    const REMOTE: &str = "[[models]]\nname = \"large\"\nurl = \"http://127.0.0.1:1/v1/chat/completions\"\nmodel = \"x\"\n";

    #[test]
    fn with_nothing_configured_one_talks_to_one_agent_with_all_that_is_there() {
        let mut faults = Vec::new();
        let (catalog, outside) = furnish(&settings(""), &mut faults);
        assert!(faults.is_empty() && outside.models.is_empty() && outside.tools.is_empty());
        let tutor = &catalog.agents["tutor"];
        assert_eq!(tutor.model.backend, Backend::Builtin { pace: AgentSetting::PACE });
        assert_eq!(tutor.tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>(), ["calculator", "search"]);
    }

    #[test]
    fn a_model_alone_is_enough_for_the_one_agent() {
        let (catalog, outside) = furnish(&settings(REMOTE), &mut Vec::new());
        assert_eq!(&*catalog.agents["tutor"].model.name, "large");
        assert!(outside.models.contains_key("large"));
    }

    fn names(models: &[Arc<Model>]) -> Vec<&str> {
        models.iter().map(|model| &*model.name).collect()
    }

    #[test]
    fn those_who_do_tasks_are_there_until_others_are_named() {
        let (catalog, _) = furnish(&settings(""), &mut Vec::new());
        assert_eq!(
            catalog.agents.keys().map(|name| &**name).collect::<Vec<_>>(),
            ["code-agent", "design-agent", "test-agent", "tutor"]
        );
        let coder = &catalog.agents["code-agent"];
        assert_eq!(
            (&*coder.model.name, names(&coder.others), coder.tools.len()),
            (BUILTIN_MODEL, vec!["gpt-4o", "gpt-4o-mini"], 0)
        );
        assert!(coder.others.iter().all(|model| matches!(model.backend, Backend::Builtin { .. })));
        let (catalog, _) = furnish(&settings(&[REMOTE, &REMOTE.replace("large", "small")].concat()), &mut Vec::new());
        let coder = &catalog.agents["code-agent"];
        assert_eq!((&*coder.model.name, names(&coder.others)), ("large", vec!["small"]), "nothing is stood in for");
        let agent = "[[agents]]\nname = \"tutor\"\nmodel = \"builtin\"\n";
        let (catalog, _) = furnish(&settings(agent), &mut Vec::new());
        assert_eq!((catalog.agents.len(), catalog.models.len()), (1, 1));
        let (catalog, _) = furnish(&settings("chat.default_agent = \"code-agent\"\n"), &mut Vec::new());
        assert_eq!((catalog.agents.len(), catalog.agents["code-agent"].tools.len()), (3, 2), "one of them may be talked to");
    }

    #[test]
    fn one_workflow_is_there_until_others_are_named_and_its_agents_are() {
        let agent = "[[agents]]\nname = \"tutor\"\nmodel = \"builtin\"\n";
        let other = "[[workflows]]\nid = \"w\"\nsteps = [{ id = \"a\", agent = \"tutor\", task = \"x\" }]\n";
        for (text, ids) in [("", ["code-review-workflow"]), (agent, ["code-review-workflow"]), (other, ["w"])] {
            let settings = settings(text);
            let (catalog, all) = (catalog(&settings), workflows(&settings));
            assert_eq!(all.keys().map(|id| &**id).collect::<Vec<_>>(), ids);
            for workflow in all.values() {
                assert_eq!(workflow.check(), Ok(()));
                assert!(workflow.steps.iter().all(|step| catalog.agents.contains_key(&step.agent)), "{text}");
            }
        }
        let review = code_review(&settings(""));
        assert_eq!(review.steps.iter().map(|step| &*step.id).collect::<Vec<_>>(), ["step1", "step2", "step3"]);
    }

    #[test]
    fn a_secret_that_is_not_there_is_told_by_its_place() {
        let text = format!("{REMOTE}key_variable = \"HOMEROOM_TEST_NO_SUCH_VARIABLE\"\n");
        let mut faults = Vec::new();
        furnish(&settings(&text), &mut faults);
        assert_eq!(faults[0].to_string(), "models \"large\": the environment variable HOMEROOM_TEST_NO_SUCH_VARIABLE is not set");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let text = format!("{REMOTE}key_file = {file:?}\n");
        let mut faults = Vec::new();
        furnish(&settings(&text), &mut faults);
        assert!(faults[0].to_string().contains("key"), "{faults:?}");
        std::fs::write(&file, "secret\n").unwrap();
        let mut faults = Vec::new();
        furnish(&settings(&text), &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
    }
}
