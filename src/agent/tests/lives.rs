//! What a session goes through on a host.

use super::*;

#[test]
fn a_session_is_started_slept_woken_and_stopped() {
    run(async {
        let (host, plane) = (Host::new(23_100), Plane::new().await);
        let script = async {
            let mut line = plane.line().await;
            let result = line.done("start_session", start("desktop")).await;
            assert_eq!(result["status"], "completed", "{result}");
            let port = result["result"]["vnc_port"].as_u64().unwrap();
            assert!((23_100..23_110).contains(&port) && result["result"]["pod_ip"] == "127.0.0.1", "{result}");
            assert_eq!((host.starts(), processes(&host.path("data"))), (1, 1));

            line.say(json!({"type": "command", "command_id": "cmd-l", "command_type": "get_logs", "session_id": ONE,
                "data": {"request": 5, "tail": 10}}))
                .await;
            let logs = line.hear("logs").await;
            assert_eq!((&logs["request"], &logs["lines"]), (&json!(5), &json!(["the screen is up"])));

            let result = line.done("hibernate_session", json!({})).await;
            assert!(result["status"] == "completed" && processes(&host.path("data")) == 0, "{result}");
            let result = line.done("wake_session", json!({})).await;
            assert!(result["status"] == "completed" && host.starts() == 2, "the same home: {result}");

            let result = line.done("stop_session", json!({"graceful": true, "timeout": "5s"})).await;
            assert!(result["status"] == "completed" && processes(&host.path("data")) == 0);
            assert_eq!(host.starts(), 2, "a user's home stays");
        };
        host.with_agent(&plane, "", script).await;
    });
}

#[test]
fn a_home_that_is_not_to_stay_goes() {
    run(async {
        let (host, plane) = (Host::new(23_110), Plane::new().await);
        let folder = host.path("data/sessions").join(ONE.to_string());
        let script = async {
            let mut line = plane.line().await;
            let mut data = start("desktop");
            data["persistent_home"] = false.into();
            line.done("start_session", data).await;
            assert!(folder.join("home/starts").exists());
            line.done("stop_session", json!({"graceful": false})).await;
        };
        host.with_agent(&plane, "", script).await;
        // The runtime's end waits for what was begun, but not for what it removes.
        while folder.exists() {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn what_cannot_start_says_why() {
    run(async {
        let (host, plane) = (Host::new(23_120), Plane::new().await);
        let script = async {
            let mut line = plane.line().await;
            for (template, code, word) in [
                ("broken", "START_FAILED", "exit status: 1"),
                ("missing", "START_FAILED", "no-such-program"),
                ("slow", "START_TIMEOUT", "in time"),
            ] {
                let result = line.done("start_session", start(template)).await;
                assert_eq!((&result["status"], &result["error_code"]), (&json!("failed"), &json!(code)), "{result}");
                assert!(result["error"].as_str().unwrap().contains(word), "{result}");
                assert_eq!(processes(&host.path("data")), 0, "nothing is left of it");
            }
        };
        host.with_agent(&plane, "", script).await;
    });
}

#[test]
fn a_death_is_told() {
    run(async {
        let (host, plane) = (Host::new(23_130), Plane::new().await);
        let script = async {
            let mut line = plane.line().await;
            let result = line.done("start_session", start("desktop")).await;
            let pid = result["result"]["platform_metadata"]["pid"].as_i64().unwrap() as i32;
            rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
            let status = line.hear("status").await;
            assert_eq!((&status["state"], &status["error_code"]), (&json!("failed"), &json!("SESSION_DIED")), "{status}");
        };
        host.with_agent(&plane, "", script).await;
    });
}

#[test]
fn an_x_server_where_there_is_one() {
    if super::super::settings::found("Xtigervnc").is_none() {
        eprintln!("no Xtigervnc here");
        return;
    }
    run(async {
        let (host, plane) = (Host::new(6_450), Plane::new().await);
        let mut settings = host.settings(&plane, "");
        settings.default = super::super::settings::Table::default();
        let script = async {
            let mut line = plane.line().await;
            let result = line.done("start_session", start("desktop")).await;
            assert_eq!(result["status"], "completed", "{result}");
            line.tunnel(1, 1 << 20).await;
            assert_eq!(line.bytes(4).await, b"RFB ");
            line.done("stop_session", json!({})).await;
            assert_eq!(processes(&host.path("data")), 0, "the program on it has ended too");
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let agent = serve(settings, async { drop(stopped.await) });
        let script = async {
            script.await;
            drop(stop);
        };
        tokio::join!(agent, script).0.unwrap();
    });
}
