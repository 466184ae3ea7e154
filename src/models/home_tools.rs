//! The tools that need nothing from outside: arithmetic, and a search in what was said.

use super::{
    calculator,
    talk::{ToolOutcome, Utterance},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What they are called.
pub const HOME_TOOLS: [&str; 2] = ["calculator", "search"];

/// What a search gives at most.
pub const MAX_HITS: usize = 10;
/// Words of a query that are looked for, the first. Both bounds are for whoever else is served by the thread that searches.
pub const MAX_WORDS: usize = 16;
/// Bytes of what was said that are looked through, the newest.
pub const MAX_SEARCHED: usize = 1 << 20;
const EXCERPT_CHARS: usize = 200;

/// The calculator's arguments, as JSON Schema.
pub const CALCULATOR: &str = r#"{"type":"object","properties":{"expression":{"type":"string","description":"such as 2 * (3 + 4)"}},"required":["expression"]}"#;
/// The search's arguments, as JSON Schema.
pub const SEARCH: &str =
    r#"{"type":"object","properties":{"query":{"type":"string","description":"words to look for"}},"required":["query"]}"#;

#[derive(Deserialize)]
struct Calculation {
    expression: String,
}

#[derive(Deserialize)]
struct Query {
    query: String,
}

#[derive(Serialize)]
struct Hit<'a> {
    role: &'a str,
    excerpt: String,
}

/// `{"value": …}`.
pub fn calculate(arguments: &str) -> ToolOutcome {
    let Ok(Calculation { expression }) = serde_json::from_str(arguments) else {
        return ToolOutcome::BadArguments("expression must be a text".into());
    };
    match calculator::value(&expression) {
        Ok(value) => ToolOutcome::Done(serde_json::json!({ "value": number(value) }).to_string().into()),
        Err(fault) => ToolOutcome::Failed(fault.text().into()),
    }
}

/// `{"hits": [{"role", "excerpt"}, …]}`: what users and agents said with any of the words, those with most words first, then the newest.
/// See [`MAX_WORDS`] and [`MAX_SEARCHED`].
pub fn search(arguments: &str, said: &[Arc<Utterance>]) -> ToolOutcome {
    let Ok(Query { query }) = serde_json::from_str(arguments) else {
        return ToolOutcome::BadArguments("query must be a text".into());
    };
    let lower = query.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().take(MAX_WORDS).collect();
    let mut left = MAX_SEARCHED;
    let newest = said.iter().rev().take_while(|utterance| {
        let is_near = left >= utterance.length();
        left = left.saturating_sub(utterance.length());
        is_near
    });
    let mut hits: Vec<(usize, Hit<'_>)> = newest.filter_map(|utterance| hit(utterance, &words)).collect();
    hits.sort_by_key(|(found, _)| std::cmp::Reverse(*found));
    let hits: Vec<Hit<'_>> = hits.into_iter().take(MAX_HITS).map(|(_, hit)| hit).collect();
    ToolOutcome::Done(serde_json::json!({ "hits": hits }).to_string().into())
}

fn hit<'a>(utterance: &'a Utterance, words: &[&str]) -> Option<(usize, Hit<'a>)> {
    let (role, content) = match utterance {
        Utterance::User { content, .. } => ("user", content),
        Utterance::Assistant { content, .. } => ("assistant", content),
        Utterance::Instructions(_) | Utterance::Tool { .. } => return None,
    };
    let lower = content.to_lowercase();
    let first = words.iter().filter_map(|word| lower.find(word)).min()?;
    let found = words.iter().filter(|word| lower.contains(**word)).count();
    // Lower case can be longer or shorter than the text itself, so characters are counted, not bytes.
    let before = lower[..first].chars().count().saturating_sub(EXCERPT_CHARS / 4);
    Some((found, Hit { role, excerpt: content.chars().skip(before).take(EXCERPT_CHARS).collect() }))
}

/// Whole where it is whole, as people write it.
fn number(value: f64) -> serde_json::Value {
    let is_whole = value.fract() == 0.0 && value.abs() < 9e15;
    if is_whole { (value as i64).into() } else { value.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Schema;

    fn done(outcome: ToolOutcome) -> serde_json::Value {
        match outcome {
            ToolOutcome::Done(json) => serde_json::from_str(&json).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values() {
        assert_eq!(done(calculate(r#"{"expression":"2+2"}"#)).to_string(), r#"{"value":4}"#);
        assert_eq!(done(calculate(r#"{"expression":"1/4"}"#)).to_string(), r#"{"value":0.25}"#);
        assert_eq!(calculate(r#"{"expression":"1/0"}"#), ToolOutcome::Failed("the result is not a number".into()));
        assert!(matches!(calculate("{}"), ToolOutcome::BadArguments(_)));
    }

    #[test]
    fn what_was_said_is_found() {
        let user = |content: &str| Arc::new(Utterance::User { content: content.into(), attachments: Vec::new() });
        let agent = |content: &str| Arc::new(Utterance::Assistant { content: content.into(), calls: Vec::new() });
        let long = format!("{} ÄPFEL and pears", "x ".repeat(300));
        let said = [Arc::new(Utterance::Instructions("äpfel".into())), user("Äpfel"), agent(&long), user("nothing")];
        let found = done(search(r#"{"query":"äpfel PEARS"}"#, &said));
        assert_eq!(found["hits"].as_array().unwrap().len(), 2);
        assert_eq!(found["hits"][0]["role"], "assistant", "it has both words");
        assert!(found["hits"][0]["excerpt"].as_str().unwrap().ends_with("ÄPFEL and pears"));
        assert_eq!(done(search(r#"{"query":""}"#, &said))["hits"], serde_json::json!([]));
        let many: Vec<_> = (0..30).map(|_| user("same")).collect();
        assert_eq!(done(search(r#"{"query":"same"}"#, &many))["hits"].as_array().unwrap().len(), MAX_HITS);
    }

    #[test]
    fn a_search_has_an_end() {
        let user = |content: &str| Arc::new(Utterance::User { content: content.into(), attachments: Vec::new() });
        let found = |query: &str, said: &[Arc<Utterance>]| {
            let arguments = serde_json::json!({ "query": query }).to_string();
            done(search(&arguments, said))["hits"].as_array().unwrap().len()
        };
        let said = [user("pears"), user("apples"), user(&"x".repeat(MAX_SEARCHED - 6)), user("plums")];
        assert_eq!((found("plums", &said), found("apples", &said[..3]), found("pears apples", &said)), (1, 1, 0), "the newest");
        let others = "no ".repeat(MAX_WORDS - 1);
        assert_eq!(found(&format!("{others}plums"), &said), 1);
        assert_eq!(found(&format!("{others}no plums"), &said), 0, "the first words");
    }

    #[test]
    fn their_schemas_are_schemas() {
        for text in [CALCULATOR, SEARCH] {
            assert!(Schema::new(text).is_ok());
        }
    }
}
