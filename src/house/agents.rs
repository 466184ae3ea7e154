//! Models, tools and agents as the settings have them: the catalog that the pure rooms know, and the endpoints that only the bridge knows.

use super::rules::Fault;
use crate::{
    config::{AgentSetting, BackendSetting, ModelSetting, RemoteSetting, SecretPlace, Settings, ToolSetting},
    models::{Agent, BUILTIN_MODEL, Backend, Catalog, Model, Schema, Tool, catalog::Work, home_tools},
    services::{Endpoint, HttpTool, SetupFault, keys, models::Patience},
};
use std::{collections::BTreeMap, env, sync::Arc};

/// What is behind HTTP, by name. Cheap to clone: pools of connections are shared.
#[derive(Clone, Default)]
pub(super) struct Outside {
    pub(super) models: Arc<BTreeMap<Arc<str>, Endpoint>>,
    pub(super) tools: Arc<BTreeMap<Arc<str>, HttpTool>>,
}

/// Makes both; every fault is told.
pub(super) fn furnish(settings: &Settings, faults: &mut Vec<Fault>) -> (Catalog, Outside) {
    let mut endpoints = BTreeMap::new();
    let mut http_tools = BTreeMap::new();
    for model in &settings.models {
        if let BackendSetting::Remote(remote) = &model.backend {
            match endpoint(remote) {
                Ok(endpoint) => drop(endpoints.insert(model.name.as_str().into(), endpoint)),
                Err(why) => faults.push(Fault::new(format!("models {:?}: {why}", model.name))),
            }
        }
    }
    for tool in &settings.tools {
        match http_tool(tool) {
            Ok(made) => drop(http_tools.insert(tool.name.as_str().into(), made)),
            Err(why) => faults.push(Fault::new(format!("tools {:?}: {why}", tool.name))),
        }
    }
    (catalog(settings), Outside { models: Arc::new(endpoints), tools: Arc::new(http_tools) })
}

fn endpoint(remote: &RemoteSetting) -> Result<Endpoint, String> {
    let key = remote.key.as_ref().map(secret).transpose()?;
    let patience = Patience {
        first: remote.first_timeout,
        next: remote.next_timeout,
        attempts: remote.attempts.max(1),
        places: remote.places.max(1),
    };
    Endpoint::new(&remote.url, key.as_deref(), patience).map_err(told)
}

fn http_tool(tool: &ToolSetting) -> Result<HttpTool, String> {
    let key = tool.key.as_ref().map(secret).transpose()?;
    let bearer = key.map(|key| ("Authorization".to_owned(), format!("Bearer {key}")));
    let headers: Vec<(String, String)> = tool.headers.clone().into_iter().chain(bearer).collect();
    HttpTool::new(&tool.url, &headers, tool.timeout, tool.max_answer.bytes()).map_err(told)
}

fn told(fault: SetupFault) -> String {
    fault.to_string()
}

/// A secret from where it is. Faults name the place, never what is in it.
fn secret(place: &SecretPlace) -> Result<String, String> {
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

/// What is configured, with what is there anyway, and the one agent where none is.
fn catalog(settings: &Settings) -> Catalog {
    let builtin = ModelSetting {
        name: BUILTIN_MODEL.to_owned(),
        backend: BackendSetting::Builtin { pace: AgentSetting::PACE },
        prompt_price: 0.0,
        completion_price: 0.0,
    };
    // What is configured goes before what is there anyway.
    let models: BTreeMap<Arc<str>, Arc<Model>> =
        [&builtin].into_iter().chain(&settings.models).map(model).map(|model| (model.name.clone(), Arc::new(model))).collect();
    let tools: BTreeMap<Arc<str>, Arc<Tool>> =
        home().into_iter().chain(settings.tools.iter().map(tool)).map(|tool| (tool.name.clone(), Arc::new(tool))).collect();
    let only = AgentSetting {
        name: settings.chat.default_agent.clone(),
        description: "The agent of this school".to_owned(),
        instructions: String::new(),
        model: settings.models.first().map_or(BUILTIN_MODEL, |first| &first.name).to_owned(),
        other_models: Vec::new(),
        tools: tools.keys().map(|name| name.to_string()).collect(),
        max_rounds: AgentSetting::MAX_ROUNDS,
        time_limit: AgentSetting::TIME_LIMIT,
        max_tokens: 0,
    };
    let given = if settings.agents.is_empty() { std::slice::from_ref(&only) } else { &settings.agents };
    // The settings' check has seen to it that every name is there.
    let agents =
        given.iter().filter_map(|given| agent(given, &models, &tools)).map(|agent| (agent.name.clone(), Arc::new(agent)));
    Catalog { agents: agents.collect(), models, tools }
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
    fn with_nothing_configured_there_is_one_agent_with_all_that_is_there() {
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
