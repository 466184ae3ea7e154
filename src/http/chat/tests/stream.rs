//! Answers as server-sent events.

use super::{
    super::fakes::{APPR, House, MESSAGE, MSG, SESS, SESSION, approval, ask_as, message, table},
    say::end,
};
use crate::{
    http::answer::{Answer, Payload},
    models::Usage,
    protocols::chat::{
        Ask, Told,
        asks::{Broken, Refused},
    },
};
use bytes::Bytes;
use futures_lite::future::{block_on, poll_once};
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use std::{pin::pin, rc::Rc, time::Duration};

fn post() -> String {
    format!("POST /sessions/{SESS}/chat/stream")
}

fn delta(text: &str) -> Told {
    Told::Delta(text.into())
}

fn begin() -> Told {
    Told::Begin { message: MESSAGE }
}

#[test]
fn the_example_of_a_stream() {
    let done =
        Told::End { usage: Usage { prompt_tokens: 50, completion_tokens: 100 }, message: Box::new(message()), broken: None };
    let call = Told::Call { tool: "search".into(), arguments: "{\n  \"query\": \"knights\"\r\n}".into() };
    let told = [begin(), delta("Once upon"), delta(" a time,"), delta(" there was"), call, done];
    for (path, body) in [("/chat/stream", json!({"content": "x"})), ("/chat", json!({"content": "x", "stream": true}))] {
        let house = House::telling(told.clone());
        let said = ask_as("user", &house, &format!("POST /sessions/{SESS}{path}"), body);
        assert_eq!((said.status, said.kind()), (200, "text/event-stream"));
        assert_eq!((said.header("cache-control"), said.header("x-accel-buffering")), (Some("no-cache"), Some("no")));
        let expected = [
            r#"data: {"type":"content","delta":"Once upon"}"#,
            r#"data: {"type":"content","delta":" a time,"}"#,
            r#"data: {"type":"content","delta":" there was"}"#,
            r#"data: {"type":"tool_call","tool":"search","args":{   "query": "knights"  }}"#,
            &format!(
                r#"data: {{"type":"done","message_id":"{MSG}","usage":{{"prompt_tokens":50,"completion_tokens":100,"total_tokens":150}}}}"#
            ),
            "",
        ];
        assert_eq!(said.body, expected.join("\n\n"));
        let asked = house.asked.take();
        assert!(matches!(&asked[..], [Ask::Say { streamed: true, .. }]), "{asked:?}");
        assert!(house.left.take().is_empty());
    }
}

#[test]
fn what_the_contract_does_not_stream_is_named_as_on_the_socket() {
    let result = Told::Result { tool: "search".into(), result: "[1]".into() };
    let asked = Told::Asked { approval: Box::new(approval()) };
    let said = ask_as("user", &House::telling([delta("a\n\nb"), result, asked, end(None)]), &post(), json!({"content": "x"}));
    let events: Vec<&str> = said.body.split("\n\n").take(3).collect();
    let expected = [
        r#"data: {"type":"content","delta":"a\n\nb"}"#,
        r#"data: {"type":"tool_result","tool":"search","result":[1]}"#,
        &format!(r#"data: {{"type":"approval_required","approval_id":"{APPR}","tool":"send_email"}}"#),
    ];
    assert_eq!(events, expected);
}

#[test]
fn what_fails_after_the_first_byte_is_an_event_and_the_last() {
    for (told, code) in [
        (end(Some(Broken::Failed)), "AGENT_ERROR"),
        (end(Some(Broken::TimedOut)), "AGENT_TIMEOUT"),
        (Told::Refused(Refused::Ended), "SESSION_ENDED"),
    ] {
        let house = House::telling([begin(), delta("a"), told]);
        let said = ask_as("user", &house, &post(), json!({"content": "x"}));
        let last = said.body.trim_end().rsplit("\n\n").next().unwrap();
        let error: serde_json::Value = serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!((said.status, &error["type"], &error["code"]), (200, &json!("error"), &json!(code)));
        assert!(error["message"].is_string() && said.body.ends_with("}\n\n"));
        assert!(house.left.take().is_empty());
    }
    let said = ask_as("user", &House::telling([delta("a")]), &post(), json!({"content": "x"}));
    assert!(said.body.contains(r#"{"type":"error","code":"AGENT_ERROR","#), "the home is gone: {}", said.body);
}

#[test]
fn what_somebody_cancelled_is_done() {
    let said = ask_as("user", &House::telling([delta("a"), end(Some(Broken::Cancelled))]), &post(), json!({"content": "x"}));
    assert!(said.body.ends_with("}}\n\n") && said.body.contains(r#""type":"done""#), "{}", said.body);
}

/// Asks for a stream that the test goes on with.
async fn opened(house: &Rc<House>) -> Answer {
    house.is_open.set(true);
    let request = Request::post(format!("/api/v1/sessions/{SESS}/chat/stream")).header("authorization", "Bearer user");
    let body = Full::new(Bytes::from_static(b"{\"content\":\"x\"}"));
    table(house).answer(house, request.body(body).unwrap(), |_| {}).await
}

async fn next(body: &mut Payload) -> Option<Bytes> {
    Some(body.frame().await?.unwrap().into_data().unwrap())
}

fn tell(house: &House, told: Told) -> bool {
    house.teller.borrow().as_ref().unwrap().tell(told)
}

fn leave(house: &House) -> Vec<Ask> {
    let asked = house.asked.borrow();
    let Some(Ask::Say { ids, .. }) = asked.first() else { panic!("nothing was said") };
    vec![Ask::Leave { session: SESSION, answer: ids[1] }]
}

#[test]
fn the_answer_begins_with_its_first_event_and_each_comes_by_itself() {
    let house = House::telling([begin()]);
    block_on(async {
        let mut answer = pin!(opened(&house));
        assert!(poll_once(answer.as_mut()).await.is_none(), "it may still fail");
        tell(&house, delta("a"));
        let mut body = answer.await.into_body();
        assert_eq!(next(&mut body).await.unwrap(), "data: {\"type\":\"content\",\"delta\":\"a\"}\n\n");
        assert!(poll_once(next(&mut body)).await.is_none());
        tell(&house, delta("b"));
        assert_eq!(next(&mut body).await.unwrap(), "data: {\"type\":\"content\",\"delta\":\"b\"}\n\n");
        tell(&house, end(None));
        assert!(next(&mut body).await.unwrap().starts_with(b"data: {\"type\":\"done\""));
        assert!(next(&mut body).await.is_none(), "and ends");
    });
    assert!(house.left.take().is_empty());
}

#[test]
fn a_quiet_stream_has_a_comment_each_quarter_of_a_minute() {
    let house = House::telling([begin()]);
    house.pauses.set(3);
    block_on(async {
        let mut body = opened(&house).await.into_body();
        for _ in 0..3 {
            assert_eq!(next(&mut body).await.unwrap(), ": still here\n\n");
        }
        assert!(poll_once(next(&mut body)).await.is_none());
        tell(&house, end(Some(Broken::Unavailable)));
        assert!(next(&mut body).await.unwrap().starts_with(b"data: {\"type\":\"error\",\"code\":\"AGENT_UNAVAILABLE\""));
        assert!(next(&mut body).await.is_none());
    });
    assert!(house.paused.take().iter().all(|pause| *pause == Duration::from_secs(15)));
}

#[test]
fn whoever_goes_is_told_to_the_home() {
    let house = House::telling([delta("a")]);
    block_on(async {
        let mut body = opened(&house).await.into_body();
        next(&mut body).await;
        assert!(house.left.borrow().is_empty());
    });
    assert_eq!(house.left.take(), leave(&house), "in the middle");
    assert!(!tell(&house, delta("b")));

    let house = House::telling([]);
    block_on(async {
        assert!(poll_once(pin!(opened(&house))).await.is_none());
    });
    assert_eq!(house.left.take(), leave(&house), "before the first byte");
}

#[test]
fn whoever_reads_too_slowly_is_cut_off() {
    let house = House::telling([delta("a")]);
    block_on(async {
        let mut body = opened(&house).await.into_body();
        let piece = "x".repeat(1_000);
        let taken = (0..1_000).take_while(|_| tell(&house, delta(&piece))).count();
        assert!((150..263).contains(&taken), "256 KiB, pieces and their places: {taken}");
        assert!(next(&mut body).await.is_some(), "what hyper had already");
        assert!(body.frame().await.unwrap().is_err(), "the connection breaks");
        assert!(body.frame().await.is_none());
    });
    assert_eq!(house.left.take(), leave(&house));
}
