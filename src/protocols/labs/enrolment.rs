//! What agents say by HTTP: `POST /api/v1/agents/register` and `/api/v1/agents/{id}/heartbeat`, in the second dialect's names.

use super::{
    agent_messages::{self as messages, Fault, Fields},
    letters::{Capacity, Dialect, Hello},
};

/// Reads the body of a registration. The platform and the agent's name must be there.
///
/// # Errors
/// What is wrong with it, by the second dialect's names.
pub fn enrolment(body: &[u8]) -> Result<Hello, Fault> {
    let said = fields(body)?;
    let name = messages::required(said.agent_id, "agentId", messages::name)?;
    let platform = messages::required(said.platform, "platform", messages::name)?;
    let region = messages::optional(said.region, "region", |raw| match messages::text(raw)? {
        empty if empty.is_empty() => Some(empty),
        _ => messages::name(raw),
    })?;
    Ok(Hello {
        dialect: Dialect::Field,
        name: name.into(),
        platform: platform.into(),
        region: region.unwrap_or_default().into(),
        capacity: capacity(&said)?,
        metadata: messages::optional(said.metadata, "metadata", messages::object)?.unwrap_or_else(|| "{}".into()).into(),
    })
}

/// Reads the body of a heartbeat; it may be empty.
///
/// # Errors
/// What is wrong with it, by the second dialect's names.
pub fn heartbeat(body: &[u8]) -> Result<Capacity, Fault> {
    if body.trim_ascii().is_empty() { Ok(Capacity::default()) } else { capacity(&fields(body)?) }
}

fn fields(body: &[u8]) -> Result<Fields<'_>, Fault> {
    serde_json::from_slice(body).map_err(|_| Fault::Json)
}

fn capacity(said: &Fields<'_>) -> Result<Capacity, Fault> {
    messages::capacity(said).map_err(|fault| match fault {
        Fault::Wrong("capacity.max_sessions") => Fault::Wrong("capacity.maxSessions"),
        Fault::Wrong("capacity.max_cpu") => Fault::Wrong("capacity.cpu"),
        Fault::Wrong("capacity.max_memory") => Fault::Wrong("capacity.memory"),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration() {
        let body = br#"{"agentId": "k8s-1", "platform": "kubernetes", "region": "us-east-1", "x": 1, "metadata": {"v": "1.28"},
            "capacity": {"maxSessions": 100, "cpu": "64 cores", "memory": "256Gi", "storage": "1Ti"}}"#;
        let expected = Hello {
            dialect: Dialect::Field,
            name: "k8s-1".into(),
            platform: "kubernetes".into(),
            region: "us-east-1".into(),
            capacity: Capacity { max_sessions: Some(100), max_cpu: Some(64.0), max_memory: Some(256.0), current_sessions: None },
            metadata: r#"{"v": "1.28"}"#.into(),
        };
        assert_eq!(enrolment(body), Ok(expected));
        let least = enrolment(br#"{"agentId": "a", "platform": "docker", "region": "", "metadata": null}"#).unwrap();
        assert_eq!((&*least.region, &*least.metadata, least.capacity), ("", "{}", Capacity::default()));
    }

    #[test]
    fn a_registration_that_is_none() {
        for (body, fault) in [
            ("", Fault::Json),
            ("[]", Fault::Json),
            ("{}", Fault::Missing("agentId")),
            (r#"{"agentId": "a"}"#, Fault::Missing("platform")),
            (r#"{"agentId": "a b", "platform": "docker"}"#, Fault::Wrong("agentId")),
            (r#"{"agentId": "a", "platform": ""}"#, Fault::Wrong("platform")),
            (r#"{"agentId": "a", "platform": "docker", "region": "é"}"#, Fault::Wrong("region")),
            (r#"{"agentId": "a", "platform": "docker", "metadata": []}"#, Fault::Wrong("metadata")),
            (r#"{"agentId": "a", "platform": "docker", "capacity": {"cpu": "many"}}"#, Fault::Wrong("capacity.cpu")),
        ] {
            assert_eq!(enrolment(body.as_bytes()).unwrap_err(), fault, "{body}");
        }
        assert_eq!(enrolment(b"{\"agentId\": \"\xff\"}").unwrap_err(), Fault::Json);
    }

    #[test]
    fn a_heartbeat() {
        let said = heartbeat(br#"{"status": "online", "activeSessions": 15, "capacity": {"maxSessions": 20}}"#);
        assert_eq!(said, Ok(Capacity { max_sessions: Some(20), current_sessions: Some(15), ..Capacity::default() }));
        assert_eq!(heartbeat(b" "), Ok(Capacity::default()));
        assert_eq!(heartbeat(br#"{"activeSessions": -1}"#), Err(Fault::Wrong("activeSessions")));
        assert_eq!(heartbeat(br#"{"capacity": {"maxSessions": 0.5}}"#), Err(Fault::Wrong("capacity.maxSessions")));
    }
}
