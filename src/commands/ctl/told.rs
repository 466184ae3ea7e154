//! What the server answers, for people.

use crate::top::span;
use serde_json::Value;
use std::fmt::Write;

/// Of `status`.
pub(super) fn status(answer: &Value) -> String {
    let text = |name: &str| answer[name].as_str().unwrap_or("?").to_owned();
    let number = |name: &str| answer[name].as_u64().unwrap_or_default();
    let up = span(answer["uptime_seconds"].as_f64().unwrap_or_default());
    let mut lines = vec![format!("homeroom {} is {}, since {up}", text("version"), text("phase"))];
    if let Some(drain) = answer["drain"].as_object() {
        let seconds = |name: &str| drain.get(name).and_then(Value::as_f64).unwrap_or_default();
        lines.push(format!("drain        {:.0} s of {:.0} s at most", seconds("elapsed_seconds"), seconds("limit_seconds")));
    }
    lines.push(match answer["ready"].as_bool() {
        Some(true) => "ready        yes".to_owned(),
        _ => format!("ready        no: {}", texts(&answer["reasons"]).join("; ")),
    });
    lines.push(format!("shards       {}", number("shards")));
    lines.push(format!("connections  {}", number("connections")));
    let sockets = answer["sockets"].as_object().into_iter().flatten();
    let sockets: Vec<String> = sockets.map(|(api, count)| format!("{api} {}", count.as_u64().unwrap_or_default())).collect();
    lines.push(format!("sockets      {}", sockets.join(", ")));
    lines.push(format!("classrooms   {} with {} members", number("classrooms"), number("members")));
    lines.push(format!("slow readers {} closed so far", number("slow_readers")));
    lines.join("\n") + "\n"
}

/// Of `kick`.
pub(super) fn kicked(answer: &Value) -> String {
    let closed = answer["closed"].as_u64().unwrap_or_default();
    let mut text = match closed {
        0 => "nobody such is connected to this node\n".to_owned(),
        1 => "1 connection is ended\n".to_owned(),
        many => format!("{many} connections are ended\n"),
    };
    match answer["silent_shards"].as_u64().unwrap_or_default() {
        0 => {}
        silent => text += &format!("{silent} shards did not answer in time: they may do it later\n"),
    }
    text
}

/// Of `reload`.
pub(super) fn reloaded(answer: &Value) -> String {
    let listed = |name: &str| Some(texts(&answer[name]).join(", ")).filter(|list| !list.is_empty());
    let changed = listed("changed").unwrap_or_else(|| "nothing".to_owned());
    let mut text = format!("read again; changed: {changed}\n");
    if let Some(keys) = listed("keys") {
        let _ = writeln!(text, "other keys: {keys}");
    }
    if let Some(waiting) = listed("waiting") {
        let _ = writeln!(text, "these have changed and need a restart: {waiting}");
    }
    text
}

/// Of a `reload` that was refused.
pub(super) fn refused(faults: &[String]) -> String {
    let mut text = "nothing was changed:".to_owned();
    for fault in faults {
        let _ = write!(text, "\n  {fault}");
    }
    text
}

/// Of `drain`.
pub(super) fn drained(answer: &Value) -> String {
    format!("the server drains, for {} at most, and ends\n", span(answer["at_most_seconds"].as_f64().unwrap_or_default()))
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_is_read_from_above() {
        let mut answer = json!({
            "version": "1.0", "uptime_seconds": 3723.4, "phase": "serving", "drain": null, "ready": true, "reasons": [], "shards": 2,
            "connections": 12, "sockets": {"chat": 1, "presence": 9}, "classrooms": 3, "members": 9, "slow_readers": 4
        });
        let expected = "homeroom 1.0 is serving, since 1 h 2 min\nready        yes\nshards       2\nconnections  12\n\
                        sockets      chat 1, presence 9\nclassrooms   3 with 9 members\nslow readers 4 closed so far\n";
        assert_eq!(status(&answer), expected);
        answer["ready"] = false.into();
        answer["reasons"] = json!(["stopping", "store: busy"]);
        answer["drain"] = json!({"elapsed_seconds": 2.2, "limit_seconds": 10.0});
        let said = status(&answer);
        assert!(said.contains("ready        no: stopping; store: busy\n") && said.contains("drain        2 s of 10 s"), "{said}");
    }

    #[test]
    fn what_was_done_is_a_sentence() {
        assert_eq!(kicked(&json!({"closed": 1, "silent_shards": 0})), "1 connection is ended\n");
        assert_eq!(kicked(&json!({"closed": 0, "silent_shards": 0})), "nobody such is connected to this node\n");
        assert!(kicked(&json!({"closed": 2, "silent_shards": 1})).contains("1 shards did not answer"));
        assert_eq!(reloaded(&json!({"changed": [], "keys": [], "waiting": []})), "read again; changed: nothing\n");
        let said = reloaded(&json!({"changed": ["log.level"], "keys": ["quiz tokens of x"], "waiting": ["shards"]}));
        assert!(["log.level", "quiz tokens of x", "restart: shards"].iter().all(|word| said.contains(word)), "{said}");
        assert_eq!(refused(&["a".into(), "b".into()]), "nothing was changed:\n  a\n  b");
        assert_eq!(drained(&json!({"at_most_seconds": 10.0})), "the server drains, for 10 s at most, and ends\n");
    }
}
