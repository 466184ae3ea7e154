//! Its REST routes.

use super::{STEPS, State, Task, every, holder};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

impl State {
    pub(super) fn rest(self: Arc<State>, mut stream: TcpStream) {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 65_536]);
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8(bytes.clone()).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if body.len() < header("Content-Length: ").map_or(0, |length| length.parse().unwrap()) {
                continue;
            }
            let (method, path) = head.split_once(' ').unwrap();
            let path = path.split(' ').next().unwrap();
            let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
            let user = header("Authorization: Bearer ").and_then(|token| holder(&token));
            let (status, answer) = match (path.strip_prefix("/api/v1/"), user) {
                (Some(path), Some((user, _))) => self.route(method, path, user, &body),
                // Its metrics.
                _ => (200, Value::Null),
            };
            bytes.clear();
            let answer = answer.to_string();
            let _ =
                stream.write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).as_bytes());
            if head.contains("Connection: close") {
                return;
            }
        }
    }

    fn route(self: &Arc<State>, method: &str, path: &str, user: String, body: &Value) -> (u16, Value) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path.split('/').collect();
        match (method, parts.as_slice()) {
            ("POST", ["agents", "code-agent", "execute"]) if self.refuses() => (503, json!({ "detail": "busy" })),
            ("POST", ["agents", "code-agent", "execute"]) => {
                let mut town = self.town();
                (200, row(&self.make(&mut town, user, body["task"].clone())))
            }
            ("GET", ["tasks"]) => (200, self.list(&self.town().tasks, &user, query, row)),
            ("GET", ["tasks", id]) => match self.town().tasks.values().find(|task| task.id == *id && task.owner == user) {
                Some(task) => (200, row(task)),
                None => (404, json!({ "detail": "Task not found" })),
            },
            ("GET", ["orchestration", "workflows", "review"]) => {
                let needs = |place: usize| if place == 0 { json!([]) } else { json!([STEPS[place - 1]]) };
                let steps: Vec<Value> =
                    (0..STEPS.len()).map(|place| json!({ "id": STEPS[place], "needs": needs(place) })).collect();
                (200, json!({ "id": "review", "steps": steps }))
            }
            ("POST", ["orchestration", "executions"]) => {
                assert_eq!(body["workflow_id"], "review");
                (200, execution_row(&self.execute(user, body["input"].clone())))
            }
            ("GET", ["orchestration", "executions"]) => (200, self.list(&self.town().executions, &user, query, execution_row)),
            _ => (404, json!({ "detail": "Not found" })),
        }
    }

    /// The newest first.
    fn list(&self, all: &BTreeMap<u64, Task>, user: &str, query: &str, row: fn(&Task) -> Value) -> Value {
        let number = |name: &str, or: usize| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok()).unwrap_or(or)
        };
        let own = all.iter().rev().filter(|(_, task)| task.owner == user);
        let kept = own.filter(|(number, _)| !every(self.faults.forget_every, **number));
        let rows = kept.skip(number("offset", 0)).take(number("limit", 10)).map(|(number, task)| {
            let mut row = row(task);
            if every(self.faults.wrong_cost_every, *number) {
                row["cost"] = 7.into();
            }
            row
        });
        rows.collect()
    }
}

fn row(task: &Task) -> Value {
    json!({ "id": task.id, "task": task.what, "status": task.status, "progress": task.progress, "result": task.result,
        "error": task.error, "cost": task.cost, "user_id": task.owner })
}

fn execution_row(task: &Task) -> Value {
    json!({ "id": task.id, "workflow_id": "review", "input": task.what, "status": task.status, "current_step_id": STEPS[task.step],
        "results": task.result, "error": task.error, "cost": task.cost, "user_id": task.owner })
}
