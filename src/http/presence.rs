//! The public REST routes of presence: who is in the classroom, how many, and since when.

pub mod document;

use super::{
    answer::{self, Answer},
    attendance,
    call::Call,
    fault::Fault,
    rooms::{Accounts, Classrooms, Clock},
    table::Route,
};
use crate::{protocols::presence::asks::Member, realtime::ClassroomId};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Members in one answer: the default, and the most.
const MEMBERS: usize = 1000;

/// What is said of a path without a classroom id in it.
pub(super) const NO_CLASSROOM: &str = "the path needs the uuid of a classroom";

/// Every route, in the order of the contract page.
pub fn routes<S: Classrooms + Accounts + Clock + 'static>() -> Vec<Route<S>> {
    vec![
        Route::public(Method::GET, "/healthz", healthz),
        Route::public(Method::GET, "/ws", ws),
        Route::public(Method::GET, "/api/v1/classrooms/{classroom}/agents", agents),
        Route::public(Method::POST, "/api/v1/counters/agent", counters),
        Route::public(Method::GET, "/api/v1/classrooms/{classroom}/attendance", attended),
    ]
}

async fn healthz<S>(_: Call<S>) -> Result<Answer, Fault> {
    Ok(answer::text(StatusCode::OK, "Ok"))
}

/// Upgrades never come here: the ring keeps them.
async fn ws<S>(_: Call<S>) -> Result<Answer, Fault> {
    Err(Fault::Unreadable("this path is for WebSocket upgrades"))
}

#[derive(Serialize, utoipa::ToSchema)]
struct Agent {
    sequence_id: i64,
    agent_id: String,
}

impl From<Member> for Agent {
    fn from(Member { sequence_id, agent_id }: Member) -> Agent {
        Agent { sequence_id, agent_id }
    }
}

async fn agents<S: Classrooms + Accounts>(call: Call<S>) -> Result<Answer, Fault> {
    let classroom = readable(&call).await?;
    let after = call.number("sequence_id", 0, "sequence_id is a whole number")?;
    let limit = call.number("limit", MEMBERS, "limit is a whole number, not negative")?.min(MEMBERS);
    let members = call.house.members(classroom, after, limit).await.map_err(Fault::Store)?;
    Ok(answer::json(StatusCode::OK, &members.into_iter().map(Agent::from).collect::<Vec<_>>()))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct Rooms {
    #[schema(value_type = Vec<Uuid>)]
    classroom_ids: Vec<ClassroomId>,
}

async fn counters<S: Classrooms + Accounts>(call: Call<S>) -> Result<Answer, Fault> {
    call.caller()?;
    let Rooms { mut classroom_ids } = call.json(r#"expected {"classroom_ids": [uuid, …]}"#)?;
    classroom_ids.sort_unstable();
    classroom_ids.dedup();
    let counts = call.house.counts(classroom_ids).await.map_err(Fault::Store)?;
    Ok(answer::json(StatusCode::OK, &counts.into_iter().collect::<BTreeMap<_, _>>()))
}

async fn attended<S: Classrooms + Accounts + Clock>(call: Call<S>) -> Result<Answer, Fault> {
    let classroom = readable(&call).await?;
    attendance::answer(&call, classroom).await
}

/// The classroom of the path, if the caller may read it.
async fn readable<S: Classrooms + Accounts>(call: &Call<S>) -> Result<ClassroomId, Fault> {
    let account = call.caller()?.account;
    let classroom = call.param("classroom", NO_CLASSROOM)?;
    match call.house.permitted(&account.subject, &account.audience, classroom, "read").await {
        true => Ok(classroom),
        false => Err(Fault::Denied),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{
        fakes::{self, BUSY, FULL, House, Said},
        table::Table,
    };
    use std::rc::Rc;

    fn ask(request: &str) -> Said {
        fakes::ask(&table(), &Rc::new(House::default()), request)
    }

    fn table() -> Table<House> {
        Table::default().with("", routes()).unwrap()
    }

    #[test]
    fn health_is_told_to_anyone() {
        let said = ask("GET /healthz");
        assert_eq!((said.status, said.kind(), said.body.as_str()), (200, "text/plain; charset=utf-8", "Ok"));
        assert_eq!(ask("HEAD /healthz").status, 200);
    }

    #[test]
    fn the_socket_route_without_an_upgrade_is_a_bad_request() {
        let said = ask("GET /ws");
        assert_eq!((said.status, said.kind()), (400, "text/plain; charset=utf-8"));
    }

    #[test]
    fn the_list_is_ordered_and_pages() {
        let path = format!("GET /api/v1/classrooms/{FULL}/agents");
        let said = ask(&format!("{path}\nauthorization: Bearer good"));
        let all = r#"[{"sequence_id":1,"agent_id":"web.u1.dev"},{"sequence_id":2,"agent_id":"web.u2.dev"},{"sequence_id":9,"agent_id":"=web.u3.dev"}]"#;
        assert_eq!((said.status, said.kind(), said.body.as_str()), (200, "application/json", all));
        let said = ask(&format!("{path}?sequence_id=1&limit=1&access_token=good"));
        assert_eq!(said.body, r#"[{"sequence_id":2,"agent_id":"web.u2.dev"}]"#);
    }

    #[test]
    fn a_limit_above_the_most_is_the_most() {
        let house = Rc::new(House::default());
        for (limit, asked) in [("", 1000), ("&limit=1000", 1000), ("&limit=5000", 1000), ("&limit=0", 0)] {
            let said = fakes::ask(&table(), &house, &format!("GET /api/v1/classrooms/{FULL}/agents?access_token=good{limit}"));
            assert_eq!((said.status, house.limit.get()), (200, asked), "{limit}");
        }
    }

    #[test]
    fn a_classroom_may_be_written_in_upper_case_or_without_dashes() {
        for id in [FULL.to_uppercase(), FULL.replace('-', "")] {
            let said = ask(&format!("GET /api/v1/classrooms/{id}/agents?limit=1\nauthorization: Bearer good"));
            assert_eq!(said.body, r#"[{"sequence_id":1,"agent_id":"web.u1.dev"}]"#);
        }
    }

    #[test]
    fn bad_paths_and_queries_are_bad_requests_in_text() {
        for path in [
            "rubbish/agents".into(),
            format!("{FULL}/agents?limit=-1"),
            format!("{FULL}/agents?limit=x"),
            format!("{FULL}/agents?sequence_id=1.5"),
            format!("{FULL}/agents?limit=1&limit=2"),
            format!("{FULL}/attendance?from=yesterday"),
            format!("{FULL}/attendance?to=99999999999999999"),
            format!("{FULL}/attendance?from=200&to=100"),
            format!("{FULL}/attendance?format=xml"),
        ] {
            let said = ask(&format!("GET /api/v1/classrooms/{path}\nauthorization: Bearer good"));
            assert_eq!((said.status, said.kind()), (400, "text/plain; charset=utf-8"), "{path}");
        }
    }

    #[test]
    fn who_calls_must_say_so() {
        for request in [
            format!("GET /api/v1/classrooms/{FULL}/agents"),
            format!("GET /api/v1/classrooms/{FULL}/attendance"),
            "POST /api/v1/counters/agent".into(),
        ] {
            let said = ask(&request);
            assert_eq!((said.status, said.error()), (401, ("no_authentication_token".into(), 401)), "{request}");
            let said = ask(&format!("{request}\nauthorization: Bearer bad"));
            assert_eq!((said.status, said.error()), (401, ("invalid_authentication".into(), 401)), "{request}");
            assert!(!said.body.contains("bad"));
        }
    }

    #[test]
    fn who_may_not_read_is_denied() {
        for what in ["agents", "attendance"] {
            let said = ask(&format!("GET /api/v1/classrooms/{FULL}/{what}\nauthorization: Bearer stranger"));
            assert_eq!((said.status, said.error()), (403, ("access_denied".into(), 403)));
        }
    }

    #[test]
    fn counts_leave_empty_rooms_out() {
        let empty = "00000000-0000-0000-0000-000000000001";
        let body = format!(r#"{{"classroom_ids":["{}","{FULL}","{empty}"],"more":1}}"#, FULL.to_uppercase());
        let said = ask(&format!("POST /api/v1/counters/agent\nauthorization: Bearer good\n\n{body}"));
        assert_eq!((said.status, said.body), (200, format!(r#"{{"{FULL}":3}}"#)));
    }

    #[test]
    fn counts_tell_no_json_from_json_of_the_wrong_shape() {
        for (body, status) in [
            ("", 400),
            ("{", 400),
            ("{}", 422),
            (r#"{"classroom_ids":["x"]}"#, 422),
            (r#"{"classroom_ids":["x"]"#, 400),
            (r#"{"classroom_ids":"x"}"#, 422),
            ("[1]", 422),
        ] {
            let said = ask(&format!("POST /api/v1/counters/agent\nauthorization: Bearer good\n\n{body}"));
            assert_eq!((said.status, said.kind()), (status, "text/plain; charset=utf-8"), "{body}");
        }
    }

    #[test]
    fn attendance_is_json_or_csv() {
        let path = format!("GET /api/v1/classrooms/{FULL}/attendance");
        let said = ask(&format!("{path}\nauthorization: Bearer good"));
        let json = r#"[{"agent_id":"web.u1.dev","entered_at":"2026-01-02T03:04:05Z","left_at":"2026-01-02T03:04:06.5Z"},{"agent_id":"=web.u3.dev","entered_at":"2026-01-02T03:04:05Z","left_at":null}]"#;
        assert_eq!((said.status, said.kind(), said.body.as_str()), (200, "application/json", json));
        let csv = "agent_id,entered_at,left_at\r\nweb.u1.dev,2026-01-02T03:04:05Z,2026-01-02T03:04:06.5Z\r\n'=web.u3.dev,2026-01-02T03:04:05Z,\r\n";
        for request in
            [format!("{path}?format=csv\nauthorization: Bearer good"), format!("{path}?access_token=good\naccept: text/csv")]
        {
            let said = ask(&request);
            assert_eq!((said.status, said.kind(), said.body.as_str()), (200, "text/csv; charset=utf-8", csv));
        }
        assert_eq!(ask(&format!("{path}?format=json&access_token=good\naccept: text/csv")).body, json);
    }

    #[test]
    fn the_faults_of_the_store_tell_nothing_of_it() {
        let path = |room| format!("GET /api/v1/classrooms/{room}/attendance\nauthorization: Bearer good");
        let said = ask(&path(BUSY));
        assert_eq!((said.status, said.error().0.as_str()), (503, "database_connection_acquisition_failed"));
        let said = ask(&path(fakes::BROKEN));
        assert_eq!((said.status, said.error().0.as_str()), (500, "database_query_failed"));
    }

    #[test]
    fn a_room_whose_home_does_not_answer_in_time_is_busy() {
        let house = Rc::new(House::default());
        house.is_mute.set(true);
        for request in [
            format!("GET /api/v1/classrooms/{FULL}/agents\nauthorization: Bearer good"),
            format!("POST /api/v1/counters/agent\nauthorization: Bearer good\n\n{{\"classroom_ids\":[\"{FULL}\"]}}"),
        ] {
            let said = fakes::ask(&table(), &house, &request);
            assert_eq!((said.status, said.error().0.as_str()), (503, "database_connection_acquisition_failed"), "{request}");
        }
    }

    #[test]
    fn every_answer_is_open_to_pages() {
        for request in ["GET /healthz", "GET /nowhere", "DELETE /healthz", "POST /api/v1/counters/agent"] {
            assert_eq!(ask(request).header("access-control-allow-origin"), Some("*"), "{request}");
        }
    }

    #[test]
    fn a_page_may_ask_first_on_any_path() {
        for path in ["/api/v1/counters/agent", "/healthz", "/nowhere"] {
            let said = ask(&format!(
                "OPTIONS {path}\norigin: https://a.example\naccess-control-request-method: POST\naccess-control-request-headers: authorization,ulms-x"
            ));
            assert_eq!((said.status, said.header("access-control-max-age")), (204, Some("3600")), "{path}");
            assert_eq!(said.header("access-control-allow-origin"), Some("*"));
            assert_eq!(said.header("access-control-allow-methods"), Some("GET,PUT,POST,PATCH,DELETE"));
            assert_eq!(said.header("access-control-allow-headers"), Some("authorization,content-type,x-agent-label,ulms-x"));
        }
    }
}
