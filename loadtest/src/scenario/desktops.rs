//! Makes the sessions of a lab by REST, waits until they run, and deletes them again.

use super::{Stop, read};
use crate::{
    args::Lab,
    clock,
    lab::{
        contract::{Listed, Made, Refusal, SignedIn},
        order::{agent_name, user_name},
    },
    tally::{Measure, Tally},
    wire::{http::Target, rest::Rest},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::{
    io,
    path::Path,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// Looks at what the sessions have come to are so far apart: sixty a minute, where a hundred are allowed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The first looks come sooner.
const SOON: Duration = Duration::from_millis(50);

/// A client of REST for one user.
pub(super) struct Desktops<'a> {
    args: &'a Lab,
    target: &'a Target,
    token: String,
    made: Vec<Uuid>,
}

/// The token of the admin who makes the sessions and watches them.
///
/// # Errors
/// No credential, or one that the server does not take.
pub(super) fn sign_in(args: &Lab, target: &Target) -> Result<String, Stop> {
    match (&args.token, &args.password) {
        (Some(path), _) => line(path),
        (None, Some(path)) => {
            let body = json!({ "username": args.user, "password": line(path)? }).to_string();
            let mut rest = Rest::new(target, "", args.site.timeout);
            let (status, answer) = rest.exchange("POST", "/auth/login", &body)?;
            Ok(wanted::<SignedIn>("login", 200, status, &answer)?.token)
        }
        (None, None) => Err(Stop::Usage("give --password or --token".to_owned())),
    }
}

impl<'a> Desktops<'a> {
    /// A client with the token of [`sign_in`].
    pub(super) fn new(args: &'a Lab, target: &'a Target, token: String) -> Desktops<'a> {
        Desktops { args, target, token, made: Vec::new() }
    }

    /// What viewers sign in with.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Asks for every session.
    ///
    /// # Errors
    /// A session that is refused.
    pub(super) fn make(&mut self, tally: &mut Tally) -> io::Result<()> {
        let Lab { sessions, agents, site, .. } = self.args;
        let made = self.at_once(*sessions, |rest, number| {
            let body = json!({
                "user": user_name(number),
                "template": self.args.template,
                "platform": agent_name(site.seed, number % agents),
                "idle_timeout": "24h",
                "tags": [tag(site.seed)],
            });
            let start_ns = clock::now_ns();
            let (status, answer) = patient(rest, "POST", "/sessions", &body.to_string(), site.timeout)?;
            let Made { id } = wanted("a session", 202, status, &answer)?;
            Ok((id, clock::now_ns() - start_ns))
        })?;
        tally.lab.asked += u64::from(*sessions);
        tally.lab.made += made.len() as u64;
        made.iter().for_each(|(_, ns)| tally.record(Measure::Create, *ns));
        self.made = made.into_iter().map(|(id, _)| id).collect();
        Ok(())
    }

    /// Deletes every session.
    ///
    /// # Errors
    /// A session that is not deleted.
    pub(super) fn delete(&mut self, tally: &mut Tally) -> io::Result<()> {
        let deleted = self.at_once(self.made.len() as u32, |rest, place| {
            let path = format!("/sessions/{}", self.made[place as usize]);
            match patient(rest, "DELETE", &path, "", self.args.site.timeout)? {
                (204, _) => Ok(()),
                (status, answer) => Err(refused("a deletion", status, &answer)),
            }
        })?;
        tally.lab.deleted += deleted.len() as u64;
        Ok(())
    }

    /// Waits until as many of the sessions as were made are in this state, but not for ever; how many there are at last.
    ///
    /// # Errors
    /// Those of the request.
    pub(super) fn count(&self, state: &str, mut meanwhile: impl FnMut(Duration) -> io::Result<()>) -> io::Result<u64> {
        let path = format!("/sessions?state={state}&tags={}&limit=1", tag(self.args.site.seed));
        let mut rest = Rest::new(self.target, &self.token, self.args.site.timeout);
        let (start, mut pause) = (Instant::now(), SOON);
        loop {
            let (status, answer) = patient(&mut rest, "GET", &path, "", self.args.site.timeout)?;
            let listed: Listed = wanted("the list", 200, status, &answer)?;
            if listed.pagination.total == self.made.len() as u64 || start.elapsed() >= self.args.site.timeout {
                return Ok(listed.pagination.total);
            }
            meanwhile(pause)?;
            pause = (2 * pause).min(LOOK_EVERY);
        }
    }

    /// Does something for each number, so many at once; the outcomes in no order.
    fn at_once<T: Send>(&self, count: u32, each: impl Fn(&mut Rest, u32) -> io::Result<T> + Sync) -> io::Result<Vec<T>> {
        let next = AtomicU32::new(0);
        let work = || {
            let mut rest = Rest::new(self.target, &self.token, self.args.site.timeout);
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= count {
                    return Ok(done);
                }
                done.push(each(&mut rest, number)?);
            }
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.args.in_flight.min(count.max(1))).map(|_| scope.spawn(work)).collect();
            let outcomes =
                threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread ended"))));
            outcomes.collect::<io::Result<Vec<Vec<T>>>>().map(|done| done.into_iter().flatten().collect())
        })
    }
}

/// By which the sessions of a run are found.
fn tag(seed: u64) -> String {
    format!("load-{seed}-{}", std::process::id())
}

/// Asks again where the server says that it was asked too often, as long as `within` allows.
fn patient(rest: &mut Rest, method: &str, path: &str, body: &str, within: Duration) -> io::Result<(u16, Vec<u8>)> {
    let start = Instant::now();
    loop {
        let (status, answer) = rest.exchange(method, path, body)?;
        let wait = serde_json::from_slice::<Refusal>(&answer).ok().and_then(|refusal| refusal.retry_after);
        match wait.map(Duration::from_secs) {
            Some(wait) if status == 429 && start.elapsed() + wait < within => thread::sleep(wait),
            Some(_) | None => return Ok((status, answer)),
        }
    }
}

fn wanted<T: DeserializeOwned>(what: &str, wanted: u16, status: u16, answer: &[u8]) -> io::Result<T> {
    if status != wanted {
        return Err(refused(what, status, answer));
    }
    serde_json::from_slice(answer).map_err(|fault| io::Error::other(format!("{what}: {fault}")))
}

fn refused(what: &str, status: u16, answer: &[u8]) -> io::Error {
    let code = serde_json::from_slice::<Refusal>(answer).map_or_else(|_| String::new(), |refusal| refusal.code);
    let more = if status == 429 { "; the limits are settings of the server (labs.*_a_minute)" } else { "" };
    io::Error::other(format!("{what}: http {status} {code}{more}"))
}

fn line(path: &Path) -> Result<String, Stop> {
    let text = String::from_utf8(read(path)?).map_err(|_| Stop::Usage(format!("{}: not text", path.display())))?;
    text.lines().next().map(str::to_owned).ok_or_else(|| Stop::Usage(format!("{}: nothing in it", path.display())))
}
