//! Attempts as they run: begun, answered, ended, each many at a time; flagged.

use super::super::{
    columns::{Word, column, text, to_json},
    conn::Conn,
    fault::Fault,
};
use crate::{
    protocols::quiz::{
        model::{AttemptId, QuestionId},
        record::{Answered, Closed, Flag, Kept, Record, Started},
    },
    realtime::UnixMicros,
};
use hashbrown::{HashMap, HashSet};
use uuid::Uuid;

/// Missing unless the quiz is the owner's, and so are the participant and the event.
pub(super) async fn start(conn: &Conn, part: &[&Record]) -> Result<Vec<Kept>, Fault> {
    let new: Vec<&Started> =
        part.iter().filter_map(|record| if let Record::Started(new) = record { Some(&**new) } else { None }).collect();
    if new.iter().any(|new| new.owner.is_empty()) {
        return Err(Fault::Value("who has no name owns nothing".into()));
    }
    let attempts: Vec<Uuid> = new.iter().map(|new| new.attempt).collect();
    let rows = conn
        .rows(
            "WITH new AS (
                 SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[], $5::boolean[], $6::text[], $7::uuid[], $8::bigint[],
                     $9::bigint[]) WITH ORDINALITY
                     AS new (attempt_id, quiz, owner, participant, is_new, alias, event, started_at, deadline, place)),
             good AS (
                 SELECT * FROM new
                 WHERE EXISTS (SELECT 1 FROM quiz WHERE quiz.id = new.quiz AND quiz.owner = new.owner)
                     AND (event IS NULL OR EXISTS (SELECT 1 FROM event WHERE event.event_id = new.event AND event.owner = new.owner))
                     AND (is_new OR EXISTS (SELECT 1 FROM participant AS known
                                            WHERE known.participant_id = new.participant AND known.owner = new.owner))),
             people AS (
                 INSERT INTO participant (participant_id, owner, alias, created_at)
                 SELECT participant, owner, alias, started_at FROM good WHERE is_new ORDER BY place)
             INSERT INTO attempt (attempt_id, quiz, owner, participant, event, alias, started_at, deadline)
             SELECT attempt_id, quiz, owner, participant, event, alias, started_at, deadline FROM good ORDER BY place
             RETURNING attempt_id",
            &[
                &attempts,
                &new.iter().map(|new| new.quiz.0).collect::<Vec<_>>(),
                &new.iter().map(|new| text(&new.owner)).collect::<Vec<_>>(),
                &new.iter().map(|new| new.participant).collect::<Vec<_>>(),
                &new.iter().map(|new| new.new_participant).collect::<Vec<_>>(),
                &new.iter().map(|new| text(&new.alias)).collect::<Vec<_>>(),
                &new.iter().map(|new| new.event).collect::<Vec<_>>(),
                &new.iter().map(|new| new.started_at.0).collect::<Vec<_>>(),
                &new.iter().map(|new| new.deadline.map(|at| at.0)).collect::<Vec<_>>(),
            ],
        )
        .await?;
    kept(&rows, &attempts)
}

/// Of the answers to one question of an attempt the last, and when the latest of them came.
fn last_ones<'a>(new: &[&'a Answered]) -> Vec<(&'a Answered, i64)> {
    let mut places: HashMap<(AttemptId, QuestionId), usize> = HashMap::with_capacity(new.len());
    let mut last: Vec<(&Answered, i64)> = Vec::with_capacity(new.len());
    for answered in new {
        let place = *places.entry((answered.attempt, answered.question)).or_insert(last.len());
        match last.get_mut(place) {
            Some(before) => *before = (answered, before.1.max(answered.at.0)),
            None => last.push((answered, answered.at.0)),
        }
    }
    last
}

/// Missing unless the attempt runs.
pub(super) async fn answer(conn: &Conn, part: &[&Record]) -> Result<Vec<Kept>, Fault> {
    let new: Vec<&Answered> =
        part.iter().filter_map(|record| if let Record::Answered(new) = record { Some(&**new) } else { None }).collect();
    let attempts: Vec<Uuid> = new.iter().map(|new| new.attempt).collect();
    let last = last_ones(&new);
    let given = last.iter().map(|(new, _)| to_json(&new.given)).collect::<Result<Vec<_>, _>>()?;
    let rows = conn
        .rows(
            "WITH new AS (
                 SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::boolean[], $6::float8[], $7::bigint[],
                     $8::bigint[]) AS new (attempt_id, question_id, answer_id, given, is_correct, score, answered_at, latest_at)),
             running AS (
                 SELECT id, attempt_id FROM attempt
                 WHERE attempt_id IN (SELECT attempt_id FROM new) AND ended_at IS NULL),
             answers AS (
                 INSERT INTO answer (attempt, question_id, answer_id, given, is_correct, score, answered_at, latest_at)
                 SELECT attempt.id, question_id, answer_id, given, is_correct, new.score, answered_at, latest_at
                 FROM new JOIN attempt ON attempt.attempt_id = new.attempt_id AND ended_at IS NULL
                 ON CONFLICT (attempt, question_id) DO UPDATE SET answer_id = excluded.answer_id, given = excluded.given,
                     is_correct = excluded.is_correct, score = excluded.score, answered_at = excluded.answered_at,
                     latest_at = greatest(answer.latest_at, excluded.latest_at))
             SELECT attempt_id FROM running",
            &[
                &last.iter().map(|(new, _)| new.attempt).collect::<Vec<_>>(),
                &last.iter().map(|(new, _)| new.question).collect::<Vec<_>>(),
                &last.iter().map(|(new, _)| new.id).collect::<Vec<_>>(),
                &given,
                &last.iter().map(|(new, _)| new.grade.is_correct).collect::<Vec<_>>(),
                &last.iter().map(|(new, _)| new.grade.score).collect::<Vec<_>>(),
                &last.iter().map(|(new, _)| new.at.0).collect::<Vec<_>>(),
                &last.iter().map(|(_, latest)| *latest).collect::<Vec<_>>(),
            ],
        )
        .await?;
    kept(&rows, &attempts)
}

/// Missing unless the attempt runs: it ends once.
pub(super) async fn close(conn: &Conn, part: &[&Record]) -> Result<Vec<Kept>, Fault> {
    let over: Vec<&Closed> =
        part.iter().filter_map(|record| if let Record::Closed(over) = record { Some(over) } else { None }).collect();
    let attempts: Vec<Uuid> = over.iter().map(|over| over.attempt).collect();
    let rows = conn
        .rows(
            "UPDATE attempt SET reason = done.reason, ended_at = done.at, score = done.score, answered_count = done.answered,
                 last_answer = (SELECT max(latest_at) FROM answer WHERE answer.attempt = attempt.id)
             FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::float8[], $5::bigint[]) AS done (attempt_id, reason, at, score, answered)
             WHERE attempt.attempt_id = done.attempt_id AND ended_at IS NULL RETURNING attempt.attempt_id",
            &[
                &attempts,
                &over.iter().map(|over| over.reason.word()).collect::<Vec<_>>(),
                &over.iter().map(|over| over.at.0).collect::<Vec<_>>(),
                &over.iter().map(|over| over.score).collect::<Vec<_>>(),
                &over.iter().map(|over| i64::from(over.answered_count)).collect::<Vec<_>>(),
            ],
        )
        .await?;
    kept(&rows, &attempts)
}

/// Missing when there is no such attempt. One that is over is flagged as well.
pub(super) async fn flag(conn: &Conn, attempt: AttemptId, at: UnixMicros, flags: &[Flag]) -> Result<Kept, Fault> {
    let count = flags.len() as i64;
    let found =
        conn.row("UPDATE attempt SET flags = flags + $2 WHERE attempt_id = $1 RETURNING id, flags", &[&attempt, &count]).await?;
    let Some(found) = found else { return Ok(Kept::Missing) };
    let (attempt, last): (i64, i64) = (column(&found, 0)?, column(&found, 1)?);
    conn.execute(
        "INSERT INTO flag (attempt, number, label, detail, question_id, occurred_at, flagged_at)
         SELECT $1::bigint, $2::bigint + place, label, detail, question_id, occurred_at, $3::bigint
         FROM unnest($4::text[], $5::text[], $6::uuid[], $7::bigint[]) WITH ORDINALITY
             AS new (label, detail, question_id, occurred_at, place)",
        &[
            &attempt,
            &(last - count),
            &at.0,
            &flags.iter().map(|flag| text(&flag.label)).collect::<Vec<_>>(),
            &flags.iter().map(|flag| flag.detail.as_deref().map(text)).collect::<Vec<_>>(),
            &flags.iter().map(|flag| flag.question).collect::<Vec<_>>(),
            &flags.iter().map(|flag| flag.occurred_at.0).collect::<Vec<_>>(),
        ],
    )
    .await?;
    Ok(Kept::Done)
}

/// Done for those that the rows name.
fn kept(rows: &[tokio_postgres::Row], wanted: &[Uuid]) -> Result<Vec<Kept>, Fault> {
    let found = rows.iter().map(|row| column(row, 0)).collect::<Result<HashSet<Uuid>, _>>()?;
    Ok(wanted.iter().map(|id| if found.contains(id) { Kept::Done } else { Kept::Missing }).collect())
}
