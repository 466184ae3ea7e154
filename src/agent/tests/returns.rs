//! Connections that are lost, and agents that begin anew.

use super::*;

#[test]
fn a_lost_connection_is_made_again_and_sessions_do_not_notice() {
    run(async {
        let (host, plane) = (Host::new(23_140), Plane::new().await);
        let script = async {
            let mut line = plane.line().await;
            line.done("start_session", start("desktop")).await;
            drop(line);
            let mut line = plane.line().await;
            let status = line.hear("status").await;
            assert_eq!((&status["state"], &status["session_id"]), (&json!("running"), &json!(ONE)));
            assert_eq!(host.starts(), 1);
            let heartbeat = line.hear("heartbeat").await;
            assert_eq!(heartbeat["capacity"]["current_sessions"], 1);
        };
        host.with_agent(&plane, "", script).await;
    });
}

#[test]
fn sessions_outlive_their_agent() {
    run(async {
        let (host, plane) = (Host::new(23_150), Plane::new().await);
        let first = async { plane.line().await.done("start_session", start("desktop")).await };
        let result = host.with_agent(&plane, "", first).await;
        assert_eq!(processes(&host.path("data")), 1, "it runs on");
        let second = async {
            let mut line = plane.line().await;
            let status = line.hear("status").await;
            assert_eq!((&status["state"], &status["result"]), (&json!("running"), &result["result"]));
            line.tunnel(1, 100).await;
            assert_eq!(line.bytes(12).await, b"RFB 003.008\n");
            let pid = status["result"]["platform_metadata"]["pid"].as_i64().unwrap() as i32;
            rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
            assert_eq!(line.hear("status").await["state"], "failed", "its end is noticed all the same");
        };
        host.with_agent(&plane, "", second).await;
        let third = async {
            let mut line = plane.line().await;
            assert_eq!(line.hear("status").await["state"], "failed");
            line.done("stop_session", json!({})).await
        };
        assert_eq!(host.with_agent(&plane, "", third).await["status"], "completed");
    });
}

#[test]
fn sessions_end_with_their_agent_if_they_are_to() {
    run(async {
        let (host, plane) = (Host::new(23_160), Plane::new().await);
        let script = async { plane.line().await.done("start_session", start("desktop")).await };
        host.with_agent(&plane, "stop_sessions_on_exit = true", script).await;
        assert_eq!(processes(&host.path("data")), 0);
    });
}

#[test]
fn what_no_desk_knows_is_ended_at_the_beginning() {
    run(async {
        let (host, plane) = (Host::new(23_170), Plane::new().await);
        let script = async { plane.line().await.done("start_session", start("desktop")).await };
        host.with_agent(&plane, "", script).await;
        fs::remove_file(host.path("data/state.json")).unwrap();
        let script = async {
            plane.line().await.hear("heartbeat").await;
            assert_eq!(processes(&host.path("data")), 0);
        };
        host.with_agent(&plane, "", script).await;
    });
}
