//! What an answer is worth.

use super::model::{Given, Grade, Kind, Question};

/// The longest text that is taken as an answer.
pub const TEXT_CHARS: usize = 4_000;

/// Grades what was given; none: it does not suit the question (another type, an option that there is not, a text that is too long).
///
/// A list of options is a set: order and repetition mean nothing, and it is right when it names exactly the right ones. Texts are compared
/// without the white space around them and case-folded, as Unicode folds (`STRASSE` is `straße`).
pub fn grade(question: &Question, given: &Given) -> Option<Grade> {
    let is_correct = match (&question.kind, given) {
        (Kind::MultipleChoice { options, correct }, Given::Option(option)) => {
            (usize::from(*option) < options.len()).then_some(Some(option == correct))
        }
        (Kind::MultipleSelect { options, correct }, Given::Options(given)) => {
            let suits = given.len() <= options.len() && given.iter().all(|&option| usize::from(option) < options.len());
            suits.then(|| Some(is_same_set(given, correct)))
        }
        (Kind::TrueFalse { correct }, Given::Truth(truth)) => Some(Some(truth == correct)),
        (Kind::ShortText { correct }, Given::Text(text)) => is_short(text).then(|| is_right_text(text, correct)),
        (
            Kind::MultipleChoice { .. } | Kind::MultipleSelect { .. } | Kind::TrueFalse { .. } | Kind::ShortText { .. },
            Given::Option(_) | Given::Options(_) | Given::Truth(_) | Given::Text(_),
        ) => None,
    }?;
    // Zero is added for the sake of points of −0.0: no client should see a minus.
    let score = if is_correct == Some(true) { question.points + 0.0 } else { 0.0 };
    Some(Grade { is_correct, score })
}

/// Both have at most as many members as there are options.
fn is_same_set(one: &[u16], other: &[u16]) -> bool {
    one.iter().all(|member| other.contains(member)) && other.iter().all(|member| one.contains(member))
}

/// A character has at most four bytes, so most texts need not be counted.
fn is_short(text: &str) -> bool {
    text.len() <= TEXT_CHARS || text.chars().count() <= TEXT_CHARS
}

/// None: there is no right answer, a teacher decides.
fn is_right_text(text: &str, correct: &[String]) -> Option<bool> {
    let text = text.trim();
    (!correct.is_empty()).then(|| correct.iter().any(|right| unicase::eq(text, right.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn question(kind: Kind) -> Question {
        Question { id: Uuid::from_u128(1), text: "?".into(), points: 2.5, kind }
    }

    fn options(count: usize) -> Vec<String> {
        (0..count).map(|n| n.to_string()).collect()
    }

    fn verdict(kind: &Kind, given: Given) -> Option<Option<bool>> {
        let grade = grade(&question(kind.clone()), &given)?;
        assert_eq!(grade.score, if grade.is_correct == Some(true) { 2.5 } else { 0.0 });
        Some(grade.is_correct)
    }

    #[test]
    fn one_option_is_right() {
        let kind = Kind::MultipleChoice { options: options(3), correct: 1 };
        assert_eq!(verdict(&kind, Given::Option(1)), Some(Some(true)));
        assert_eq!(verdict(&kind, Given::Option(2)), Some(Some(false)));
        assert_eq!(verdict(&kind, Given::Option(3)), None);
        assert_eq!(verdict(&kind, Given::Options(vec![1])), None);
        assert_eq!(verdict(&kind, Given::Text("1".into())), None);
    }

    #[test]
    fn a_selection_is_right_when_it_names_exactly_the_right_ones() {
        let kind = Kind::MultipleSelect { options: options(4), correct: vec![0, 2] };
        assert_eq!(verdict(&kind, Given::Options(vec![2, 0])), Some(Some(true)));
        assert_eq!(verdict(&kind, Given::Options(vec![0, 2, 2])), Some(Some(true)));
        for wrong in [vec![], vec![0], vec![0, 1], vec![0, 1, 2], vec![1, 3]] {
            assert_eq!(verdict(&kind, Given::Options(wrong)), Some(Some(false)));
        }
        assert_eq!(verdict(&kind, Given::Options(vec![0, 4])), None);
        assert_eq!(verdict(&kind, Given::Options(vec![0; 5])), None);
        assert_eq!(verdict(&kind, Given::Option(0)), None);
    }

    #[test]
    fn truth_is_true_or_false() {
        assert_eq!(verdict(&Kind::TrueFalse { correct: false }, Given::Truth(false)), Some(Some(true)));
        assert_eq!(verdict(&Kind::TrueFalse { correct: false }, Given::Truth(true)), Some(Some(false)));
        assert_eq!(verdict(&Kind::TrueFalse { correct: false }, Given::Option(0)), None);
    }

    #[test]
    fn texts_are_trimmed_and_folded() {
        let kind = Kind::ShortText { correct: vec!["Straße".into(), " ΟΔΟΣ ".into(), "Élan".into()] };
        for right in ["straße", "STRASSE", "\u{2003}Strasse\n", "οδος", "οδοσ", "ÉLAN"] {
            assert_eq!(verdict(&kind, Given::Text(right.into())), Some(Some(true)), "{right}");
        }
        for wrong in ["strase", "", "elan", "str asse"] {
            assert_eq!(verdict(&kind, Given::Text(wrong.into())), Some(Some(false)), "{wrong}");
        }
        assert_eq!(verdict(&kind, Given::Text("é".repeat(TEXT_CHARS))), Some(Some(false)));
        assert_eq!(verdict(&kind, Given::Text("e".repeat(TEXT_CHARS + 1))), None);
    }

    #[test]
    fn by_hand_is_neither_right_nor_wrong() {
        assert_eq!(verdict(&Kind::ShortText { correct: vec![] }, Given::Text("an essay".into())), Some(None));
    }

    #[test]
    fn points_have_no_minus() {
        let question = Question { points: -0.0, ..question(Kind::TrueFalse { correct: true }) };
        assert!(grade(&question, &Given::Truth(true)).is_some_and(|grade| grade.score.is_sign_positive()));
    }
}
