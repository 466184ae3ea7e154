//! With the feature `otlp`.

use crate::{
    realtime::UnixMicros,
    traces::{Context, Dice, Kind, Parent, Sampler, Span, Value},
};
use arc_swap::ArcSwapOption;
use crossbeam::queue::ArrayQueue;
use http::{HeaderMap, Method};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};
use uuid::Uuid;

/// Spans that may wait for the exporter: a few megabytes.
const WAITING: usize = 8_192;
/// Answers, tasks and executions of which it is known which request they come from. A newer one takes the place of an older.
const CAUSES: usize = 4_096;
/// Of W3C's Trace Context.
const TRACEPARENT: &str = "traceparent";
const RESENT: &str = "http.request.resend_count";

static TRACES: OnceLock<Arc<Traces>> = OnceLock::new();

thread_local! {
    static DICE: RefCell<Option<Dice>> = const { RefCell::new(None) };
    static CURRENT: Cell<Option<Context>> = const { Cell::new(None) };
    static SHARD: Cell<Option<u8>> = const { Cell::new(None) };
}

/// Why spans are lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// As many wait as may.
    QueueFull,
    /// The collector does not take them, and would not at another time.
    Refused,
    /// The process ends, and the collector was not to be had.
    Stopped,
}

impl Loss {
    /// All of them.
    pub const ALL: [Loss; 3] = [Loss::QueueFull, Loss::Refused, Loss::Stopped];

    /// As a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Loss::QueueFull => "queue_full",
            Loss::Refused => "refused",
            Loss::Stopped => "stopped",
        }
    }
}

/// Where spans wait, and what became of the others.
pub struct Traces {
    sampler: Sampler,
    seed: u64,
    /// Threads that have thrown dice.
    threads: AtomicU64,
    spans: ArrayQueue<Span>,
    causes: Box<[ArcSwapOption<(Uuid, Context)>]>,
    exported: AtomicU64,
    lost: [AtomicU64; Loss::ALL.len()],
}

impl Traces {
    fn new(sampler: Sampler, seed: u64, waiting: usize) -> Traces {
        Traces {
            sampler,
            seed,
            threads: AtomicU64::new(0),
            spans: ArrayQueue::new(waiting),
            causes: (0..CAUSES).map(|_| ArcSwapOption::empty()).collect(),
            exported: AtomicU64::new(0),
            lost: Default::default(),
        }
    }

    /// Takes a span that is over.
    fn put(&self, span: Span) {
        if self.spans.push(span).is_err() {
            self.lose(Loss::QueueFull, 1);
        }
    }

    /// For the exporter: the oldest that waits.
    pub fn next(&self) -> Option<Span> {
        self.spans.pop()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.spans.len()
    }

    /// So many are with the collector.
    pub fn note_exported(&self, many: u64) {
        self.exported.fetch_add(many, Relaxed);
    }

    /// So many are with the collector, since the start.
    pub fn exported(&self) -> u64 {
        self.exported.load(Relaxed)
    }

    /// So many are lost.
    pub fn lose(&self, why: Loss, many: u64) {
        self.lost[why as usize].fetch_add(many, Relaxed);
    }

    /// How many are lost for this reason, since the start.
    pub fn lost(&self, why: Loss) -> u64 {
        self.lost[why as usize].load(Relaxed)
    }

    fn begin(&self, parent: Option<Context>) -> Context {
        DICE.with_borrow_mut(|dice| {
            let dice = dice.get_or_insert_with(|| Dice::new(self.seed, self.threads.fetch_add(1, Relaxed)));
            self.sampler.begin(parent, dice)
        })
    }

    fn place(&self, id: Uuid) -> Option<&ArcSwapOption<(Uuid, Context)>> {
        // Random ids: any of their bits will do.
        self.causes.get(id.as_u128() as usize % CAUSES)
    }
}

/// From now on the process tells. `seed` is random, and of nobody else. The second call changes nothing.
pub fn start(sampler: Sampler, seed: u64) -> Arc<Traces> {
    TRACES.get_or_init(|| Arc::new(Traces::new(sampler, seed, WAITING))).clone()
}

/// Where spans wait; none: nothing is told.
pub fn traces() -> Option<&'static Arc<Traces>> {
    TRACES.get()
}

/// Whether anything is told.
pub fn is_on() -> bool {
    TRACES.get().is_some()
}

/// What decides which traces are told of; none: none is.
pub fn sampler() -> Option<Sampler> {
    TRACES.get().map(|traces| traces.sampler)
}

/// This thread is a shard.
pub fn on_shard(local: u8) {
    SHARD.set(Some(local));
}

/// Takes a span that somebody else has made.
pub fn note(span: Span) {
    if let Some(traces) = TRACES.get() {
        traces.put(span);
    }
}

/// The span within which this thread works at the moment ([`within`]).
pub fn current() -> Option<Context> {
    CURRENT.get()
}

/// Works within a span: what asks for [`current`] meanwhile finds it.
pub async fn within<F: Future>(span: &Open, work: F) -> F::Output {
    let (mut work, context) = (pin!(work), span.context);
    poll_fn(|cx| {
        let before = CURRENT.replace(context);
        let polled = work.as_mut().poll(cx);
        CURRENT.set(before);
        polled
    })
    .await
}

/// What is worked at under this id from now on, an answer, a task or an execution, is for the sake of the current span.
pub fn note_cause(id: Uuid) {
    let Some((traces, context)) = TRACES.get().zip(current()) else { return };
    if let Some(place) = traces.place(id) {
        place.store(Some(Arc::new((id, context))));
    }
}

/// For whose sake that is; none: it is not known here, as where the request came to another node.
pub fn cause_of(id: Option<Uuid>) -> Option<Context> {
    let id = id?;
    let cause = TRACES.get()?.place(id)?.load();
    cause.as_ref().filter(|cause| cause.0 == id).map(|cause| cause.1)
}

/// A span that is under way. It ends when it is dropped: as given up, unless [`Open::done`] was said.
#[derive(Debug, Default)]
pub struct Open {
    context: Option<Context>,
    span: Option<Box<Span>>,
    since: Option<Instant>,
    is_done: bool,
}

/// Begins work of ours.
pub fn inside(name: &'static str, parent: Option<Context>) -> Open {
    Open::begin(name.into(), Kind::Internal, parent, (false, Instant::now()))
}

/// Work of ours that began at `since`.
pub fn inside_since(name: &'static str, since: Instant) -> Open {
    Open::begin(name.into(), Kind::Internal, None, (false, since))
}

/// Begins to ask somebody outside, who has this role.
pub fn asking(name: &'static str, role: &'static str, parent: Option<Context>) -> Open {
    let mut open = Open::begin(name.into(), Kind::Client, parent, (false, Instant::now()));
    open.word("homeroom.role", role);
    open
}

/// A request of REST comes in. `route` is the pattern, where there is one: of what the client says nothing is kept but the checked bytes of
/// `traceparent`, and the method where it is one that everybody knows. What only looks whether we live is told of for a parent's sake
/// alone.
pub fn request(method: &Method, route: Option<&str>, headers: &HeaderMap) -> Open {
    let mut lines = headers.get_all(TRACEPARENT).iter();
    let parent = match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok().and_then(Context::read),
        (_, _) => None,
    };
    if TRACES.get().is_none() || parent.is_none() && route.is_some_and(is_a_probe) {
        return Open::default();
    }
    let method = known(method);
    let verb = method.unwrap_or("HTTP");
    let name = route.map_or(verb.into(), |route| format!("{verb} {route}").into());
    let mut open = Open::begin(name, Kind::Server, parent, (true, Instant::now()));
    open.word("http.request.method", method.unwrap_or("_OTHER"));
    route.into_iter().for_each(|route| open.configured("http.route", route));
    if let Some(shard) = SHARD.get() {
        open.number("homeroom.shard", shard.into());
    }
    open
}

fn is_a_probe(route: &str) -> bool {
    ["/livez", "/readyz", "/metrics"].iter().any(|probe| route.ends_with(probe))
}

/// Those of RFC 9110 and PATCH; any other may be any word.
fn known(method: &Method) -> Option<&'static str> {
    const ALL: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    ALL.into_iter().find(|known| method.as_str() == *known)
}

impl Open {
    fn begin(
        name: std::borrow::Cow<'static, str>,
        kind: Kind,
        parent: Option<Context>,
        (is_remote, since): (bool, Instant),
    ) -> Open {
        let Some(traces) = TRACES.get() else { return Open::default() };
        let context = traces.begin(parent);
        let span = context.is_sampled.then(|| {
            let parent = parent.map(|parent| Parent { span: parent.span, is_remote });
            Box::new(Span::begin(context, parent, name, kind, wall(since.elapsed())))
        });
        Open { context: Some(context), since: span.is_some().then_some(since), span, is_done: false }
    }

    /// Which it is; none: nothing is told.
    pub fn context(&self) -> Option<Context> {
        self.context
    }

    /// The name and the value of the header that whoever is asked gets.
    pub fn header(&self) -> Option<(&'static str, String)> {
        self.context.map(|context| (TRACEPARENT, context.to_string()))
    }

    fn set(&mut self, key: &'static str, value: impl FnOnce() -> Value) {
        if let Some(span) = &mut self.span {
            span.set(key, value());
        }
    }

    /// A word of ours.
    pub fn word(&mut self, key: &'static str, word: &'static str) {
        self.set(key, || word.into());
    }

    /// A name out of the settings. Never what a client said.
    pub fn configured(&mut self, key: &'static str, name: &str) {
        self.set(key, || Value::configured(name));
    }

    /// A number.
    pub fn number(&mut self, key: &'static str, number: u64) {
        self.set(key, || number.into());
    }

    /// A time, in seconds.
    pub fn time(&mut self, key: &'static str, time: Duration) {
        self.set(key, || Value::Real(time.as_secs_f64()));
    }

    /// The host that is asked, and its port. Of its URL nothing else: there may be secrets in it.
    pub fn host(&mut self, url: &url::Url) {
        url.host_str().into_iter().for_each(|host| self.configured("server.address", host));
        url.port_or_known_default().into_iter().for_each(|port| self.number("server.port", port.into()));
    }

    /// The status that is answered: by us, or to us.
    pub fn status(&mut self, status: u16) {
        self.number("http.response.status_code", status.into());
        let is_asking = self.span.as_ref().is_some_and(|span| span.kind == Kind::Client);
        if status >= 500 || is_asking && status >= 400 {
            self.fail_with(|| Value::configured(&status.to_string()));
        }
    }

    /// It is tried for the so manieth time, counted from 1 (`http.request.resend_count` counts from the second on).
    pub fn tries(&mut self, attempt: u32) {
        if let Some(span) = self.span.as_mut().filter(|_| attempt > 1) {
            span.attributes.retain(|(key, _)| *key != RESENT);
            span.set(RESENT, u64::from(attempt - 1));
        }
    }

    /// It fails, for a reason of which there are few.
    pub fn fail(&mut self, why: &'static str) {
        self.fail_with(|| why.into());
    }

    fn fail_with(&mut self, why: impl FnOnce() -> Value) {
        if let Some(span) = self.span.as_mut().filter(|span| !span.has_failed) {
            span.fail(why());
        }
    }

    /// It is over.
    pub fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some((mut span, since)) = self.span.take().zip(self.since) else { return };
        if !self.is_done {
            span.set("homeroom.outcome", "given_up");
        }
        // By the clock that nobody sets.
        let took = i64::try_from(since.elapsed().as_micros()).unwrap_or(i64::MAX);
        span.end(UnixMicros(span.began.0.saturating_add(took)));
        note(*span);
    }
}

/// The wall clock so long ago.
fn wall(ago: Duration) -> UnixMicros {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMicros(i64::try_from(since.saturating_sub(ago).as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
