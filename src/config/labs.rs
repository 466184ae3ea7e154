//! Where labs are served, and the templates that a start puts into the store.

use super::{
    Bind,
    fault::Fault,
    setting::{Fields, Place, Setting},
};
use crate::protocols::labs::{
    given::template_flaw,
    model::{Resources, Template, Vnc},
};
use crate::realtime::UnixMicros;
use std::collections::BTreeMap;
use toml::{Spanned, de::DeValue};
use uuid::Uuid;

/// The address that labs are served at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Beside {
    /// Presence's, whatever it is: they share that listener.
    Presence,
    /// This one.
    Place(Bind),
}

impl Setting for Beside {
    const EXPECTED: &'static str =
        "an address with a port such as \"127.0.0.1:8081\", \"unix:/path\", \"systemd:name\", or \"presence\" for presence's own";
    fn scalar(value: &DeValue<'_>) -> Result<Beside, &'static str> {
        match value.as_str() {
            Some("presence") => Ok(Beside::Presence),
            Some(given) => Bind::parse(given).map(Beside::Place).ok_or(Self::EXPECTED),
            None => Err(Self::EXPECTED),
        }
    }
}

/// Where browsers find labs from outside, such as `https://labs.example.school`: a scheme, a host and perhaps a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebOrigin(String);

impl WebOrigin {
    /// As browsers write it.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl Setting for Option<WebOrigin> {
    const EXPECTED: &'static str = "an origin such as \"https://labs.example.school\" without a path, or an empty text for none";
    fn scalar(value: &DeValue<'_>) -> Result<Option<WebOrigin>, &'static str> {
        let given = value.as_str().ok_or(Self::EXPECTED)?;
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
        let is_origin = ["https://", "http://"].iter().filter_map(|scheme| given.strip_prefix(scheme)).any(|rest| {
            let authority = rest.parse::<http::uri::Authority>().ok().filter(|authority| !authority.host().is_empty());
            plain(rest)
                && authority.is_some_and(|authority| !rest.contains(':') || rest.ends_with(']') || authority.port_u16().is_some())
        });
        match given {
            "" => Ok(None),
            given if is_origin => Ok(Some(WebOrigin(given.to_owned()))),
            _ => Err(Self::EXPECTED),
        }
    }
}

/// A template as it is configured: its ids and times are dealt when it is seeded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeedTemplate(Template);

impl SeedTemplate {
    /// The template, with an id and the time at which it is made.
    pub fn dealt(&self, id: Uuid, now: UnixMicros) -> Template {
        Template { id, created_at: now, updated_at: now, ..self.0.clone() }
    }

    /// What sessions call it.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

impl Setting for SeedTemplate {
    const EXPECTED: &'static str = "a table with name, base_image and what else a template has";

    fn scalar(_: &DeValue<'_>) -> Result<SeedTemplate, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<SeedTemplate> {
        let before = faults.len();
        let template = template(value, place, faults)?;
        if faults.len() > before {
            return None;
        }
        match template_flaw(&template) {
            None => Some(SeedTemplate(template)),
            Some((field, expected)) => {
                let place = field.split('.').fold(place.clone(), |place, name| place.inside(name));
                faults.push(place.fault(value, lowered(expected)));
                None
            }
        }
    }
}

/// As faults of settings begin.
fn lowered(expected: &str) -> String {
    let mut letters = expected.chars();
    letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect()
}

fn template(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<Template> {
    let mut fields = Fields::of(value, place, faults);
    let name = fields.required::<String>("name", faults);
    let base_image = fields.required::<String>("base_image", faults);
    let display_name = fields.optional("display_name", faults);
    let category = fields.optional("category", faults);
    let description = fields.optional("description", faults);
    let default_resources = fields.optional::<Resources>("default_resources", faults);
    let vnc = fields.optional::<Vnc>("vnc", faults);
    let environment = fields.optional::<BTreeMap<String, String>>("environment", faults);
    let persistent_home = fields.optional("persistent_home", faults);
    let idle_timeout = fields.optional("idle_timeout", faults);
    let tags = fields.optional("tags", faults);
    let icon_url = fields.optional("icon_url", faults);
    fields.refuse_others(faults);
    let name = name?;
    Some(Template {
        id: Uuid::nil(),
        display_name: display_name.unwrap_or_else(|| name.clone()),
        name,
        category: category.unwrap_or_else(|| Template::CATEGORY.to_owned()),
        description: description.unwrap_or_default(),
        base_image: base_image?,
        default_resources: default_resources.unwrap_or_default(),
        vnc: vnc.unwrap_or_default(),
        environment: environment.unwrap_or_default(),
        persistent_home: persistent_home.unwrap_or(true),
        idle_timeout: idle_timeout.unwrap_or_else(|| Template::IDLE_TIMEOUT.to_owned()),
        tags: tags.unwrap_or_default(),
        icon_url,
        created_at: UnixMicros(0),
        updated_at: UnixMicros(0),
    })
}

impl Setting for Resources {
    const EXPECTED: &'static str = "a table with memory, cpu and storage";

    fn scalar(_: &DeValue<'_>) -> Result<Resources, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<Resources> {
        let mut fields = Fields::of(value, place, faults);
        let default = Resources::default();
        let resources = Resources {
            memory: fields.optional("memory", faults).unwrap_or(default.memory),
            cpu: fields.optional("cpu", faults).unwrap_or(default.cpu),
            storage: fields.optional("storage", faults),
        };
        fields.refuse_others(faults);
        Some(resources)
    }
}

/// Bits.
struct ColorDepth(u8);

impl Setting for ColorDepth {
    const EXPECTED: &'static str = "a whole number from 1 to 32";
    const PLAIN: bool = false;
    fn scalar(value: &DeValue<'_>) -> Result<ColorDepth, &'static str> {
        let depth = u16::scalar(value).ok().and_then(|depth| u8::try_from(depth).ok());
        depth.filter(|depth| (1..=32).contains(depth)).map(ColorDepth).ok_or(Self::EXPECTED)
    }
}

impl Setting for Vnc {
    const EXPECTED: &'static str = "a table with enabled, port, resolution and color_depth";

    fn scalar(_: &DeValue<'_>) -> Result<Vnc, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<Vnc> {
        let mut fields = Fields::of(value, place, faults);
        let default = Vnc::default();
        let vnc = Vnc {
            enabled: fields.optional("enabled", faults).unwrap_or(default.enabled),
            port: fields.optional("port", faults).unwrap_or(default.port),
            resolution: fields.optional("resolution", faults),
            color_depth: fields.optional("color_depth", faults).map(|ColorDepth(depth)| depth),
        };
        fields.refuse_others(faults);
        Some(vnc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Api, Fault, Layers, Loaded, Settings, settings::Labs};

    fn file(text: &str) -> Layers {
        Layers::default().file("homeroom.toml", text)
    }

    fn settings(text: &str) -> Settings {
        Loaded::of(&file(text)).unwrap_or_else(|faults| panic!("{faults}")).settings
    }

    fn faults(text: &str) -> Vec<String> {
        Loaded::of(&file(text)).expect_err("there is a fault").0.iter().map(Fault::to_string).collect()
    }

    #[test]
    fn nothing_is_asked_of_agents_and_nothing_seeded_by_default() {
        let own = settings("data_dir = \"d\"");
        assert_eq!(own.users_key_file(), std::path::PathBuf::from("d/keys/labs.hs256"));
        let Labs { agent_key_file, templates, .. } = &own.labs;
        assert!(agent_key_file.is_none() && templates.is_empty());
    }

    #[test]
    fn labs_go_where_presence_goes_unless_told_otherwise() {
        let served = |text: &str| -> Vec<Vec<Api>> {
            let listeners = settings(text).listeners();
            listeners.iter().map(|listener| listener.serves.iter().map(|(api, _)| *api).collect()).collect()
        };
        let together = [vec![Api::Presence, Api::Labs], vec![Api::Quiz], vec![Api::Chat], vec![Api::Internal]];
        assert_eq!(served(""), together);
        assert_eq!(served("listen.presence.bind = \"0.0.0.0:8080\""), together);
        assert_eq!(served("listen.presence.bind = \"127.0.0.1:0\""), together, "one port for both");
        assert_eq!(served("listen.presence.prefix = \"/presence\""), together);
        assert_eq!(
            served("listen.labs.bind = \"127.0.0.1:8090\""),
            [vec![Api::Presence], vec![Api::Quiz, Api::Labs], vec![Api::Chat], vec![Api::Internal]]
        );
        assert_eq!(served("listen.labs.bind = \"127.0.0.1:8081\"").len(), 5);
    }

    #[test]
    fn labs_and_the_internal_routes_would_meet() {
        let told = faults("listen.internal.bind = \"127.0.0.1:8080\"\nlisten.presence.prefix = \"/presence\"\n");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("homeroom.toml:1: listen.internal.bind: labs and internal share a listener"), "{told:?}");
        let told = faults("listen.labs.bind = \"127.0.0.1:9090\"\n");
        assert!(told[0].starts_with("homeroom.toml:1: listen.labs.bind: labs and internal share a listener"), "{told:?}");
        let told = faults("listen.labs.bind = \"0.0.0.0:8080\"\n");
        assert!(told[0].starts_with("homeroom.toml:1: listen.labs.bind: presence and labs clash"), "{told:?}");
        let told = faults("listen.labs.bind = \"nowhere\"\n");
        assert!(told[0].ends_with("or \"presence\" for presence's own, found another text"), "{told:?}");
    }

    #[test]
    fn an_origin_has_a_scheme_and_a_host_and_nothing_more() {
        let origin = |text: &str| settings(&format!("listen.labs.origin = \"{text}\"")).listen.labs.origin;
        for text in ["https://labs.example.school", "http://127.0.0.1:8080", "http://[::1]:8080", "http://[::1]"] {
            assert_eq!(origin(text).unwrap().text(), text);
        }
        assert_eq!(origin(""), None);
        for text in [
            "labs",
            "ftp://labs",
            "https://",
            "https://labs/",
            "https://labs/x",
            "https://u@labs",
            "https://a;b",
            "http://a:b",
            "http://a b",
        ] {
            let told = faults(&format!("listen.labs.origin = \"{text}\""));
            assert!(told[0].starts_with("homeroom.toml:1: listen.labs.origin: expected an origin such as"), "{told:?}");
        }
    }

    #[test]
    fn relations_between_keys_are_checked() {
        for (text, begins) in [
            ("[labs]\nheartbeats_missed = 0", "homeroom.toml:2: labs.heartbeats_missed: expected at least 1"),
            ("[labs]\nlogins_a_minute = 0", "homeroom.toml:2: labs.logins_a_minute: expected at least 1"),
            (
                "[labs]\nlogins_a_minute = -1",
                "homeroom.toml:2: labs.logins_a_minute: expected a whole number from 0 to 4294967295",
            ),
            ("[labs]\nstop_retry = \"0s\"", "homeroom.toml:2: labs.stop_retry: expected a duration from 10ms to 24h"),
            ("[labs]\ntunnel_window = \"127KiB\"", "homeroom.toml:2: labs.tunnel_window: expected a size from"),
            ("[labs]\nearly_bytes = \"2MiB\"", "homeroom.toml:2: labs.early_bytes: expected early_bytes to be no more"),
            ("[labs]\nnamespace = \"a b\"", "homeroom.toml:2: labs.namespace: expected 1 to 64 letters"),
        ] {
            let told = faults(text);
            assert!(told.len() == 1 && told[0].starts_with(begins), "{text}: {told:?}");
        }
    }

    const TWO: &str =
        "[[labs.templates]]\nname = \"a\"\nbase_image = \"one\"\n[[labs.templates]]\nname = \"b\"\nbase_image = \"two\"\n";

    #[test]
    fn a_template_that_says_little_has_what_one_over_rest_would_have() {
        let settings = settings(TWO);
        let [one, two] = settings.labs.templates.as_slice() else { panic!("two") };
        assert_eq!((one.name(), two.name()), ("a", "b"));
        let template = one.dealt(Uuid::from_u128(7), UnixMicros(5));
        assert_eq!((template.id, template.created_at, template.updated_at), (Uuid::from_u128(7), UnixMicros(5), UnixMicros(5)));
        assert_eq!(
            (template.display_name.as_str(), template.category.as_str(), template.idle_timeout.as_str()),
            ("a", "Other", "30m")
        );
        assert_eq!((template.vnc.port, template.persistent_home), (5900, true));
        assert_eq!((template.default_resources.memory.as_str(), template.default_resources.cpu.as_str()), ("2Gi", "1000m"));
    }

    #[test]
    fn faults_in_templates_name_line_and_field() {
        let text = "[[labs.templates]]\nname = \"a\"\nbase_image = \"one\"\nvnc = { port = 0 }\n\
                    [[labs.templates]]\nname = \"b c\"\nbase_image = \"x\"\n\
                    [[labs.templates]]\nname = \"d\"\nimage = \"y\"\ndefault_resources = { memory = \"much\" }\n\
                    [[labs.templates]]\nname = \"e\"\nbase_image = \"x\"\ndefault_resources = { memory = \"much\" }\n\
                    [[labs.templates]]\nname = \"f\"\nbase_image = \"x\"\nvnc = { color_depth = 64 }\n";
        assert_eq!(
            faults(text),
            [
                "homeroom.toml:1: labs.templates.vnc.port: expected a port from 1 to 65535",
                "homeroom.toml:5: labs.templates.name: expected 1 to 64 letters, digits and . _ -",
                "homeroom.toml:8: labs.templates.base_image: is missing: expected a text that is not empty",
                "homeroom.toml:10: labs.templates.image: is unknown here: expected one of name, base_image, display_name, category, \
                 description, default_resources, vnc, environment, persistent_home, idle_timeout, tags, icon_url",
                "homeroom.toml:12: labs.templates.default_resources.memory: expected a quantity such as 2Gi or 512Mi",
                "homeroom.toml:19: labs.templates.vnc.color_depth: expected a whole number from 1 to 32, found a whole number",
            ]
        );
        let twice = format!("{TWO}{TWO}");
        assert_eq!(faults(&twice).len(), 2, "each name that is there again");
    }

    #[test]
    fn an_agents_key_that_cannot_be_read_is_told() {
        let loaded = Loaded::of(&file("labs.agent_key_file = \"/nonexistent/key\"\n")).unwrap();
        let told: Vec<String> = loaded.unreadable_keys().iter().map(Fault::to_string).collect();
        assert!(told[0].starts_with("homeroom.toml:1: labs.agent_key_file: /nonexistent/key cannot be read"), "{told:?}");
    }
}
