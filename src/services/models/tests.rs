//! An endpoint with every fault that one can have.

use super::*;
use crate::{
    bridge::backlog,
    models::{Backend, Model, Stop, Utterance},
    observe::traces::Open,
    services::stub::{answer, on_tokio, request, stub},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const PATIENCE: Patience = Patience { first: Duration::from_secs(20), next: Duration::from_secs(20), attempts: 3, places: 8 };
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

fn prompt() -> Prompt {
    let backend = Backend::Remote { model: "m".into() };
    Prompt {
        model: Arc::new(Model { name: "m".into(), backend, prompt_price: 0.0, completion_price: 0.0 }),
        utterances: vec![Arc::new(Utterance::User { content: "hi".into(), attachments: Vec::new() })],
        tools: Vec::new(),
        temperature: None,
        max_tokens: None,
    }
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn delta(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

const END: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

fn whole() -> String {
    // A word split over two chunks of the body.
    let said = delta("Hello");
    let (front, back) = said.split_at(20);
    [CHUNKED, &chunk(front), &chunk(back), &chunk(END), "0\r\n\r\n"].concat()
}

fn asked(wires: &[(&str, bool)], patience: Patience) -> (Vec<Word>, Vec<String>) {
    on_tokio(async {
        let (url, serve) = stub(wires.iter().map(|(wire, hang)| ((*wire).to_owned(), *hang)).collect()).await;
        let endpoint = Endpoint::new(&url, Some("secret"), patience).unwrap();
        let ask = async {
            let mut words = Vec::new();
            endpoint.answer(&prompt(), &backlog(usize::MAX).0, Open::default(), |word| words.push(word)).await;
            drop(endpoint);
            words
        };
        tokio::join!(ask, serve)
    })
}

fn fault(wires: &[(&str, bool)], patience: Patience) -> Fault {
    match asked(wires, patience).0.pop() {
        Some(Word::Failed(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn words_come_as_they_are_said() {
    let (words, seen) = asked(&[(&whole(), false)], PATIENCE);
    assert_eq!(words[0], Word::Delta("Hello".into()));
    assert!(matches!(words[1], Word::Ended { stop: Stop::Done, .. }));
    let (head, body) = seen[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("authorization: bearer secret"), "{head}");
    assert!(body.contains(r#""stream":true"#), "{body}");
}

#[test]
fn what_may_pass_is_tried_again() {
    let (busy, broken) = (answer("429 Too Many Requests", ""), answer("503 Service Unavailable", ""));
    let (words, seen) = asked(&[(&busy, false), (&broken, false), (&whole(), false)], PATIENCE);
    assert_eq!((words.len(), seen.len()), (2, 3));
    assert_eq!(fault(&[(&busy, false), (&busy, false), (&busy, false)], PATIENCE), Fault::Busy);
    assert_eq!(fault(&[(&broken, false), (&broken, false), (&broken, false)], PATIENCE), Fault::Unreachable);
    let later = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(fault(&[(later, false)], PATIENCE), Fault::Busy);
    let soon = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(asked(&[(soon, false), (&whole(), false)], PATIENCE).0.len(), 2);
}

#[test]
fn what_is_refused_is_not_tried_again() {
    assert_eq!(fault(&[(&answer("401 Unauthorized", "{}"), false)], PATIENCE), Fault::Refused(401));
    assert_eq!(fault(&[(&answer("400 Bad Request", "{}"), false)], PATIENCE), Fault::Refused(400));
}

#[test]
fn streams_that_break_off_or_mean_nothing() {
    let cut = [CHUNKED, &chunk(&delta("a"))].concat();
    let (words, _) = asked(&[(&cut, false)], PATIENCE);
    assert_eq!(words, [Word::Delta("a".into()), Word::Failed(Fault::Cut)]);
    let nonsense = [CHUNKED, &chunk("data: nonsense\n\n")].concat();
    assert_eq!(fault(&[(&nonsense, true)], PATIENCE), Fault::Malformed);
}

#[test]
fn silence_times_out() {
    let short = Duration::from_millis(200);
    assert_eq!(fault(&[("", true)], Patience { first: short, ..PATIENCE }), Fault::TimedOut);
    let stalled = [CHUNKED, &chunk(&delta("a"))].concat();
    let (words, _) = asked(&[(&stalled, true)], Patience { next: 10 * short, ..PATIENCE });
    assert_eq!(words, [Word::Delta("a".into()), Word::Failed(Fault::TimedOut)]);
}

#[test]
fn an_answer_may_take_long_as_long_as_it_goes_on() {
    let patience = Patience { next: Duration::from_secs(3), ..PATIENCE };
    on_tokio(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::new(&format!("http://{}/", listener.local_addr().unwrap()), None, patience).unwrap();
        let mut words = Vec::new();
        let (handing, _taking) = backlog(usize::MAX);
        let (question, served) = (prompt(), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
            stream.write_all(CHUNKED.as_bytes()).await.unwrap();
            for _ in 0..5 {
                stream.write_all(chunk(&delta("a")).as_bytes()).await.unwrap();
                sleep(patience.next.mul_f64(0.3)).await;
            }
            // Held open, and silent now.
            stream
        });
        let (_stream, ()) = tokio::join!(served, endpoint.answer(&question, &handing, Open::default(), |word| words.push(word)));
        assert_eq!(words.len(), 6, "{words:?}");
        assert_eq!(words[5], Word::Failed(Fault::TimedOut));
    });
}

#[test]
fn who_is_dropped_hangs_up() {
    on_tokio(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::new(&format!("http://{}/", listener.local_addr().unwrap()), None, PATIENCE).unwrap();
        let (sender, mut words) = tokio::sync::mpsc::unbounded_channel();
        let asking = tokio::spawn(async move {
            endpoint.answer(&prompt(), &backlog(usize::MAX).0, Open::default(), |word| sender.send(word).unwrap()).await;
        });
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        stream.write_all([CHUNKED, &chunk(&delta("a"))].concat().as_bytes()).await.unwrap();
        assert_eq!(words.recv().await, Some(Word::Delta("a".into())));
        asking.abort();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the request is gone");
    });
}

#[test]
fn connections_are_used_again_and_closed_ones_are_not() {
    on_tokio(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::new(&format!("http://{}/", listener.local_addr().unwrap()), None, PATIENCE).unwrap();
        let serve = async {
            let (mut first, _) = listener.accept().await.unwrap();
            for _ in 0..2 {
                request(&mut first).await;
                first.write_all(whole().as_bytes()).await.unwrap();
            }
            // On its way, when the next request is: it has to be sent again.
            request(&mut first).await;
            drop(first);
            let (mut second, _) = listener.accept().await.unwrap();
            request(&mut second).await;
            second.write_all([whole().as_str(), "more"].concat().as_bytes()).await.unwrap();
            // With what nobody asked for a connection is no good any more.
            let (mut third, _) = listener.accept().await.unwrap();
            request(&mut third).await;
            third.write_all(whole().as_bytes()).await.unwrap();
            drop((second, third));
            let (mut fourth, _) = listener.accept().await.unwrap();
            request(&mut fourth).await;
            fourth.write_all(whole().as_bytes()).await.unwrap();
        };
        let ask = async {
            for _ in 0..5 {
                let mut words = Vec::new();
                endpoint.answer(&prompt(), &backlog(usize::MAX).0, Open::default(), |word| words.push(word)).await;
                assert!(matches!(&words[..], [Word::Delta(_), Word::Ended { .. }]), "{words:?}");
            }
        };
        tokio::join!(ask, serve);
    });
}

#[test]
fn only_what_nobody_has_read_is_sent_again_unasked() {
    on_tokio(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let patience = Patience { attempts: 1, ..PATIENCE };
        let endpoint = Endpoint::new(&format!("http://{}/", listener.local_addr().unwrap()), None, patience).unwrap();
        let serve = async {
            let (mut first, _) = listener.accept().await.unwrap();
            for wire in [whole(), answer("408 Request Timeout", "")] {
                request(&mut first).await;
                first.write_all(wire.as_bytes()).await.unwrap();
            }
            // It had waited too long for a request: the one that crossed that is sent anew.
            let (mut second, _) = listener.accept().await.unwrap();
            for wire in [whole(), "HTTP/1.1 nonsense\r\n\r\n".to_owned()] {
                request(&mut second).await;
                second.write_all(wire.as_bytes()).await.unwrap();
            }
        };
        let ask = async {
            let mut last = Vec::new();
            for _ in 0..3 {
                let mut words = Vec::new();
                endpoint.answer(&prompt(), &backlog(usize::MAX).0, Open::default(), |word| words.push(word)).await;
                last.push(words.pop().unwrap());
            }
            assert!(matches!(last[..], [Word::Ended { .. }, Word::Ended { .. }, Word::Failed(Fault::Unreachable)]), "{last:?}");
        };
        tokio::join!(ask, serve);
    });
}

#[test]
fn an_answer_that_comes_before_all_was_read_counts() {
    let (big, mut question) = ("x".repeat(8 << 20), prompt());
    question.utterances = vec![Arc::new(Utterance::User { content: big.as_str().into(), attachments: Vec::new() })];
    on_tokio(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::new(&format!("http://{}/", listener.local_addr().unwrap()), None, PATIENCE).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 100]).await.unwrap();
            stream.write_all(answer("413 Content Too Large", "").as_bytes()).await.unwrap();
            // Closed for writing, and read to the end: otherwise the kernel takes the answer back.
            stream.shutdown().await.unwrap();
            while stream.read(&mut [0; 1 << 16]).await.is_ok_and(|read| read > 0) {}
        };
        let mut words = Vec::new();
        let (handing, _taking) = backlog(usize::MAX);
        tokio::join!(serve, endpoint.answer(&question, &handing, Open::default(), |word| words.push(word)));
        assert_eq!(words, [Word::Failed(Fault::Refused(413))]);
    });
}

#[test]
fn names_and_passwords_of_urls_are_sent_where_there_is_no_key() {
    let sent = |userinfo: &str, key: Option<&str>| {
        on_tokio(async {
            let (url, serve) = stub(vec![(whole(), false)]).await;
            let url = url.replace("http://", &format!("http://{userinfo}@")) + "?a=b#c";
            let endpoint = Endpoint::new(&url, key, PATIENCE).unwrap();
            let question = prompt();
            let (handing, _taking) = backlog(usize::MAX);
            let (_, mut seen) = tokio::join!(endpoint.answer(&question, &handing, Open::default(), |_| ()), serve);
            seen.remove(0)
        })
    };
    let request = sent("ann:a%20b", None);
    assert!(request.starts_with("POST /v1/chat/completions?a=b HTTP/1.1\r\nhost: 127.0.0.1:"), "{request}");
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "ann:a b");
    assert!(request.contains(&format!("\r\nauthorization: Basic {basic}\r\n")), "{request}");
    let request = sent("ann:b", Some("k"));
    assert!(request.contains("\r\nauthorization: Bearer k\r\n") && !request.contains("Basic"), "{request}");
}

#[test]
fn nothing_is_read_that_nobody_takes() {
    const PIECES: usize = 60;
    const PIECE: usize = 100_000;
    let text = "x".repeat(PIECE);
    let wire = [CHUNKED, &chunk(&delta(&text)).repeat(PIECES), &chunk(END), "0\r\n\r\n"].concat();
    on_tokio(async {
        let (url, serve) = stub(vec![(wire, false)]).await;
        let endpoint = Endpoint::new(&url, None, PATIENCE).unwrap();
        let (handing, mut taking) = backlog(1 << 16);
        let (sender, mut words) = tokio::sync::mpsc::unbounded_channel();
        let ask = async {
            let length = |word: &Word| if let Word::Delta(text) = word { text.len() } else { 0 };
            endpoint
                .answer(&prompt(), &handing, Open::default(), |word| {
                    handing.put(length(&word));
                    sender.send(word).unwrap();
                })
                .await;
            drop(endpoint);
        };
        let take = async {
            let mut taken = 0;
            while let Some(Word::Delta(text)) = words.recv().await {
                // Whoever reads has had its turn as often as it wanted.
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                assert!(words.len() <= 16, "{} wait behind {taken} bytes", words.len());
                taken += text.len();
                taking.take(text.len());
            }
            taken
        };
        let ((), _, taken) = tokio::join!(ask, serve, take);
        assert_eq!(taken, PIECES * PIECE);
    });
}

#[test]
fn nobody_there_is_unreachable_and_a_bad_key_is_found_at_the_start() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = Endpoint::new(&format!("http://{nobody}/"), None, Patience { attempts: 1, ..PATIENCE }).unwrap();
    let mut words = Vec::new();
    on_tokio(endpoint.answer(&prompt(), &backlog(usize::MAX).0, Open::default(), |word| words.push(word)));
    assert_eq!(words, [Word::Failed(Fault::Unreachable)]);
    assert_eq!(Endpoint::new("http://a/", Some("a\nb"), PATIENCE).map(drop), Err(SetupFault::Secret));
    assert_eq!(
        format!("{:?}", Endpoint::new("http://u:p@host.example/x", Some("key"), PATIENCE).unwrap()),
        "Endpoint(host.example)"
    );
}
