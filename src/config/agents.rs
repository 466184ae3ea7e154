//! Models, tools and the agents that are made of them: lists of tables.

use super::{
    check::{LONGEST, SHORTEST},
    fault::Fault,
    presence::Url,
    secret::SecretSetting,
    setting::{Fields, Place, Setting, Size},
};
use crate::models::Schema;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, time::Duration};
use toml::{Spanned, de::DeValue};

/// A language model, as it is configured.
#[derive(Clone, PartialEq, Debug)]
pub struct ModelSetting {
    /// What agents and requests call it.
    pub name: String,
    /// Who answers.
    pub backend: BackendSetting,
    /// For a million prompt tokens.
    pub prompt_price: f64,
    /// For a million completion tokens.
    pub completion_price: f64,
}

/// Who answers for a model.
#[derive(Clone, PartialEq, Debug)]
pub enum BackendSetting {
    /// The built-in agent, with so long between two pieces.
    Builtin {
        /// See there.
        pace: Duration,
    },
    /// An endpoint for chat completions.
    Remote(Box<RemoteSetting>),
}

/// An endpoint for chat completions, as it is configured.
#[derive(Clone, PartialEq, Debug)]
pub struct RemoteSetting {
    /// Of the endpoint itself.
    pub url: String,
    /// `model` of the requests.
    pub model: String,
    /// What is sent as a bearer token.
    pub key: Option<SecretSetting>,
    /// From the request to the first byte of the answer.
    pub first_timeout: Duration,
    /// From one piece to the next.
    pub next_timeout: Duration,
    /// How often a request is made that fails for a reason that may pass.
    pub attempts: u32,
    /// Requests under way at a time.
    pub places: usize,
}

/// A tool behind HTTP, as it is configured.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolSetting {
    /// What models call it.
    pub name: String,
    /// For the model.
    pub description: String,
    /// Its arguments.
    pub parameters: Schema,
    /// Whether a person is always asked.
    pub needs_approval: bool,
    /// Where it is.
    pub url: String,
    /// What is sent with each call besides.
    pub headers: BTreeMap<String, String>,
    /// What is sent as a bearer token.
    pub key: Option<SecretSetting>,
    /// For the whole of a call.
    pub timeout: Duration,
    /// The longest answer.
    pub max_answer: Size,
}

/// An agent, as it is configured.
#[derive(Clone, PartialEq, Debug)]
pub struct AgentSetting {
    /// `agent_id`.
    pub name: String,
    /// For people.
    pub description: String,
    /// What the model is told before all else.
    pub instructions: String,
    /// The model that answers.
    pub model: String,
    /// Others that a request may name.
    pub other_models: Vec<String>,
    /// What it may call.
    pub tools: Vec<String>,
    /// Times that it may call tools and go on, within one answer.
    pub max_rounds: u32,
    /// For one answer.
    pub time_limit: Duration,
    /// Tokens that one answer may have; 0: as many as the model gives.
    pub max_tokens: u32,
}

/// A price: zero or more.
struct Price(f64);

impl Setting for Price {
    const EXPECTED: &'static str = "a number, 0 or greater";
    const PLAIN: bool = false;
    fn scalar(value: &DeValue<'_>) -> Result<Price, &'static str> {
        let number = match value {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => number.as_str().parse().ok(),
            DeValue::String(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
        };
        number.filter(|price: &f64| price.is_finite() && *price >= 0.0).map(Price).ok_or(Self::EXPECTED)
    }
}

/// A number of which there must be one at least.
struct Count(u32);

impl Setting for Count {
    const EXPECTED: &'static str = "a whole number, 1 or greater";
    const PLAIN: bool = false;
    fn scalar(value: &DeValue<'_>) -> Result<Count, &'static str> {
        u32::scalar(value).ok().filter(|count| *count > 0).map(Count).ok_or(Self::EXPECTED)
    }
}

/// How long something else may take.
struct Patience(Duration);

impl Setting for Patience {
    const EXPECTED: &'static str = "a duration from 10ms to 24h, such as \"30s\"";
    fn scalar(value: &DeValue<'_>) -> Result<Patience, &'static str> {
        Duration::scalar(value).ok().filter(|time| (SHORTEST..=LONGEST).contains(time)).map(Patience).ok_or(Self::EXPECTED)
    }
}

impl Patience {
    /// The field of this name, or what it is where nothing else is said.
    fn read_from(fields: &mut Fields<'_, '_>, name: &'static str, unless: Duration, faults: &mut Vec<Fault>) -> Duration {
        fields.optional(name, faults).map_or(unless, |Patience(time)| time)
    }
}

/// A text that may be empty.
#[derive(Default)]
pub(super) struct Words(pub(super) String);

impl Setting for Words {
    const EXPECTED: &'static str = "a text";
    fn scalar(value: &DeValue<'_>) -> Result<Words, &'static str> {
        value.as_str().map(|text| Words(text.to_owned())).ok_or(Self::EXPECTED)
    }
}

impl Setting for Schema {
    const EXPECTED: &'static str = "a JSON Schema of an object, as a table or as a text of JSON";

    fn scalar(value: &DeValue<'_>) -> Result<Schema, &'static str> {
        let text = match value.as_str() {
            Some(text) => text.to_owned(),
            None => json(value).filter(Value::is_object).ok_or(Self::EXPECTED)?.to_string(),
        };
        Schema::new(&text).map_err(|_| Self::EXPECTED)
    }
}

/// TOML as JSON, where there is such.
fn json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok()?.into(),
        DeValue::Float(number) => number.as_str().parse::<f64>().ok()?.into(),
        DeValue::Boolean(is) => (*is).into(),
        DeValue::Datetime(_) => return None,
        DeValue::Array(list) => list.iter().map(|one| json(one.get_ref())).collect::<Option<Vec<_>>>()?.into(),
        DeValue::Table(table) => {
            let fields = table.iter().map(|(name, one)| Some((name.get_ref().to_string(), json(one.get_ref())?)));
            fields.collect::<Option<Map<_, _>>>()?.into()
        }
    })
}

impl Setting for ModelSetting {
    const EXPECTED: &'static str = "a table with name, url and what else a model has";

    fn scalar(_: &DeValue<'_>) -> Result<ModelSetting, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<ModelSetting> {
        let before = faults.len();
        let mut fields = Fields::of(value, place, faults);
        let name = fields.required::<String>("name", faults);
        let mut price = |name, faults: &mut _| fields.optional(name, faults).map_or(0.0, |Price(price)| price);
        let prompt_price = price("prompt_price", faults);
        let completion_price = price("completion_price", faults);
        let is_remote = value.get_ref().get("url").is_some();
        let url = fields.optional::<Url>("url", faults);
        let backend = match is_remote {
            false => {
                let pace = fields.optional("pace", faults).unwrap_or(AgentSetting::PACE);
                BackendSetting::Builtin { pace }
            }
            true => BackendSetting::Remote(Box::new(RemoteSetting {
                url: url.map(|Url(url)| url).unwrap_or_default(),
                model: fields.required("model", faults).unwrap_or_default(),
                key: SecretSetting::read(&mut fields, value, place, faults),
                first_timeout: Patience::read_from(&mut fields, "first_timeout", TIMEOUT, faults),
                next_timeout: Patience::read_from(&mut fields, "next_timeout", TIMEOUT, faults),
                attempts: fields.optional("attempts", faults).map_or(3, |Count(attempts)| attempts),
                places: fields.optional("places", faults).map_or(64, |Count(places)| places as usize),
            })),
        };
        fields.refuse_others(faults);
        let model = ModelSetting { name: name?, backend, prompt_price, completion_price };
        (faults.len() == before).then_some(model)
    }
}

impl Setting for ToolSetting {
    const EXPECTED: &'static str = "a table with name, description, url and parameters";

    fn scalar(_: &DeValue<'_>) -> Result<ToolSetting, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<ToolSetting> {
        let before = faults.len();
        let mut fields = Fields::of(value, place, faults);
        let name = fields.required::<String>("name", faults);
        let description = fields.required::<String>("description", faults);
        let url = fields.required::<Url>("url", faults);
        let parameters = fields.required::<Schema>("parameters", faults);
        let needs_approval = fields.optional("needs_approval", faults).unwrap_or(false);
        let headers = fields.optional("headers", faults).unwrap_or_default();
        let key = SecretSetting::read(&mut fields, value, place, faults);
        let timeout = Patience::read_from(&mut fields, "timeout", TIMEOUT, faults);
        let max_answer = fields.optional("max_answer", faults).unwrap_or(AgentSetting::ANSWER);
        fields.refuse_others(faults);
        let (name, description, Url(url), parameters) = (name?, description?, url?, parameters?);
        let tool = ToolSetting { name, description, parameters, needs_approval, url, headers, key, timeout, max_answer };
        (faults.len() == before).then_some(tool)
    }
}

/// Who does tasks where no agents are configured: names, what they are for, and what their model is told.
pub const DEFAULT_AGENTS: [(&str, &str, &str); 3] = [
    (
        "code-agent",
        "Writes and reviews code",
        "You write and review code. Give code in one fenced block, and say briefly what it does.",
    ),
    ("design-agent", "Designs software", "You design software: its parts, what they say to each other, and why."),
    ("test-agent", "Writes and judges tests", "You write tests, and say what they show and what they leave open."),
];
/// What they may be asked for where no models are configured either: the names that the contract's examples use.
pub const STAND_INS: [&str; 2] = ["gpt-4o", "gpt-4o-mini"];

/// How long an endpoint or a tool may take, where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(30);

impl AgentSetting {
    /// Between two pieces of the built-in agent's answer, where nothing else is said.
    pub const PACE: Duration = Duration::from_millis(20);
    /// The longest answer of a tool, where nothing else is said.
    const ANSWER: Size = Size::of(64 << 10);
    /// Rounds of one answer, where nothing else is said.
    pub const MAX_ROUNDS: u32 = 10;
    /// For one answer, where nothing else is said.
    pub const TIME_LIMIT: Duration = Duration::from_secs(120);
}

impl Setting for AgentSetting {
    const EXPECTED: &'static str = "a table with name, model and what else an agent has";

    fn scalar(_: &DeValue<'_>) -> Result<AgentSetting, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<AgentSetting> {
        let before = faults.len();
        let mut fields = Fields::of(value, place, faults);
        let name = fields.required::<String>("name", faults);
        let model = fields.required::<String>("model", faults);
        let mut words = |name, faults: &mut _| fields.optional(name, faults).map_or_else(String::new, |Words(text)| text);
        let description = words("description", faults);
        let instructions = words("instructions", faults);
        let other_models = fields.optional("other_models", faults).unwrap_or_default();
        let tools = fields.optional("tools", faults).unwrap_or_default();
        let max_rounds = fields.optional("max_rounds", faults).unwrap_or(Self::MAX_ROUNDS);
        let time_limit = Patience::read_from(&mut fields, "time_limit", Self::TIME_LIMIT, faults);
        let max_tokens = fields.optional("max_tokens", faults).unwrap_or(0);
        fields.refuse_others(faults);
        let (name, model) = (name?, model?);
        let agent =
            AgentSetting { name, description, instructions, model, other_models, tools, max_rounds, time_limit, max_tokens };
        (faults.len() == before).then_some(agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, Loaded, SecretPlace, Settings};

    fn loaded(text: &str) -> Result<Settings, Vec<String>> {
        let loaded = Loaded::of(&Layers::default().file("homeroom.toml", text));
        loaded.map(|loaded| loaded.settings).map_err(|faults| faults.0.iter().map(ToString::to_string).collect())
    }

    const MODEL: &str = "[[models]]\nname = \"m\"\nurl = \"http://127.0.0.1:1/v1/chat/completions\"\nmodel = \"x\"\n";
    const TOOL: &str = "[[tools]]\nname = \"mail\"\ndescription = \"Sends it\"\nurl = \"http://127.0.0.1:1\"\n\
        parameters = { type = \"object\", properties = { to = { type = \"string\" } }, required = [\"to\"] }\n";

    #[test]
    fn what_is_said_is_read_and_the_rest_has_defaults() {
        let agent = "[[agents]]\nname = \"a\"\nmodel = \"m\"\ntools = [\"mail\", \"search\"]\nmax_tokens = 5\n";
        let price = "prompt_price = 3\ncompletion_price = 1.5\nkey_variable = \"KEY\"\n";
        let chat = "chat.default_agent = \"a\"\n";
        let settings = loaded(&[chat, MODEL, price, TOOL, agent].concat()).unwrap();
        let model = &settings.models[0];
        assert_eq!((model.prompt_price, model.completion_price), (3.0, 1.5));
        let BackendSetting::Remote(remote) = &model.backend else { panic!("it has a url") };
        let place = remote.key.as_ref().map(|key| &key.place);
        assert_eq!((remote.attempts, place), (3, Some(&SecretPlace::Variable("KEY".to_owned()))));
        assert_eq!(settings.tools[0].parameters.check(r#"{"to":"a"}"#), Ok(()));
        assert!(settings.tools[0].parameters.check("{}").is_err());
        assert_eq!((settings.agents[0].max_rounds, settings.agents[0].max_tokens), (10, 5));
        let builtin = loaded("[[models]]\nname = \"b\"\npace = \"5ms\"\n").unwrap();
        assert_eq!(builtin.models[0].backend, BackendSetting::Builtin { pace: Duration::from_millis(5) });
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let agent = |name: &str, model: &str| format!("[[agents]]\nname = \"{name}\"\nmodel = \"{model}\"\n");
        for (text, begins) in [
            ("[[models]]\npace = \"5ms\"\n".to_owned(), "homeroom.toml:1: models.name: is missing"),
            (format!("{MODEL}prompt_price = -1\n"), "homeroom.toml:5: models.prompt_price: expected a number, 0 or greater"),
            (format!("{MODEL}key_file = \"a\"\nkey_variable = \"B\"\n"), "homeroom.toml:1: models.key_variable: expected either"),
            (format!("{MODEL}pace = \"1s\"\n"), "homeroom.toml:5: models.pace: is unknown here"),
            (MODEL.replace("http:", "ftp:"), "homeroom.toml:3: models.url: expected an http or https address"),
            (TOOL.replace("http://127.0.0.1:1", "mail"), "homeroom.toml:4: tools.url: expected an http or https address"),
            (format!("{MODEL}attempts = 0\n"), "homeroom.toml:5: models.attempts: expected a whole number, 1 or greater"),
            (format!("{MODEL}places = 0\n"), "homeroom.toml:5: models.places: expected a whole number, 1 or greater"),
            (format!("{MODEL}first_timeout = \"0s\"\n"), "homeroom.toml:5: models.first_timeout: expected a duration from 10ms"),
            (format!("{TOOL}timeout = \"25h\"\n"), "homeroom.toml:6: tools.timeout: expected a duration from 10ms to 24h"),
            (format!("{MODEL}{MODEL}"), "homeroom.toml:5: models: expected one model with the name \"m\""),
            (
                TOOL.replace("type = \"object\"", "type = \"nothing\""),
                "homeroom.toml:5: tools.parameters: expected a JSON Schema",
            ),
            (TOOL.replace("\"mail\"", "\"send mail\""), "homeroom.toml:1: tools: expected names of 1 to 64 letters"),
            (TOOL.replace("\"mail\"", "\"search\""), "homeroom.toml:1: tools: expected no tool with the name \"search\""),
            (
                format!("{TOOL}{}", TOOL.replace("\"mail\"", "\"search\"")),
                "homeroom.toml:6: tools: expected no tool with the name",
            ),
            (
                format!("{MODEL}{}{}", agent("tutor", "m"), agent("coach", "n")),
                "homeroom.toml:8: agents: the agent \"coach\" names a model",
            ),
            (
                "[[agents]]\nname = \"tutor\"\nmodel = \"m\"\n".to_owned(),
                "homeroom.toml:1: agents: the agent \"tutor\" names a model",
            ),
            (
                format!("{MODEL}[[agents]]\nname = \"tutor\"\nmodel = \"m\"\ntools = [\"mail\"]\n"),
                "homeroom.toml:5: agents: the agent \"tutor\" names a tool",
            ),
            (
                format!("{MODEL}[[agents]]\nname = \"a\"\nmodel = \"m\"\n"),
                "homeroom.toml:5: agents: expected an agent with the name that chat.default_agent has",
            ),
        ] {
            let told = loaded(&text).expect_err(&text);
            assert!(told.len() == 1 && told[0].starts_with(begins), "{text}: {told:?}");
        }
    }

    #[test]
    fn what_follows_from_a_list_that_is_wrong_is_not_told() {
        let agent = "[[agents]]\nname = \"tutor\"\nmodel = \"m\"\ntools = [\"mail\"]\n";
        for wrong in [format!("{MODEL}attempts = 0\n{TOOL}{agent}"), format!("{MODEL}{TOOL}timeout = \"25h\"\n{agent}")] {
            let told = loaded(&wrong).expect_err(&wrong);
            assert!(told.len() == 1 && !told[0].contains("agents"), "{told:?}");
        }
    }

    #[test]
    fn a_secret_that_cannot_be_had_is_told_with_its_place() {
        let file = format!("{MODEL}key_file = \"/nonexistent/key\"\n");
        let variable = format!("{TOOL}key_variable = \"HOMEROOM_NOBODY_SETS_THIS\"\n");
        let loaded = Loaded::of(&Layers::default().file("homeroom.toml", [file, variable].concat())).unwrap();
        let told: Vec<String> = loaded.unreadable_keys().iter().map(ToString::to_string).collect();
        let [model, tool] = told.as_slice() else { panic!("{told:?}") };
        assert!(model.starts_with("homeroom.toml:5: models.key_file: /nonexistent/key cannot be read"), "{model}");
        let expected = "homeroom.toml:11: tools.key_variable: the environment variable HOMEROOM_NOBODY_SETS_THIS is not set";
        assert_eq!(tool, expected);
    }
}
