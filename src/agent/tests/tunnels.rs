//! Bytes of screens.

use super::*;

#[test]
fn bytes_go_both_ways_as_far_as_there_is_credit() {
    run(async {
        let (host, plane) = (Host::new(23_180), Plane::new().await);
        let script = async {
            let mut line = plane.line().await;
            line.done("start_session", start("desktop")).await;
            line.tunnel(7, 5).await;
            assert_eq!(line.bytes(5).await, b"RFB 0");
            line.hear("heartbeat").await;
            assert_eq!(line.waiting(), 0, "no credit, no bytes");
            line.give(7, 1 << 20).await;
            assert_eq!(line.bytes(7).await, b"03.008\n");
            let sent: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
            for part in sent.chunks(32 << 10) {
                line.send(7, part).await;
            }
            assert!(line.bytes(sent.len()).await == sent);
            line.credit(100_000).await;
            line.say(json!({"type": "vnc_proxy_close", "proxy_id": "proxy-7"})).await;
            line.tunnel(8, 100).await;
            assert_eq!(line.bytes(12).await, b"RFB 003.008\n", "the next one is a new connection");
        };
        host.with_agent(&plane, "", script).await;
    });
}

#[test]
fn a_slow_viewer_slows_nobody_else() {
    run(async {
        let (host, plane) = (Host::new(23_190), Plane::new().await);
        let script = async {
            let mut line = plane.line().await;
            line.done("start_session", start("desktop")).await;
            line.tunnel(1, 100_000).await;
            line.send(1, b"!flood").await;
            line.bytes(100_000).await;
            line.tunnel(2, 1000).await;
            line.send(2, b"hello").await;
            assert_eq!(line.bytes(17).await, b"RFB 003.008\nhello");
            assert_eq!(line.done("start_session", start("desktop")).await["status"], "completed");
            assert_eq!(line.waiting(), 0, "of the flood no more than there was credit for");
        };
        host.with_agent(&plane, "", script).await;
    });
}

#[test]
fn who_sends_more_than_there_is_credit_for_is_cut_off() {
    run(async {
        let (host, plane) = (Host::new(23_200), Plane::new().await);
        let script = async {
            let mut line = plane.line().await;
            line.done("start_session", start("desktop")).await;
            // It sends back what it gets, and nobody takes that: soon it takes nothing any more.
            line.tunnel(1, 12).await;
            for _ in 0..1024 {
                line.send(1, &[0; 32 << 10]).await;
            }
            assert_eq!(line.hear("vnc_proxy_error").await["proxy_id"], "proxy-1");
        };
        host.with_agent(&plane, "", script).await;
    });
}

#[test]
fn a_screen_may_be_at_a_path_and_its_end_is_told() {
    run(async {
        let (host, plane) = (Host::new(23_210), Plane::new().await);
        let script = async {
            let mut line = plane.line().await;
            let result = line.done("start_session", start("socket")).await;
            assert!(result["status"] == "completed" && result["result"]["vnc_port"].is_null(), "{result}");
            line.tunnel(3, 1000).await;
            assert_eq!(line.bytes(12).await, b"RFB 003.008\n");
            line.done("hibernate_session", json!({})).await;
            assert_eq!(line.hear("vnc_proxy_close").await["proxy_id"], "proxy-3");
            line.say(json!({"type": "vnc_proxy_request", "session_id": ONE, "proxy_id": "proxy-4", "data": {}})).await;
            assert_eq!(line.hear("vnc_proxy_error").await["proxy_id"], "proxy-4");
        };
        host.with_agent(&plane, "", script).await;
    });
}
