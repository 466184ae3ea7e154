//! AsyncAPI 3.0 of sockets. It describes the server: what it receives is said by clients, what it sends they hear.

use super::{
    openapi::Scheme,
    operation::Parameter,
    schemas::{Schemas, inline},
};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// With which the server may close any socket (RFC 6455, section 7.4.1).
const CLOSES: [(u16, &str); 5] = [
    (1002, "This is not WebSocket"),
    (1007, "A text is not UTF-8"),
    (1009, "A message is too large"),
    (1012, "The server stops"),
    (1013, "Too much waits that is not read"),
];
/// After these the same client may come again, after a random pause.
const COME_BACK: [u16; 4] = [1001, 1011, 1012, 1013];

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    name: String,
    about: String,
    kind: &'static str,
    payload: Value,
}

impl Message {
    /// Every variant of an enum whose variants have a `type`, a message each.
    pub fn each<T: ToSchema>(schemas: &mut Schemas) -> Vec<Message> {
        let whole = inline::<T>(schemas);
        let variants = whole["oneOf"].as_array().cloned().unwrap_or_else(|| vec![whole]);
        variants.into_iter().map(Message::of_type).collect()
    }

    fn of_type(payload: Value) -> Message {
        let name = payload.pointer("/properties/type/enum/0").and_then(Value::as_str).unwrap_or_default().to_owned();
        let about = payload.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
        Message { name, about, kind: "application/json", payload }
    }

    /// One of this name, in JSON of this schema.
    pub fn json(name: &str, about: &str, payload: Value) -> Message {
        Message { name: name.to_owned(), about: about.to_owned(), kind: "application/json", payload }
    }

    /// One that is a text.
    pub fn text(name: &str, about: &str) -> Message {
        Message { name: name.to_owned(), about: about.to_owned(), kind: "text/plain", payload: json!({ "type": "string" }) }
    }

    /// One that is bytes.
    pub fn bytes(name: &str, about: &str) -> Message {
        let payload = json!({ "type": "string", "format": "binary" });
        Message { name: name.to_owned(), about: about.to_owned(), kind: "application/octet-stream", payload }
    }
}

/// A path where a WebSocket is.
#[derive(Clone, Debug)]
pub struct Socket {
    /// Short, and no other's of its API.
    pub name: &'static str,
    /// Where.
    pub path: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// What stands in braces, and what that is.
    pub in_path: &'static [(&'static str, &'static str)],
    /// Of the query.
    pub query: Vec<Parameter>,
    /// Schemes by any of which one may prove oneself.
    pub credentials: &'static [&'static str],
    /// What clients say.
    pub said: Vec<Message>,
    /// What they hear.
    pub heard: Vec<Message>,
    /// Statuses without an upgrade.
    pub refusals: Vec<(u16, &'static str)>,
    /// Codes in messages of errors, and what they say.
    pub errors: Vec<(String, String)>,
    /// Codes of a Close from the server, and why; beside those of every socket.
    pub closes: Vec<(u16, &'static str)>,
}

impl Socket {
    /// One where nothing is said or heard yet.
    pub fn new(name: &'static str, path: &'static str, about: &'static str) -> Socket {
        Socket {
            name,
            path,
            about,
            in_path: &[],
            query: Vec::new(),
            credentials: &[],
            said: Vec::new(),
            heard: Vec::new(),
            refusals: Vec::new(),
            errors: Vec::new(),
            closes: Vec::new(),
        }
    }
}

/// The sockets of one API.
#[derive(Debug)]
pub struct Sockets {
    /// Short, and no other's.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// By the names that sockets know them by.
    pub schemes: &'static [(&'static str, Scheme, &'static str)],
    /// All of them.
    pub sockets: fn(&mut Schemas) -> Vec<Socket>,
}

/// What is put together.
#[derive(Default)]
struct Parts {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
    schemas: Map<String, Value>,
    schemes: Map<String, Value>,
    tags: Vec<Value>,
}

/// The document of what one listener serves, each API under its prefix. `server`: its address (`127.0.0.1:8080`) and protocol (`wss`).
pub fn asyncapi(version: &str, server: Option<(&str, &str)>, apis: &[(&str, Sockets)]) -> Value {
    let here = |(host, protocol)| json!({ "here": { "host": host, "protocol": protocol, "description": "Where it listens" } });
    let mut parts = Parts::default();
    for (prefix, api) in apis {
        let mut schemas = Schemas::of(api.name);
        for socket in (api.sockets)(&mut schemas) {
            parts.add(prefix, api.name, socket);
        }
        debug_assert!(schemas.clashes().is_empty(), "names of two types: {:?}", schemas.clashes());
        parts.schemas.extend(schemas.found().clone());
        parts
            .schemes
            .extend(api.schemes.iter().map(|(name, scheme, about)| (format!("{}.{name}", api.name), of_socket(*scheme, about))));
        parts.tags.push(json!({ "name": api.name, "description": api.about }));
    }
    let Parts { channels, operations, messages, schemas, schemes, tags } = parts;
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Homeroom",
            "version": version,
            "description": "The sockets that this listener of Homeroom serves. Its routes are in /openapi.json.",
            "license": { "name": "MIT OR Apache-2.0" },
            "tags": tags,
        },
        "defaultContentType": "application/json",
        "servers": server.map_or_else(|| json!({}), here),
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas, "securitySchemes": schemes },
    })
}

impl Parts {
    fn add(&mut self, prefix: &str, api: &str, socket: Socket) {
        let name = format!("{api}.{}", socket.name);
        let mut of_channel = Map::new();
        for (operation, action, messages) in [("said", "receive", &socket.said), ("heard", "send", &socket.heard)] {
            if messages.is_empty() {
                continue;
            }
            let mut refs = Vec::new();
            for Message { name: message, about, kind, payload } in messages {
                let (key, whole) = (format!("{operation}.{message}"), format!("{name}.{operation}.{message}"));
                refs.push(json!({ "$ref": format!("#/channels/{name}/messages/{key}") }));
                of_channel.insert(key, json!({ "$ref": format!("#/components/messages/{whole}") }));
                let message = json!({ "name": message, "summary": about, "contentType": kind, "payload": payload });
                self.messages.insert(whole, message);
            }
            let security =
                socket.credentials.iter().map(|scheme| json!({ "$ref": format!("#/components/securitySchemes/{api}.{scheme}") }));
            let summary = if action == "receive" { "What clients say" } else { "What clients hear" };
            self.operations.insert(
                format!("{name}.{operation}"),
                json!({
                    "action": action,
                    "summary": summary,
                    "channel": { "$ref": format!("#/channels/{name}") },
                    "messages": refs,
                    "security": security.collect::<Vec<_>>(),
                }),
            );
        }
        let channel = channel(prefix, &socket, of_channel);
        self.channels.insert(name, channel);
    }
}

fn channel(prefix: &str, socket: &Socket, messages: Map<String, Value>) -> Value {
    let refusals = socket.refusals.iter().map(|(status, about)| json!({ "status": status, "description": about }));
    let errors = socket.errors.iter().map(|(code, about)| json!({ "code": code, "description": about }));
    let closes = CLOSES.iter().chain(&socket.closes);
    let closes = closes.map(|(code, about)| json!({ "code": code, "description": about, "come_back": COME_BACK.contains(code) }));
    let in_path: Map<String, Value> =
        socket.in_path.iter().map(|(name, about)| ((*name).to_owned(), json!({ "description": about }))).collect();
    let query: Map<String, Value> = socket.query.iter().map(|one| (one.name.to_owned(), described(one))).collect();
    let required: Vec<&str> = socket.query.iter().filter(|one| one.is_required).map(|one| one.name).collect();
    let mut binding = json!({ "method": "GET", "bindingVersion": "0.1.0" });
    if !query.is_empty() {
        binding["query"] = json!({ "type": "object", "properties": query, "required": required });
    }
    let mut channel = json!({
        "address": format!("{prefix}{}", socket.path),
        "description": socket.about,
        "messages": messages,
        "bindings": { "ws": binding },
        "x-refusals": refusals.collect::<Vec<_>>(),
        "x-errors": errors.collect::<Vec<_>>(),
        "x-close-codes": closes.collect::<Vec<_>>(),
    });
    if !in_path.is_empty() {
        channel["parameters"] = in_path.into();
    }
    channel
}

fn described(parameter: &Parameter) -> Value {
    let mut schema = parameter.schema.clone();
    schema["description"] = parameter.about.into();
    schema
}

/// AsyncAPI has another name for keys than OpenAPI.
fn of_socket(scheme: Scheme, about: &str) -> Value {
    let mut written = scheme.written(about);
    if written["type"] == "apiKey" {
        written["type"] = "httpApiKey".into();
    }
    written
}
