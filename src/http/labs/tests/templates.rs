//! Templates.

use super::{
    super::fakes::{House, NOW, ask_as, at, template},
    refuses,
};
use crate::protocols::labs::{
    asks::{Ask, Reply},
    model::{Resources, Template, Vnc},
    record::{Kept, Page, Record},
};
use serde_json::{Value, json};
use std::rc::Rc;

#[test]
fn the_example_of_the_list() {
    let house = Rc::new(House::default());
    let expected = json!({
        "templates": [
            {
                "id": "880e8400-e29b-41d4-a716-446655440003",
                "name": "firefox-browser",
                "display_name": "Firefox Web Browser",
                "category": "Web Browsers",
                "description": "Mozilla Firefox web browser with privacy extensions",
                "base_image": "lscr.io/linuxserver/firefox:latest",
                "default_resources": {"memory": "2Gi", "cpu": "1000m"},
                "vnc": {"enabled": true, "port": 3000},
                "tags": ["browser", "web", "privacy"],
                "created_at": "2025-11-01T08:00:00Z",
                "updated_at": "2025-11-15T10:00:00Z"
            }
        ],
        "pagination": {"page": 1, "limit": 50, "total": 1, "total_pages": 1}
    });
    assert_eq!(ask_as("john", &house, "GET /templates", "").told(), (200, expected));
    assert_eq!((house.category.take(), house.page.get()), (None, Some(Page { page: 1, limit: 50 })));
    ask_as("john", &house, "GET /templates?category=Web%20Browsers&limit=7&page=2", "");
    assert_eq!((house.category.take(), house.page.get()), (Some("Web Browsers".into()), Some(Page { page: 2, limit: 7 })));
}

/// The contract's template, which admins send too.
fn example() -> Value {
    json!({
        "id": "880e8400-e29b-41d4-a716-446655440003",
        "name": "firefox-browser",
        "display_name": "Firefox Web Browser",
        "category": "Web Browsers",
        "description": "Mozilla Firefox web browser with privacy extensions",
        "base_image": "lscr.io/linuxserver/firefox:latest",
        "default_resources": {"memory": "2Gi", "cpu": "1000m", "storage": "10Gi"},
        "vnc": {"enabled": true, "port": 3000, "resolution": "1920x1080", "color_depth": 24},
        "environment": {"PUID": "1000", "PGID": "1000", "TZ": "UTC"},
        "persistent_home": true,
        "idle_timeout": "30m",
        "tags": ["browser", "web", "privacy"],
        "icon_url": "https://cdn.streamspace.io/icons/firefox.svg",
        "created_at": "2025-11-01T08:00:00Z",
        "updated_at": "2025-11-15T10:00:00Z"
    })
}

#[test]
fn the_example_of_one_template() {
    assert_eq!(ask_as("john", &Rc::default(), "GET /templates/firefox-browser", "").told(), (200, example()));
    assert_eq!(ask_as("john", &Rc::default(), "GET /templates/firefox%2Dbrowser", "").told(), (200, example()));
    for (path, name) in [("zzz", "zzz"), ("a%20b", "a b")] {
        let (status, body) = ask_as("john", &Rc::default(), &format!("GET /templates/{path}"), "").refused();
        assert_eq!((status, &body["code"]), (404, &json!("TEMPLATE_NOT_FOUND")));
        assert_eq!(body["message"], format!("No template with name '{name}' exists"));
    }
    assert_eq!(ask_as("john", &Rc::default(), "GET /templates/%zz", "").code(), (400, "VALIDATION_FAILED".into()));
}

fn kept(house: &House) -> (Template, bool) {
    let Some(Ask::Keep(Record::Template { template, replace })) = house.asked.take().pop() else {
        panic!("no template was kept")
    };
    (*template, replace)
}

#[test]
fn admins_make_templates() {
    let house = House::replying([Reply::Kept(Kept::Done)]);
    let (status, body) = ask_as("admin", &house, "POST /templates", example()).told();
    let (new, replace) = kept(&house);
    assert!(status == 201 && !replace && new.id != template().id && new.id.get_version_num() == 4);
    assert_eq!((new.created_at, new.updated_at), (at(NOW), at(NOW)));
    let mut expected = example();
    expected["id"] = json!(new.id);
    (expected["created_at"], expected["updated_at"]) = (json!(NOW), json!(NOW));
    assert_eq!(body, expected);
    assert_eq!(new, Template { id: new.id, created_at: at(NOW), updated_at: at(NOW), ..template() });

    let house = House::replying([Reply::Kept(Kept::Taken)]);
    let said = ask_as("admin", &house, "POST /templates", example());
    assert_eq!(said.code(), (409, "TEMPLATE_ALREADY_EXISTS".into()));
}

#[test]
fn a_template_needs_little() {
    let house = House::replying([Reply::Kept(Kept::Done)]);
    let (status, body) = ask_as("admin", &house, "POST /templates", json!({"name": "xterm", "base_image": "xterm"})).told();
    assert_eq!((status, &body["icon_url"], &body["environment"]), (201, &Value::Null, &json!({})));
    let (new, _) = kept(&house);
    assert_eq!((&*new.display_name, &*new.category, &*new.idle_timeout, new.persistent_home), ("xterm", "Other", "30m", true));
    assert_eq!(new.default_resources, Resources { memory: "2Gi".into(), cpu: "1000m".into(), storage: None });
    assert_eq!(new.vnc, Vnc { enabled: true, port: 5900, resolution: None, color_depth: None });
}

#[test]
fn templates_that_are_none() {
    let with = |field: &str, value: Value| {
        let mut body = example();
        body[field] = value;
        body
    };
    let wrong = "TEMPLATE_INVALID";
    refuses(
        "POST /templates",
        [
            (json!({"base_image": "a"}), "MISSING_REQUIRED_FIELD", "name"),
            (json!({"name": "a"}), "MISSING_REQUIRED_FIELD", "base_image"),
            (json!([]), "VALIDATION_FAILED", ""),
            (with("name", json!("a b")), wrong, "name"),
            (with("base_image", json!("a b")), wrong, "base_image"),
            (with("display_name", json!("x".repeat(201))), wrong, "display_name"),
            (with("default_resources", json!({"memory": "much"})), wrong, "default_resources.memory"),
            (with("default_resources", json!([])), wrong, "default_resources"),
            (with("vnc", json!({"port": 0})), wrong, "vnc.port"),
            (with("vnc", json!({"port": 65536})), wrong, "vnc.port"),
            (with("vnc", json!({"resolution": "big"})), wrong, "vnc.resolution"),
            (with("vnc", json!({"color_depth": 33})), wrong, "vnc.color_depth"),
            (with("icon_url", json!("javascript:alert(1)")), wrong, "icon_url"),
            (with("vnc", json!({"enabled": 1})), wrong, "vnc.enabled"),
            (with("environment", json!({"A": 1})), wrong, "environment"),
            (with("environment", json!({"A=B": "1"})), wrong, "environment"),
            (with("persistent_home", json!("no")), wrong, "persistent_home"),
            (with("idle_timeout", json!("soon")), wrong, "idle_timeout"),
            (with("tags", json!(["a,b"])), wrong, "tags"),
        ],
    );
    let renamed = with("name", json!("other"));
    refuses("PUT /templates/firefox-browser", [(renamed, wrong, "name"), (with("vnc", json!({"port": 0})), wrong, "vnc.port")]);
}

#[test]
fn admins_replace_and_remove_templates() {
    let house = House::replying([Reply::Kept(Kept::Done)]);
    let said = ask_as("admin", &house, "PUT /templates/firefox-browser", json!({"base_image": "other"}));
    let (status, body) = said.told();
    let (new, replace) = kept(&house);
    assert!(status == 200 && replace && new.id == template().id && new.created_at == template().created_at);
    assert_eq!(
        (&body["base_image"], &body["created_at"], &body["updated_at"]),
        (&json!("other"), &json!("2025-11-01T08:00:00Z"), &json!(NOW))
    );
    let said = ask_as("admin", &Rc::default(), "PUT /templates/zzz", json!({"base_image": "other"}));
    assert_eq!(said.code(), (404, "TEMPLATE_NOT_FOUND".into()));

    let house = House::replying([Reply::Kept(Kept::Done), Reply::Kept(Kept::Missing)]);
    assert_eq!(ask_as("admin", &house, "DELETE /templates/a", "").status, 204);
    assert_eq!(house.asked.take(), [Ask::Keep(Record::NoTemplate { name: "a".into() })]);
    assert_eq!(ask_as("admin", &house, "DELETE /templates/a", "").code(), (404, "TEMPLATE_NOT_FOUND".into()));
}
