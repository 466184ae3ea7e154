//! Approvals that wait in any session, asked of each implementation.

use super::{
    InMemory, OnDisk, Subject,
    chat::{approval, change, kept, session},
    labs, ticket,
};
use crate::{
    protocols::chat::{
        model::{Approval, Decision},
        record::Waiting,
    },
    realtime::UnixMicros,
};

fn of_any_session_the_oldest_first<S: Subject>() {
    let it = S::fresh(64);
    let late = Approval { expires_at: UnixMicros(500), ..approval(1, 12) };
    let decided = Approval { decision: Decision::Rejected, decided_at: Some(UnixMicros(20)), ..approval(1, 13) };
    let changes = [change(session(1), [], [approval(1, 11), late, decided]), change(session(2), [], [approval(2, 10)])];
    for (token, change) in changes.into_iter().enumerate() {
        it.store().keep_chat(ticket(token as u64), Box::new(change)).expect("room");
    }
    it.answers(2).into_iter().for_each(|answer| kept(answer).expect("kept"));
    let waiting = |now, limit| it.store().waiting_approvals(UnixMicros(now), limit).expect("readable");
    let numbers = |found: Vec<Waiting>| found.into_iter().map(|waiting| waiting.approval.id.as_u128()).collect::<Vec<_>>();
    assert_eq!(numbers(waiting(0, 10)), [10, 11, 12]);
    assert_eq!(numbers(waiting(500, 10)), [10, 11], "one has expired");
    assert_eq!(numbers(waiting(0, 1)), [10]);
    let first = Waiting { approval: approval(2, 10), owner: "".into() };
    assert_eq!(waiting(0, 1), [first], "whose user is not there");
    it.store().keep_labs(ticket(0), labs::new_user(7, "ada")).expect("room");
    assert_eq!(it.answers(1).len(), 1);
    assert_eq!(&*waiting(0, 1)[0].owner, "ada");
}

suite!(of_any_session_the_oldest_first,);
