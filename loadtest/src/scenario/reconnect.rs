//! `reconnect`: everybody drops in one moment and comes back, some times over, while events are published to their rooms.

use super::{
    Findings, Run, Stop,
    crowd::Doing,
    fates::{Delivered, account},
    spoken, target_of,
};
use crate::{
    args::{Crowd, Reconnect},
    crew::letters::Stage,
    order::{Break, Pace, Publishing, Returns, Storm},
    progress::Teller,
    report::{Check, Report},
    server::CONNECTIONS,
    summary::grouped,
    tally::Tally,
    tempo::Tempo,
};

/// Runs it.
///
/// # Errors
/// What was asked cannot be done, or the run broke down. A server that fails is no error: the report tells.
pub(crate) fn run(args: &Reconnect) -> Result<Report, Stop> {
    let doing = Doing { publishing: Some(publishing(args)?), storm: Some(storm(args)?), ..Doing::default() };
    let mut run = Run::gather("reconnect", &args.crowd, &doing, then(args))?;
    run.sign_in()?;
    run.check_level("the server's connections before the first drop", CONNECTIONS, run.held())?;
    let before = run.delivered()?;
    run.stage_for(Stage::Publish, args.calm, Teller::new("publishing", 0))?;
    run.sample("storm");
    run.rounds(args)?;
    run.sample("back");
    run.stage(Stage::Calm, false, Teller::new("hearing", 0), |progress| progress.published)?;
    let after = run.delivered()?;
    run.close()?;
    run.check_level("the server's connections after the close", CONNECTIONS, 0)?;
    Ok(run.conclude(|tally, found| judge(args, found, tally, before, after))?)
}

impl Run {
    fn rounds(&mut self, args: &Reconnect) -> Result<(), Stop> {
        for _ in 0..args.rounds {
            let before = self.crew.progress().signed_in;
            let teller = Teller::new("returning", before + dropping(args));
            self.stage(Stage::Storm, true, teller, |progress| progress.signed_in)?;
            self.check_level("the server's connections when everybody is back", CONNECTIONS, self.held())?;
            self.stage_for(Stage::Hold, args.calm, Teller::new("publishing", 0))?;
        }
        Ok(())
    }
}

fn judge(args: &Reconnect, found: &mut Findings, tally: &Tally, before: Delivered, after: Delivered) {
    let (checks, fates) = account(&tally.counts, before, after, args.breaks == Break::Reset);
    found.checks.extend(connection_checks(args, tally));
    found.checks.extend(checks);
    found.checks.extend(presence_checks(tally, after.since(before).replaced() * u64::from(args.stay)));
    found.fates = fates;
    if let Some(server) = &mut found.server {
        server.cpu_us_per_sign_in = server.cpu_us("idle", "signed_in", args.crowd.students.into());
        server.cpu_us_per_return = server.cpu_us("storm", "back", tally.reconnect.returned);
        server.bytes_per_connection = server.bytes_each("idle", "signed_in", args.crowd.students.into());
    }
}

/// Members who drop in a round.
fn dropping(args: &Reconnect) -> u64 {
    let (students, stay) = (u64::from(args.crowd.students), u64::from(args.stay));
    students.saturating_sub(stay * u64::from(args.crowd.classrooms))
}

/// Every connection is accounted for.
pub(super) fn connection_checks(args: &Reconnect, tally: &Tally) -> Vec<Check> {
    let (counts, returns, all) = (&tally.counts, &tally.reconnect, dropping(args) * u64::from(args.rounds));
    let in_all = u64::from(args.crowd.students) + all;
    vec![
        Check::new("sign-ins begun", in_all, counts.attempted),
        Check::new("sign-ins answered with connect_success", in_all, counts.signed_in),
        Check::new("members dropped", all, returns.left + returns.reset),
        Check::new("members back in", all, returns.returned),
        Check::new("connect_success heard twice", 0, counts.doubled),
        Check::new("events heard before connect_success", 0, counts.early),
        Check::new("members lost before they were dropped or closed", 0, counts.lost),
        Check::new("connections closed properly or reset", counts.signed_in - counts.lost, counts.closed + returns.reset),
    ]
}

/// Those who stayed were told of each who left and came back, once.
///
/// Who is back before the server saw it go keeps its number, and nobody is told: those who came back at once, and those of whom the
/// server says that they were `replaced` (counted for each who stayed, both).
pub(super) fn presence_checks(tally: &Tally, replaced: u64) -> [Check; 4] {
    let returns = &tally.reconnect;
    let excused = |owed: u64, heard: u64| heard + owed.saturating_sub(heard).min(returns.unnoticed + replaced);
    let (left, came) = (returns.leavings_heard, returns.comings_heard);
    [
        Check::new("leavings told to those who stayed", returns.leavings_owed, excused(returns.leavings_owed, left)),
        Check::new("comings back told to those who stayed", returns.comings_owed, excused(returns.comings_owed, came)),
        Check::new("comings back of those who were told to have left", left, came),
        Check::new("leavings and comings told twice or out of turn", 0, returns.misheard),
    ]
}

fn publishing(args: &Reconnect) -> Result<Publishing, Stop> {
    publisher(&args.crowd, args.publish_rate, args.bytes)
}

/// Publishes at a rate until they are told to end.
pub(super) fn publisher(crowd: &Crowd, rate: f64, bytes: u32) -> Result<Publishing, Stop> {
    let url = crowd.site.internal.as_deref().ok_or_else(|| Stop::Usage("events are published through --internal".to_owned()))?;
    let target = target_of(&crowd.site, url, "http")?;
    Ok(Publishing { target, pace: Pace::Rate(Tempo::steady(rate)), bytes: bytes as usize, lasting: None })
}

fn storm(args: &Reconnect) -> Result<Storm, Stop> {
    if dropping(args) == 0 {
        return Err(Stop::Usage("nobody would drop: more --students, or fewer to --stay in each room".to_owned()));
    }
    Ok(Storm { within: args.within, returns: args.returns, breaks: args.breaks, stay: args.stay })
}

fn then(args: &Reconnect) -> String {
    let how = match args.breaks {
        Break::Close => "drop",
        Break::Reset => "are reset",
    };
    let when = match args.returns {
        Returns::Even => format!("come back evenly over {}", spoken(args.within)),
        Returns::AtOnce => "come back at once".to_owned(),
        Returns::Soon => format!("come back within {}, most of them soon", spoken(args.within)),
    };
    format!("{} {how} and {when}, {} times; {} publishes a second", grouped(dropping(args)), args.rounds, args.publish_rate)
}
