//! A batch of records in stages: those of one stage are of one kind, and are written by one statement. Of what depends on one another each
//! is in a later stage, so it is as if they had been written one by one. Pure.

use crate::protocols::quiz::record::Record;
use hashbrown::HashMap;
use uuid::Uuid;

/// What is written together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Attempts begin.
    Starts,
    /// Answers, in their order.
    Answers,
    /// Attempts end.
    Ends,
    /// One after another.
    Alone,
}

impl Kind {
    fn of(record: &Record) -> Kind {
        match record {
            Record::Started(_) => Kind::Starts,
            Record::Answered(_) => Kind::Answers,
            Record::Closed(_) => Kind::Ends,
            Record::NewQuiz(_)
            | Record::Edited { .. }
            | Record::Participant(_)
            | Record::Event(_)
            | Record::Owner(_)
            | Record::Key(_)
            | Record::Revoked { .. }
            | Record::Flagged { .. } => Kind::Alone,
        }
    }

    /// Whether two that depend on one another may be in one stage: it keeps their order.
    fn keeps_order(self) -> bool {
        matches!(self, Kind::Answers | Kind::Alone)
    }
}

/// Records of one kind, by their places in the batch.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) kind: Kind,
    pub(super) places: Vec<usize>,
}

pub(super) fn stages(records: &[&Record]) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    // The last stage in which an attempt or a participant was touched, and the last one of what attempts are begun with.
    let mut last: HashMap<Uuid, usize> = HashMap::new();
    let mut last_alone = None;
    for (place, record) in records.iter().enumerate() {
        let kind = Kind::of(record);
        let touched = touched(record);
        let before = touched.iter().flatten().filter_map(|id| last.get(id).copied());
        let before = before.chain(last_alone.filter(|_| matches!(kind, Kind::Starts | Kind::Alone)));
        let after = |stage: usize| if kind.keeps_order() && stages[stage].kind == kind { stage } else { stage + 1 };
        let from = before.map(after).max().unwrap_or(0);
        let found = (from..stages.len()).find(|&stage| stages[stage].kind == kind);
        let stage = found.unwrap_or_else(|| {
            stages.push(Stage { kind, places: Vec::new() });
            stages.len() - 1
        });
        stages[stage].places.push(place);
        last.extend(touched.into_iter().flatten().map(|id| (id, stage)));
        if kind == Kind::Alone {
            last_alone = Some(stage);
        }
    }
    stages
}

fn touched(record: &Record) -> [Option<Uuid>; 2] {
    match record {
        Record::Started(started) => [Some(started.attempt), Some(started.participant)],
        Record::Answered(answered) => [Some(answered.attempt), None],
        Record::Closed(closed) => [Some(closed.attempt), None],
        Record::Flagged { attempt, .. } => [Some(*attempt), None],
        Record::NewQuiz(_)
        | Record::Edited { .. }
        | Record::Participant(_)
        | Record::Event(_)
        | Record::Owner(_)
        | Record::Key(_)
        | Record::Revoked { .. } => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocols::quiz::record::Participant,
        realtime::UnixMicros,
        store::tests::quiz::{ADA, answered, closed, id, start, started},
    };

    fn kinds(records: &[Record]) -> Vec<(Kind, Vec<usize>)> {
        let records: Vec<&Record> = records.iter().collect();
        stages(&records).into_iter().map(|stage| (stage.kind, stage.places)).collect()
    }

    fn end(attempt: u128) -> Record {
        Record::Closed(closed(attempt, 1.0, 50))
    }

    #[test]
    fn a_class_is_three_statements() {
        let records: Vec<Record> = (1..=3)
            .flat_map(|attempt| {
                [start(started(attempt, 1, ADA)), answered(attempt, 11, 1, 20), answered(attempt, 11, 2, 21), end(attempt)]
            })
            .collect();
        let places = |from: usize| vec![from, from + 4, from + 8];
        let answers = (0..3).flat_map(|attempt| [attempt * 4 + 1, attempt * 4 + 2]).collect();
        assert_eq!(kinds(&records), [(Kind::Starts, places(0)), (Kind::Answers, answers), (Kind::Ends, places(3))]);
    }

    #[test]
    fn what_depends_on_another_comes_later() {
        let participant =
            Record::Participant(Participant { id: id(1_001), owner: ADA.into(), alias: "a".into(), created_at: UnixMicros(1) });
        let records = [
            start(started(2, 1, ADA)),
            participant,
            start(started(1, 1, ADA)),
            end(1),
            answered(1, 11, 1, 60),
            end(1),
            answered(2, 11, 1, 20),
        ];
        let expected = [
            (Kind::Starts, vec![0]),
            (Kind::Alone, vec![1]),
            (Kind::Starts, vec![2]),
            (Kind::Ends, vec![3]),
            (Kind::Answers, vec![4, 6]),
            (Kind::Ends, vec![5]),
        ];
        assert_eq!(kinds(&records), expected);
    }
}
