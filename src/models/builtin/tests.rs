//! Its answers, word by word.

use super::*;
use crate::models::Schema;

fn tool(name: &str, work: Work, parameters: &str) -> Arc<Tool> {
    let (name, description) = (name.into(), "".into());
    Arc::new(Tool { name, description, parameters: Schema::new(parameters).unwrap(), needs_approval: false, work })
}

fn said(content: &str) -> Arc<Utterance> {
    Arc::new(Utterance::User { content: content.into(), attachments: Vec::new() })
}

fn prompt(utterances: Vec<Arc<Utterance>>) -> Prompt {
    let backend = Backend::Builtin { pace: Duration::from_millis(20) };
    Prompt {
        model: Arc::new(Model { name: "built-in".into(), backend, prompt_price: 0.0, completion_price: 0.0 }),
        utterances,
        tools: vec![
            tool("calculator", Work::Calculator, r#"{"properties":{"expression":{"type":"string"}},"required":["expression"]}"#),
            tool(
                "send_email",
                Work::Http,
                r#"{"properties":{"to":{"type":"string"},"urgent":{"type":"boolean"}},"required":["to","urgent"]}"#,
            ),
        ],
        temperature: None,
        max_tokens: None,
    }
}

fn words(prompt: &Prompt) -> Vec<(Duration, Word)> {
    Script::new(prompt).collect()
}

fn text(prompt: &Prompt) -> String {
    words(prompt)
        .into_iter()
        .filter_map(|(_, word)| match word {
            Word::Delta(delta) => Some(delta.to_string()),
            Word::Call(_) | Word::Ended { .. } | Word::Failed(_) => None,
        })
        .collect()
}

fn called(content: &str) -> (String, String) {
    match words(&prompt(vec![said(content)])).remove(0).1 {
        Word::Call(call) => (call.tool.to_string(), call.arguments.to_string()),
        word => panic!("no call: {word:?}"),
    }
}

#[test]
fn arithmetic_is_answered_a_word_at_a_time() {
    let words = words(&prompt(vec![said("What is 2 + 2?")]));
    let pace = Duration::from_millis(20);
    let usage = Usage { prompt_tokens: 5, completion_tokens: 5 };
    assert_eq!(words[0], (pace, Word::Delta("2".into())));
    assert_eq!(words[4], (pace, Word::Delta(" 4".into())));
    assert_eq!(words[5], (Duration::ZERO, Word::Ended { stop: Stop::Done, usage }));
    assert_eq!(words.len(), 6);
}

#[test]
fn it_says_what_it_is() {
    let text = text(&prompt(vec![said("Tell me a story  about a brave knight.")]));
    assert!(text.starts_with("I am Homeroom's built-in agent, not a language model."), "{text}");
    assert!(text.ends_with("calculator, send_email."), "{text}");
}

#[test]
fn tools_are_called_by_their_names() {
    let object = called(r#"please Send_Email {"to": "a@b.example", "urgent": {"x": 1}} now"#);
    assert_eq!(object, ("send_email".into(), r#"{"to": "a@b.example", "urgent": {"x": 1}}"#.into()));
    assert_eq!(called("send_email {broken").1, r#"{"to":"send_email {broken"}"#);
    assert_eq!(called("use the calculator for 3*4!"), ("calculator".into(), r#"{"expression":"3*4"}"#.into()));
}

#[test]
fn what_tools_answered_is_told_until_someone_speaks() {
    let call = |id: &str, tool: &str| ToolCall { id: id.into(), tool: tool.into(), arguments: "{}".into() };
    let mut utterances = vec![
        said("send_email and calculator"),
        Arc::new(Utterance::Assistant { content: "".into(), calls: vec![call("a", "send_email"), call("b", "calculator")] }),
        Arc::new(Utterance::Tool { call: "a".into(), content: "denied: the user did not allow this call".into() }),
        Arc::new(Utterance::Tool { call: "b".into(), content: "4".into() }),
    ];
    let told = text(&prompt(utterances.clone()));
    assert_eq!(told, "I did not call send_email: the user did not allow this call.\ncalculator answered: 4");
    utterances.push(Arc::new(Utterance::Assistant { content: told.into(), calls: Vec::new() }));
    utterances.push(said("1+1"));
    assert_eq!(text(&prompt(utterances)), "1+1 = 2");
}

#[test]
fn it_counts_at_a_pace() {
    let counted = words(&prompt(vec![said("/count 3 50")]));
    assert_eq!(counted[2], (Duration::from_millis(50), Word::Delta("3 ".into())));
    assert_eq!(counted.len(), 4);
    assert_eq!(words(&prompt(vec![said("/count 4000000000")])).len(), MAX_COUNT as usize + 1);
    assert!(text(&prompt(vec![said("/count many")])).starts_with("I am"));
}

#[test]
fn tokens_are_bounded() {
    let mut prompt = prompt(vec![said("hello")]);
    prompt.max_tokens = Some(3);
    let words = words(&prompt);
    assert_eq!(words.len(), 4);
    assert!(matches!(words[3].1, Word::Ended { stop: Stop::Length, .. }));
}
