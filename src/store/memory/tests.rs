//! What a store in memory does in each of its moods.

use super::*;
use crate::store::tests::{entered, entering, everything, leaving, row, ticket};

fn results(store: &MemoryStore) -> Vec<Result<i64, StoreFault>> {
    store.take_answers().into_iter().map(|answer| entered(answer).result).collect()
}

fn with(agents: &[&str]) -> MemoryStore {
    let store = MemoryStore::new(8);
    for agent_id in agents {
        store.enter(ticket(0), entering(agent_id, 1)).expect("room");
    }
    store
}

#[test]
fn slow_does_so_many_at_a_time() {
    let store = with(&["a", "b", "c"]);
    store.be(Mood::Slow(0));
    assert_eq!(results(&store), []);
    store.be(Mood::Slow(2));
    assert_eq!(results(&store), [Ok(1), Ok(2)]);
    assert_eq!(store.health().queued.load(Relaxed), 1);
    store.be(Mood::Prompt);
    assert_eq!(results(&store), [Ok(3)]);
}

#[test]
fn a_fault_answers_enters_and_keeps_leaves() {
    for (mood, fault) in [(Mood::Busy, StoreFault::Busy), (Mood::Failing, StoreFault::Failed)] {
        let store = with(&["a"]);
        assert_eq!(results(&store), [Ok(1)]);
        store.be(mood);
        store.enter(ticket(0), entering("b", 2)).expect("room");
        store.leave(leaving(1, 5));
        assert_eq!(results(&store), [Err(fault)]);
        assert_eq!(store.attendance(ClassroomId::nil(), UnixMicros(0), UnixMicros(9)), Err(fault));
        assert_eq!(store.flush(Duration::ZERO), Err(StoreFault::Busy));
        store.be(Mood::Prompt);
        assert_eq!(results(&store), []);
        assert_eq!(everything(&store), [row("a", 1, 5)]);
    }
}

#[test]
fn a_full_queue_refuses() {
    let store = with(&["a", "b", "c", "d", "e", "f", "g", "h"]);
    assert_eq!(store.enter(ticket(9), entering("i", 1)), Err(StoreFault::Busy));
    assert_eq!(results(&store).len(), 8);
    assert_eq!(store.enter(ticket(9), entering("i", 1)), Ok(()));
}

#[test]
fn a_restart_ends_what_was_live() {
    let store = with(&["a"]);
    assert_eq!(results(&store), [Ok(1)]);
    store.enter(ticket(0), entering("b", 2)).expect("room");
    store.restart(UnixMicros(7));
    assert_eq!(results(&store), []);
    assert_eq!(everything(&store), [row("a", 1, 7)]);
    store.enter(ticket(0), entering("b", 8)).expect("room");
    assert_eq!(results(&store), [Ok(2)], "numbers are not used again");
}
