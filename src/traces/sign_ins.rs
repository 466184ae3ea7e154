//! The sign-ins of a shard that are under way: from the upgrade to whoever is in, is refused or is gone.

use super::{Context, Dice, Kind, Sampler, Span, span::Parent};
use crate::realtime::{Moment, Now, UnixMicros};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// See the file. Empty, and without any cost but a look, until it is told to begin.
#[derive(Debug, Default)]
pub struct SignIns {
    means: Option<(Sampler, Dice)>,
    /// By slot.
    open: HashMap<u32, SignIn, FixedState>,
    spans: Vec<Span>,
    shard: u64,
}

#[derive(Debug)]
struct SignIn {
    context: Context,
    /// None: its trace is not told of, but whoever is asked for its sake is to know that.
    span: Option<Box<Span>>,
}

impl SignIns {
    /// From now on they are told of. `seed` is random, and no other shard with the same has the same number.
    pub fn begin(&mut self, sampler: Option<Sampler>, seed: u64, shard: u8) {
        self.shard = shard.into();
        self.means = sampler.map(|sampler| (sampler, Dice::new(seed, shard.into())));
    }

    /// Whether anything is told of.
    pub fn is_on(&self) -> bool {
        self.means.is_some()
    }

    /// Somebody asks for a socket of this API, on a connection that was accepted at `since`; `header` is the `traceparent`.
    pub fn open(&mut self, slot: u32, api: &'static str, since: Option<Moment>, header: Option<&str>, now: Now) {
        let Some((sampler, dice)) = &mut self.means else { return };
        let parent = header.and_then(Context::read);
        let context = sampler.begin(parent, dice);
        let span = context.is_sampled.then(|| {
            let waited = since.map_or(0, |since| now.moment.since(since).as_micros() as i64);
            let parent = parent.map(|parent| Parent { span: parent.span, is_remote: true });
            let mut span = Span::begin(context, parent, "sign_in", Kind::Server, UnixMicros(now.wall.0 - waited));
            span.set("homeroom.api", api);
            span.set("homeroom.shard", self.shard);
            span.event("upgrade_asked", now.wall);
            Box::new(span)
        });
        self.open.insert(slot, SignIn { context, span });
    }

    /// Something happens to it.
    pub fn event(&mut self, slot: u32, name: &'static str, now: Now) {
        if let Some(SignIn { span: Some(span), .. }) = self.open.get_mut(&slot) {
            span.event(name, now.wall);
        }
    }

    /// Which it is, for those who are asked for its sake.
    pub fn context(&self, slot: u32) -> Option<Context> {
        self.open.get(&slot).map(|sign_in| sign_in.context)
    }

    /// He is in.
    pub fn done(&mut self, slot: u32, now: Now) {
        self.end(slot, "done", None, now);
    }

    /// He is not let in, for this reason.
    pub fn refused(&mut self, slot: u32, reason: &'static str, now: Now) {
        self.end(slot, "refused", Some(("homeroom.reason", reason, false)), now);
    }

    /// He cannot be let in, and it is not his fault.
    pub fn failed(&mut self, slot: u32, reason: &'static str, now: Now) {
        self.end(slot, "failed", Some(("error.type", reason, true)), now);
    }

    /// He has gone, or asks for something else.
    pub fn gone(&mut self, slot: u32, now: Now) {
        self.end(slot, "gone", None, now);
    }

    fn end(&mut self, slot: u32, outcome: &'static str, why: Option<(&'static str, &'static str, bool)>, now: Now) {
        if self.open.is_empty() {
            return;
        }
        let Some(SignIn { span: Some(mut span), .. }) = self.open.remove(&slot) else { return };
        span.set("homeroom.outcome", outcome);
        if let Some((key, reason, is_ours)) = why {
            span.set(key, reason);
            span.has_failed = is_ours;
        }
        span.end(now.wall);
        self.spans.push(*span);
    }

    /// Hands over those that have ended.
    pub fn take(&mut self, take: impl FnMut(Span)) {
        self.spans.drain(..).for_each(take);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(micros: u64) -> Now {
        Now { moment: Moment(micros), wall: UnixMicros(1_000_000 + micros as i64) }
    }

    fn of(ratio: f64) -> SignIns {
        let mut own = SignIns::default();
        own.begin(Some(Sampler::new(ratio)), 9, 3);
        own
    }

    fn ended(own: &mut SignIns) -> Vec<Span> {
        let mut all = Vec::new();
        own.take(|span| all.push(span));
        all
    }

    const TOLD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const KEPT_QUIET: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    #[test]
    fn one_goes_from_the_accept_to_its_end() {
        let mut own = of(0.0);
        own.open(7, "presence", Some(Moment(100)), Some(TOLD), now(400));
        assert_eq!(own.context(7).map(|context| (context.trace >> 96, context.is_sampled)), Some((0x4bf9_2f35, true)));
        own.event(7, "token_judged", now(500));
        own.event(8, "nobody", now(500));
        assert!(ended(&mut own).is_empty());
        own.done(7, now(900));
        own.gone(7, now(950));
        let all = ended(&mut own);
        let [span] = all.as_slice() else { panic!("one") };
        assert_eq!((span.began.0, span.ended.0), (1_000_100, 1_000_900));
        assert_eq!(span.parent, Some(Parent { span: 0x00f0_67aa_0ba9_02b7, is_remote: true }));
        assert_eq!(span.events.iter().map(|event| event.name).collect::<Vec<_>>(), ["upgrade_asked", "token_judged"]);
        assert!(span.attributes.contains(&("homeroom.outcome", "done".into())) && !span.has_failed);
        assert_eq!(own.context(7), None);
    }

    #[test]
    fn a_refusal_is_no_failure_and_a_failure_is_ours() {
        for (is_ours, key) in [(false, "homeroom.reason"), (true, "error.type")] {
            let mut own = of(1.0);
            own.open(1, "quiz", None, Some("rubbish"), now(5));
            if is_ours {
                own.failed(1, "why", now(6))
            } else {
                own.refused(1, "why", now(6))
            }
            let span = ended(&mut own).pop().unwrap();
            assert_eq!((span.has_failed, span.parent), (is_ours, None));
            assert!(span.attributes.contains(&(key, "why".into())));
        }
    }

    #[test]
    fn who_is_not_told_of_is_known_all_the_same_and_without_a_beginning_nobody_is() {
        let mut own = of(1.0);
        own.open(1, "presence", None, Some(KEPT_QUIET), now(5));
        assert_eq!(own.context(1).map(|context| context.is_sampled), Some(false));
        own.done(1, now(6));
        assert!(ended(&mut own).is_empty() && own.context(1).is_none());
        let mut off = SignIns::default();
        off.open(1, "presence", None, Some(TOLD), now(5));
        off.done(1, now(6));
        assert!(!off.is_on() && off.context(1).is_none() && ended(&mut off).is_empty());
    }
}
