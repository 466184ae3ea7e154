//! Publishes at their intended moments, whatever the server does: how late every member hears each, and what it costs.

use crate::{
    FRAME,
    drive::{WARM_UP, Watch, room},
    pin,
};
use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

/// Kept connections of a publisher.
const LINES: u64 = 64;
/// After the last intended moment.
const DRAIN: Duration = Duration::from_secs(5);

/// What is under way and what was found.
struct Pace {
    start: Instant,
    every: Duration,
    /// How many publishes have left, and how many of them every member has heard.
    sent: usize,
    done: usize,
    /// Publishes before this one only warm up.
    first: usize,
    /// So many in all.
    last: usize,
    /// How many members have heard each publish that is under way, the oldest first.
    heard: VecDeque<u64>,
    /// Bytes that each member has.
    bytes: Vec<usize>,
    latencies_us: Vec<u32>,
    /// Deliveries before another publish would have been due behind the last one.
    in_time: u64,
    /// How late each publish left.
    lags_us: Vec<u32>,
}

impl Pace {
    fn due(&self, publish: usize) -> Instant {
        self.start + self.every * publish as u32
    }

    /// A member has `count` bytes more.
    fn hear(&mut self, place: usize, count: usize) -> io::Result<()> {
        let before = self.bytes[place] / FRAME.len();
        self.bytes[place] += count;
        let now = Instant::now();
        for publish in before..self.bytes[place] / FRAME.len() {
            let mark = self.heard.get_mut(publish - self.done).ok_or_else(|| io::Error::other("more came than was sent"))?;
            *mark += 1;
            if publish >= self.first {
                self.latencies_us.push(micros(now - self.due(publish)));
                self.in_time += u64::from(now <= self.due(self.last));
            }
        }
        Ok(())
    }
}

/// `rate` publishes a second for so long. What is missing one period after the last one's moment is told as `behind`: who keeps the rate
/// has nothing left then. What never came within 5 s more is `lost`.
pub fn paced(address: &str, core: usize, pid: u64, [members, rate, seconds]: [u64; 3], internal: Option<&str>) -> io::Result<()> {
    pin(core)?;
    let (mut client, mut publisher) = room(address, members, LINES, internal)?;
    let warm_up = (rate as f64 * WARM_UP.as_secs_f64()).ceil() as usize;
    let last = warm_up + (rate * seconds) as usize;
    let mut pace = Pace {
        start: Instant::now() + Duration::from_millis(10),
        every: Duration::from_secs(1) / rate as u32,
        sent: 0,
        done: 0,
        first: warm_up,
        last,
        heard: VecDeque::new(),
        bytes: vec![0; members as usize],
        latencies_us: Vec::with_capacity((members * rate * seconds) as usize),
        in_time: 0,
        lags_us: Vec::new(),
    };
    let end = pace.due(last) + DRAIN;
    let mut watch = None;
    while pace.done < last && Instant::now() < end {
        if watch.is_none() && pace.sent >= warm_up {
            watch = Some(Watch::start(pid)?);
        }
        while pace.sent < last && publisher.is_free() && Instant::now() >= pace.due(pace.sent) {
            pace.lags_us.push(micros(Instant::now() - pace.due(pace.sent)));
            publisher.publish(1)?;
            pace.heard.push_back(0);
            pace.sent += 1;
        }
        let next = if pace.sent < last && publisher.is_free() { pace.due(pace.sent) } else { end };
        let longest = next.saturating_duration_since(Instant::now());
        client.hear_within(longest, |_, place, came| pace.hear(place, came.len()))?;
        while pace.heard.front() == Some(&members) {
            pace.heard.pop_front();
            publisher.settle(1, members)?;
            pace.done += 1;
        }
    }
    tell(watch.ok_or_else(|| io::Error::other("nothing was published"))?, pace, members * (rate * seconds))
}

fn tell(watch: Watch, mut pace: Pace, wanted: u64) -> io::Result<()> {
    pace.latencies_us.sort_unstable();
    pace.lags_us.sort_unstable();
    let delivered = pace.latencies_us.len() as u64;
    let at = |share| percentile(&pace.latencies_us, share);
    let more = format!(
        r#","behind":{},"lost":{},"p50_us":{},"p99_us":{},"p999_us":{},"max_us":{},"lag_p99_us":{}"#,
        wanted.saturating_sub(pace.in_time),
        wanted.saturating_sub(delivered),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        percentile(&pace.lags_us, 0.99),
    );
    watch.stop("paced", delivered, &more)
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// By nearest rank, of sorted values; 0 where there are none.
fn percentile(sorted: &[u32], share: f64) -> u32 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two members who hear two publishes, each `every` after the other, of which the first only warms up.
    fn heard(start: Instant, every: Duration) -> Pace {
        let mut pace = Pace {
            start,
            every,
            sent: 2,
            done: 0,
            first: 1,
            last: 2,
            heard: [0; 2].into(),
            bytes: vec![0; 2],
            latencies_us: Vec::new(),
            in_time: 0,
            lags_us: Vec::new(),
        };
        (0..2).for_each(|member| pace.hear(member, 2 * FRAME.len()).unwrap());
        pace
    }

    #[test]
    fn what_comes_more_than_a_period_after_the_last_moment_is_behind() {
        let now = Instant::now();
        let in_time = heard(now, Duration::from_secs(3600));
        assert_eq!((in_time.in_time, in_time.latencies_us.len()), (2, 2));
        let late = heard(now.checked_sub(Duration::from_millis(10)).unwrap(), Duration::from_millis(1));
        assert_eq!((late.in_time, late.latencies_us.len()), (0, 2));
    }

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let values: Vec<u32> = (1..=100).collect();
        assert_eq!((percentile(&values, 0.5), percentile(&values, 0.99), percentile(&values, 1.0)), (50, 99, 100));
        assert_eq!((percentile(&[7], 0.99), percentile(&[], 0.99)), (7, 0));
    }
}
