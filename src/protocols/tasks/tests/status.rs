//! How the system is, summed over shards.

use super::*;
use crate::protocols::tasks::status::{Counts, Health};

fn all(outcomes: Vec<Outcome>) -> Vec<Counts> {
    let counts = outcomes.into_iter().filter_map(|outcome| match outcome {
        Outcome::Counts(counts) | Outcome::Totals(counts) => Some(counts),
        _ => None,
    });
    counts.collect()
}

#[test]
fn counts_are_told_at_once_and_then_now_and_then() {
    let mut bench = Bench::new();
    let mut seen = Vec::new();
    for n in 0..20 {
        bench.homes.task(ToTask::Create { conn: conn(2), task: Box::new(task(n)) }, bench.now, &mut bench.out);
        let made = std::mem::take(&mut bench.out);
        bench.homes.kept(ticket(&made), Ok(()), bench.now, &mut bench.out);
        seen.extend(all(std::mem::take(&mut bench.out)));
    }
    assert_eq!(seen, [Counts { active: 0, pending: 1 }]);
    bench.now.moment = bench.now.moment + Duration::from_millis(300);
    bench.homes.turn(bench.now, &mut bench.out);
    assert_eq!(all(std::mem::take(&mut bench.out)), [Counts { active: 0, pending: 20 }]);
    assert_eq!(bench.homes.timers(), 0);
}

#[test]
fn the_sum_is_of_all_shards() {
    let mut bench = Bench::new();
    let counts = |active, pending| Counts { active, pending };
    bench.homes.counts(ShardId(0), counts(1, 2), bench.now, &mut bench.out);
    assert_eq!(all(std::mem::take(&mut bench.out)), [counts(1, 2)]);
    bench.homes.counts(ShardId(1), counts(4, 0), bench.now, &mut bench.out);
    bench.homes.counts(ShardId(0), counts(0, 3), bench.now, &mut bench.out);
    assert_eq!(all(std::mem::take(&mut bench.out)), [], "just told");
    assert_eq!(all(bench.pass(Duration::from_millis(300))), [counts(4, 3)]);
    assert_eq!(bench.homes.timers(), 0);
}

#[test]
fn who_listens_hears_what_changes() {
    let mut bench = Bench::new();
    let counts = Counts { active: 5, pending: 2 };
    bench.homes.totals(counts, bench.now, &mut bench.out);
    bench.homes.totals(counts, bench.now, &mut bench.out);
    let out = bench.take();
    let [Outcome::Status(news)] = &out[..] else { panic!("{out:?}") };
    assert_eq!(text(&news.frame)["data"]["active_tasks"], 5);
    let health = Health { model_service: "degraded".into(), ..Health::default() };
    bench.homes.health(health.clone(), bench.now, &mut bench.out);
    bench.homes.health(health, bench.now, &mut bench.out);
    let out = bench.take();
    let [Outcome::Status(news)] = &out[..] else { panic!("{out:?}") };
    assert_eq!(text(&news.frame)["data"]["model_service_status"], "degraded");
    assert_eq!(bench.homes.status().counts, counts);
}
