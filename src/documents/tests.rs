//! Documents of small APIs.

use super::*;
use crate::documents::openapi::Rest;
use serde_json::{Value, json};
use utoipa::ToSchema;

#[derive(ToSchema)]
#[allow(dead_code)]
struct RoomShape<'a> {
    name: &'a str,
    seats: Option<u32>,
    doors: Vec<Door>,
}

#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum Door {
    Open,
    Shut,
}

mod other {
    #[derive(utoipa::ToSchema)]
    #[allow(dead_code)]
    pub(super) struct Door {
        height: u32,
    }
}

#[derive(ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(dead_code)]
enum Heard {
    /// Somebody knocks.
    KnockKnock {
        door: Door,
    },
    Silence {},
}

fn rest(operations: Vec<Operation>) -> Rest {
    Rest {
        name: "house",
        about: "Rooms",
        schemes: &[("key", Scheme::Header("x-key"), "A key")],
        path: |_| json!({ "type": "string" }),
        refusal: |_| Content::Text("text/plain"),
        always: &[500],
        of_credentials: &[401],
        of_query: &[422],
        of_body: &[400],
        headers: Vec::new,
        operations,
    }
}

#[test]
fn types_are_referred_to_by_the_name_of_their_api() {
    let mut schemas = Schemas::of("house");
    assert_eq!(
        list::<RoomShape<'_>>(&mut schemas),
        json!({ "type": "array", "items": { "$ref": "#/components/schemas/house.Room" } })
    );
    let room = &schemas.found()["house.Room"];
    assert_eq!(room["required"], json!(["name", "doors"]));
    assert_eq!(room["properties"]["seats"]["type"], json!(["integer", "null"]));
    assert_eq!(room["properties"]["doors"]["items"], json!({ "$ref": "#/components/schemas/house.Door" }));
    assert_eq!(schemas.found()["house.Door"]["enum"], json!(["open", "shut"]));
    assert!(schemas.clashes().is_empty());
    shape::<other::Door>(&mut schemas);
    assert_eq!(schemas.clashes(), ["house.Door"]);
}

#[test]
fn an_operation_refuses_by_what_it_takes() {
    let statuses = |operation: Operation| -> Vec<String> {
        let document = openapi("1", &[("/at", rest(vec![operation.answers(200, "Good", shape::<RoomShape<'_>>)]))]);
        let path = document["paths"].as_object().unwrap().values().next().unwrap();
        path["get"]["responses"].as_object().unwrap().keys().cloned().collect()
    };
    let get = |path| Operation::new("GET", path, "get", "Gets");
    assert_eq!(statuses(get("/a")), ["200", "500"]);
    assert_eq!(statuses(get("/{a}")), ["200", "400", "500"]);
    assert_eq!(statuses(get("/a").by(&["key"])), ["200", "401", "500"]);
    assert_eq!(statuses(get("/a").query(Parameter::new("q", json!({}), ""))), ["200", "422", "500"]);
    assert_eq!(statuses(get("/a").takes(shape::<RoomShape<'_>>).refuses(&[404])), ["200", "400", "404", "500"]);
}

#[test]
fn the_first_to_have_a_method_of_a_path_keeps_it() {
    let one = |summary| Operation::new("GET", "/a", "get", summary).also("/a/").answers(200, "Good", shape::<RoomShape<'_>>);
    let document = openapi("1", &[("", rest(vec![one("first")])), ("", Rest { name: "other", ..rest(vec![one("second")]) })]);
    assert_eq!(document["paths"]["/a"]["get"]["summary"], "first");
    assert_eq!(document["paths"]["/a/"]["get"]["operationId"], "house_getWithSlash");
    assert_eq!(document["components"]["securitySchemes"]["house.key"]["name"], "x-key");
}

#[test]
fn a_message_is_a_variant() {
    let sockets = |schemas: &mut Schemas| {
        let said = vec![Message::bytes("bytes", "Anything")];
        vec![Socket {
            said,
            heard: Message::each::<Heard>(schemas),
            closes: vec![(1008, "No")],
            ..Socket::new("door", "/ws", "A door")
        }]
    };
    let api = Sockets { name: "house", about: "Doors", schemes: &[("key", Scheme::Query("k"), "A key")], sockets };
    let document = asyncapi("1", Some(("host:1", "ws")), &[("/at", api)]);
    let channel = &document["channels"]["house.door"];
    assert_eq!(channel["address"], "/at/ws");
    let messages: Vec<_> = channel["messages"].as_object().unwrap().keys().collect();
    assert_eq!(messages, ["heard.knock_knock", "heard.silence", "said.bytes"]);
    let knock = &document["components"]["messages"]["house.door.heard.knock_knock"];
    assert_eq!((&knock["summary"], &knock["payload"]["required"]), (&json!("Somebody knocks."), &json!(["door", "type"])));
    assert_eq!(document["operations"]["house.door.said"]["action"], "receive");
    assert_eq!(document["operations"]["house.door.heard"]["action"], "send");
    assert_eq!(document["components"]["securitySchemes"]["house.key"]["type"], "httpApiKey");
    let closes: Vec<&Value> = channel["x-close-codes"].as_array().unwrap().iter().map(|close| &close["come_back"]).collect();
    assert_eq!(closes, [&json!(false), &json!(false), &json!(false), &json!(true), &json!(true), &json!(false)]);
}
