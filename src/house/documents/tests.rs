//! The documents and the routes say the same.

use super::*;
use crate::{
    config::{Bind, Prefix, TlsFiles},
    house::rest,
    protocols::chat,
    protocols::tasks,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ALL: [Api; 5] = [Api::Presence, Api::Quiz, Api::Labs, Api::Chat, Api::Internal];

fn listener(serves: &[(Api, &str)]) -> Listener {
    let serves = serves.iter().map(|(api, prefix)| (*api, Prefix::from(*prefix))).collect();
    Listener { bind: Bind::Address(([127, 0, 0, 1], 8080).into()), serves, tls: None, proxy: Default::default() }
}

/// Each API alone, and all of them at one place.
fn listeners() -> Vec<Listener> {
    let shared =
        ALL.map(|api| (api, if api == Api::Presence { "" } else { ["", "/quiz", "/labs", "/chat", "/internal"][api as usize] }));
    let beside = [(Api::Presence, ""), (Api::Labs, "")];
    ALL.map(|api| listener(&[(api, "")])).into_iter().chain([listener(&shared), listener(&beside)]).collect()
}

/// Both documents of a listener: of its routes, of its sockets.
fn both(listener: &Listener) -> [Value; 2] {
    let (routes, sockets) = of_listener(listener);
    [openapi("1", &routes), asyncapi("1", server(listener).as_ref().map(|(host, protocol)| (&**host, *protocol)), &sockets)]
}

fn objects<'a>(value: &'a Value, at: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.pointer(at).and_then(Value::as_object).into_iter().flatten()
}

#[test]
fn every_route_is_in_the_document_and_nothing_else() {
    for listener in listeners() {
        let documents = documents(&listener);
        let table = rest::table(&listener, (&chat::Settings::default(), &tasks::Settings::default()), &documents);
        let served: BTreeSet<_> = table.places().map(|(method, path)| (method.to_string(), path.to_owned())).collect();
        // The documents themselves are told of once, without a prefix.
        let is_own = |(_, path): &(String, String)| {
            listener.serves.iter().any(|(_, prefix)| {
                !prefix.is_empty() && (*path == format!("{prefix}/openapi.json") || *path == format!("{prefix}/asyncapi.json"))
            })
        };
        let served: BTreeSet<_> = served.into_iter().filter(|place| !is_own(place)).collect();
        let [document, _] = both(&listener);
        let told: BTreeSet<_> = objects(&document, "/paths")
            .flat_map(|(path, methods)| objects(methods, "").map(move |(method, _)| (method.to_uppercase(), path.clone())))
            .collect();
        assert_eq!(served, told, "{:?}", listener.serves);
    }
}

#[test]
fn every_socket_is_a_path_that_wants_an_upgrade_and_the_other_way_round() {
    for listener in listeners() {
        let [routes, sockets] = both(&listener);
        let channels: BTreeSet<_> =
            objects(&sockets, "/channels").map(|(_, channel)| channel["address"].as_str().unwrap()).collect();
        let wanted = objects(&routes, "/paths").filter(|(path, methods)| {
            let answers = &methods["get"]["responses"];
            // Presence answers 400, as its contract has it; logs are read without an upgrade too.
            answers["426"].is_object() || path.ends_with("/ws") && answers["400"].is_object() || path.ends_with("/logs")
        });
        let wanted: BTreeSet<_> = wanted.map(|(path, _)| path.as_str()).collect();
        assert_eq!(channels, wanted, "{:?}", listener.serves);
    }
}

#[test]
fn what_is_referred_to_is_there_and_no_name_means_two_things() {
    for listener in listeners() {
        for document in both(&listener) {
            refer(&document, &document);
        }
        let [routes, _] = both(&listener);
        let operations = objects(&routes, "/paths").flat_map(|(_, methods)| objects(methods, ""));
        let ids: Vec<_> = operations.map(|(_, operation)| operation["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "{ids:?}");
    }
}

fn refer(within: &Value, document: &Value) {
    match within {
        Value::Object(fields) => {
            if let Some(Value::String(at)) = fields.get("$ref") {
                let at = at.strip_prefix('#').expect("nothing refers to another document");
                assert!(document.pointer(at).is_some(), "{at}");
            }
            fields.values().for_each(|field| refer(field, document));
        }
        Value::Array(items) => items.iter().for_each(|item| refer(item, document)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn sockets_are_told_to_be_where_clients_find_them() {
    let own = |listener: &Listener| both(listener)[1]["servers"].clone();
    let bare = listener(&[(Api::Quiz, "")]);
    assert_eq!((&own(&bare)["here"]["host"], &own(&bare)["here"]["protocol"]), (&json!("127.0.0.1:8080"), &json!("ws")));
    let files = TlsFiles { certificate: "c.pem".into(), key: "k.pem".into(), min_version: Default::default() };
    let sealed = Listener { tls: Some(files), ..bare.clone() };
    assert_eq!(own(&sealed)["here"]["protocol"], "wss");
    // Files of this machine are nobody else's business.
    assert_eq!(own(&Listener { bind: Bind::Unix("/run/quiz.sock".into()), ..bare }), json!({}));
}

#[test]
fn who_must_prove_himself_hears_that_he_has_not() {
    for listener in listeners() {
        let [routes, _] = both(&listener);
        for (path, methods) in objects(&routes, "/paths") {
            for (method, operation) in objects(methods, "") {
                let is_open = operation["security"].as_array().unwrap().contains(&json!({}));
                assert!(is_open || operation["responses"]["401"].is_object(), "{method} {path}");
                let good = objects(operation, "/responses").any(|(status, _)| status.starts_with('2'));
                let never =
                    path.ends_with("/ws") || path.contains("/ws/") || path.contains("vnc-viewer") || path.ends_with("{action}");
                assert!(good || never || path.ends_with("/connect"), "{method} {path} never succeeds");
            }
        }
    }
}
