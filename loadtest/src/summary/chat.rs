//! What the summary says of chat.

use super::{grouped, listed, row};
use crate::{
    report::{Report, StageCost},
    tally::ChatCounts,
};

/// How many answers, how many words.
pub(super) fn rates(out: &mut String, report: &Report, chat: &ChatCounts) {
    let rates = &report.rates;
    let words = chat.words_heard + chat.words_of_cancelled + chat.words_of_cancelled_beside;
    let told = [chat.ends_heard, chat.ends_owed, words].map(grouped);
    let text = format!("{} of {} in {:.2} s, {} words: ", told[0], told[1], rates.streaming_s, told[2]);
    row(out, "answers", &format!("{text}{} a second", grouped(rates.words_per_s as u64)));
    if chat.cancels > 0 {
        row(out, "cancels", &format!("{} sent, {} answers ended by them", grouped(chat.cancels), grouped(chat.cut_short)));
    }
    out.push('\n');
}

/// What else was seen.
pub(super) fn events(chat: &ChatCounts) -> String {
    listed(&[
        (chat.requests, "requests at the model"),
        (chat.words_sent, "words sent by it"),
        (chat.cut, "of its requests gone"),
        (chat.stalled, "sends that waited"),
        (chat.held_back, "messages held back"),
        (chat.proved, "answers read back"),
        (chat.pings, "pings"),
    ])
}

/// What the answers cost the generator.
pub(super) fn generator(cost: &StageCost, chat: &ChatCounts) -> String {
    let (all, busiest) = (cost.cpu_ns() as f64 / 1e9, cost.busiest() * 100.0);
    let model = cost.workers.last().filter(|_| chat.requests > 0).map(|usage| usage.cpu_ns as f64 / 1e9);
    let own = model.map_or_else(String::new, |model| format!(" ({model:.2} s the model's)"));
    format!("{all:.2} s CPU{own}, busiest worker {busiest:.0} % of a core")
}
