//! The questions of a quiz.

use super::{NO_OBJECTS, refuses};
use crate::{
    http::quiz::fakes::{House, QUIZ, TEACHER, at, question, quiz, teacher},
    protocols::quiz::{
        asks::{Ask, Refused, Reply},
        model::{Kind, Question, Quiz},
        record::Edit,
    },
};
use serde_json::{Value, json};

const POST: &str = "POST /api/v1/quizzes/42/questions";

fn put(order: u128) -> String {
    format!("PUT /api/v1/quizzes/42/questions/{}", question(order))
}

/// The edit that a question becomes, and the answer when the quiz has it at its end.
fn make(body: &Value) -> (Question, (u16, Value)) {
    // The ids that the house makes are the same each time.
    let house = House::replying([Reply::Refused(Refused::Archived)]);
    teacher(&house, POST, &body.to_string());
    let Ask::Edit { edit: Edit::Question(made), .. } = house.asked.take().remove(0) else { panic!("no question") };
    let mut quiz = quiz();
    quiz.questions.push((*made).clone());
    let house = House::replying([Reply::Edited(Box::new(quiz))]);
    let told = teacher(&house, POST, &body.to_string()).good();
    let asked = Ask::Edit { quiz: QUIZ, owner: TEACHER.into(), edit: Edit::Question(made.clone()), seen: None };
    assert_eq!(house.asked.take(), [asked]);
    (*made, told)
}

#[test]
fn questions_of_every_type_are_made_at_the_end() {
    let (one, two) = (|text: &str| text.to_owned(), vec!["a".to_owned(), "b".to_owned()]);
    for (kind, shown, expected) in [
        (
            json!({"type": "multiple_choice", "options": ["a", "b"], "correct": 1}),
            json!({"type": "multiple_choice", "options": ["a", "b"], "correct": 1}),
            Kind::MultipleChoice { options: two.clone(), correct: 1 },
        ),
        (
            json!({"type": "multiple_select", "options": ["a", "b"], "correct": [1, 0]}),
            json!({"type": "multiple_select", "options": ["a", "b"], "correct": [0, 1]}),
            Kind::MultipleSelect { options: two.clone(), correct: vec![0, 1] },
        ),
        (
            json!({"type": "true_false", "correct": false}),
            json!({"type": "true_false", "correct": false}),
            Kind::TrueFalse { correct: false },
        ),
        (
            json!({"type": "short_text", "correct": []}),
            json!({"type": "short_text", "correct": []}),
            Kind::ShortText { correct: vec![] },
        ),
        (
            json!({"type": "short_text", "correct": ["Paris"], "options": 1}),
            json!({"type": "short_text", "correct": ["Paris"]}),
            Kind::ShortText { correct: vec![one("Paris")] },
        ),
    ] {
        let mut body = json!({"text": "Which?", "points": 2.5, "order": 9, "id": "mine"});
        body.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        let (made, (status, data)) = make(&body);
        assert_eq!((&*made.text, made.points, &made.kind, made.id.get_version_num()), ("Which?", 2.5, &expected, 4));
        let mut shown_whole = json!({"id": made.id, "order": 5, "text": "Which?", "points": 2.5});
        shown_whole.as_object_mut().unwrap().extend(shown.as_object().unwrap().clone());
        assert_eq!((status, data), (201, shown_whole));
    }
}

fn wrong() -> Vec<String> {
    let choice = |name: &str, value: Value| {
        let mut body = json!({"text": "t", "points": 1, "type": "multiple_choice", "options": ["a", "b"], "correct": 0});
        body[name] = value;
        body.to_string()
    };
    let select = |correct: Value| {
        json!({"text": "t", "points": 1, "type": "multiple_select", "options": ["a", "b"], "correct": correct}).to_string()
    };
    let short = |correct: Value| json!({"text": "t", "points": 1, "type": "short_text", "correct": correct}).to_string();
    vec![
        choice("text", json!("")),
        choice("text", json!("x".repeat(4_001))),
        choice("text", Value::Null),
        choice("points", json!(-1)),
        choice("points", json!(1_000.5)),
        choice("points", json!("1")),
        choice("points", Value::Null),
        choice("type", json!("zzz")),
        choice("options", json!(["a"])),
        choice("options", json!(vec!["a"; 21])),
        choice("options", json!(["a", ""])),
        choice("options", json!(["a", "x".repeat(1_001)])),
        choice("options", json!("zzz")),
        choice("correct", json!(2)),
        choice("correct", json!(-1)),
        choice("correct", json!([0])),
        choice("correct", json!(true)),
        select(json!([])),
        select(json!([0, 0])),
        select(json!([2])),
        select(json!(0)),
        short(json!(["x".repeat(1_001)])),
        short(json!([""])),
        short(json!([" \n"])),
        short(json!(vec!["a"; 21])),
        short(json!("zzz")),
        json!({"text": "t", "points": 1, "type": "true_false", "correct": 1}).to_string(),
        json!({"text": "t", "points": 1, "type": "true_false"}).to_string(),
        json!({"text": "t", "type": "true_false", "correct": true}).to_string(),
        r#"{"text":"t","points":1e999,"type":"true_false","correct":true}"#.to_owned(),
        r#"{"text":"t","points":NaN,"type":"true_false","correct":true}"#.to_owned(),
    ]
}

#[test]
fn questions_that_nobody_could_answer_are_refused() {
    for request in [POST, &put(1)] {
        refuses(request, NO_OBJECTS);
        refuses(request, wrong());
    }
}

#[test]
fn the_largest_question_is_one() {
    let body = json!({"text": "é".repeat(4_000), "points": 1_000, "type": "multiple_select",
        "options": vec!["é".repeat(1_000); 20], "correct": (0..20).collect::<Vec<_>>()});
    assert_eq!(make(&body).0.points, 1_000.0);
}

#[test]
fn a_question_gets_another_text_where_it_is() {
    let mut changed = quiz();
    let body = json!({"text": "2!", "points": 0, "type": "true_false", "correct": false});
    changed.questions[1] = Question { id: question(2), text: "2!".into(), points: 0.0, kind: Kind::TrueFalse { correct: false } };
    let house = House::replying([Reply::Edited(Box::new(changed.clone()))]);
    let shown = json!({"id": question(2), "order": 2, "text": "2!", "points": 0.0, "type": "true_false", "correct": false});
    assert_eq!(teacher(&house, &put(2), &body.to_string()).good(), (200, shown));
    let edit = Edit::Question(Box::new(changed.questions[1].clone()));
    let seen = Some(quiz().updated_at);
    assert_eq!(house.asked.take(), [Ask::Edit { quiz: QUIZ, owner: TEACHER.into(), edit, seen }]);
}

#[test]
fn a_question_that_is_taken_out_meanwhile_does_not_come_back() {
    let house = House::replying([Reply::Refused(Refused::Changed)]);
    let mut without = Quiz { updated_at: at(2), ..quiz() };
    without.questions.remove(1);
    house.shelf.borrow_mut().extend([quiz(), without]);
    let body = r#"{"text":"t","points":1,"type":"true_false","correct":true}"#;
    assert_eq!(teacher(&house, &put(2), body).refusal(), (404, "NF-001".into()));
    assert_eq!(house.asked.take().len(), 1);
}

#[test]
fn a_question_that_is_not_there_is_not_made_by_changing_it() {
    let house = House::replying([]);
    let body = r#"{"text":"t","points":1,"type":"true_false","correct":true}"#;
    for request in [put(9), "PUT /api/v1/quizzes/42/questions/zzz".into(), put(1).replace("42", "43")] {
        assert_eq!(teacher(&house, &request, body).refusal(), (404, "NF-001".into()), "{request}");
    }
}

#[test]
fn questions_are_taken_out() {
    let house = House::replying([Reply::Edited(Box::new(quiz())), Reply::Refused(Refused::NotFound)]);
    let request = put(1).replace("PUT", "DELETE");
    assert_eq!(teacher(&house, &request, "").good(), (200, json!({})));
    let edit = Edit::NoQuestion(question(1));
    assert_eq!(house.asked.take(), [Ask::Edit { quiz: QUIZ, owner: TEACHER.into(), edit, seen: None }]);
    assert_eq!(teacher(&house, &request, "").refusal(), (404, "NF-001".into()));
    assert_eq!(teacher(&house, "DELETE /api/v1/quizzes/42/questions/zzz", "").refusal(), (404, "NF-001".into()));
}

#[test]
fn questions_are_ordered() {
    let request = "PUT /api/v1/quizzes/42/questions/order";
    let order: Vec<_> = [4, 1, 3, 2].map(question).into();
    let house = House::replying([Reply::Edited(Box::new(quiz())), Reply::Refused(Refused::WrongOrder)]);
    let body = json!({"questions": order}).to_string();
    assert_eq!(teacher(&house, request, &body).good(), (200, json!({})));
    let edit = Edit::Order(order);
    assert_eq!(house.asked.take(), [Ask::Edit { quiz: QUIZ, owner: TEACHER.into(), edit, seen: None }]);
    assert_eq!(teacher(&house, request, &body).refusal(), (400, "VAL-001".into()));
    refuses(request, NO_OBJECTS);
    let long = json!({"questions": vec![question(1); 501]}).to_string();
    refuses(request, [r#"{"questions":["zzz"]}"#, r#"{"questions":"zzz"}"#, &long]);
}

#[test]
fn a_quiz_has_a_bound() {
    let house = House::replying([Reply::Refused(Refused::TooManyQuestions)]);
    let said = teacher(&house, POST, r#"{"text":"t","points":1,"type":"true_false","correct":true}"#);
    assert_eq!(said.refusal(), (409, "QUIZ-002".into()));
}
