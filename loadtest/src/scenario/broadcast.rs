//! `broadcast`: everybody signs in, then events are published to their rooms through the internal listener.

use super::{
    Run, Stop,
    crowd::{Doing, sign_in_checks},
    spoken, target_of,
};
use crate::{
    args::Broadcast,
    crew::letters::Stage,
    order::{Pace, Publishing},
    progress::Teller,
    report::{Check, Report},
    server::{CONNECTIONS, DROPPED},
    summary::grouped,
    tempo::Tempo,
};
use std::time::Duration;

/// Between the last publish's settling at its own worker and the close: deliveries to other workers' members are under way.
const LAST_DELIVERIES: Duration = Duration::from_millis(300);

/// Runs it.
///
/// # Errors
/// What was asked cannot be done, or the run broke down. A server that fails is no error: the report tells.
pub(crate) fn run(args: &Broadcast) -> Result<Report, Stop> {
    let publishing = publishing(args)?;
    let then = then(args);
    let doing = Doing { publishing: Some(publishing), ..Doing::default() };
    let mut run = Run::gather("broadcast", &args.crowd, &doing, then)?;
    run.sign_in()?;
    run.check_level("the server's connections before publishing", CONNECTIONS, run.held())?;
    let dropped_before = run.level(DROPPED)?;
    run.sample("publishing");
    run.stage(Stage::Publish, true, Teller::new("publishing", 0).at(args.publish_rate).lasting(args.lasting), |progress| {
        progress.published
    })?;
    run.crew.pass(LAST_DELIVERIES, |_| {})?;
    run.sample("published");
    let dropped = run.level(DROPPED)?.saturating_sub(dropped_before);
    run.close()?;
    run.check_level("the server's connections after the close", CONNECTIONS, 0)?;
    Ok(run.finish(|tally, checks, server| {
        let counts = &tally.counts;
        checks.extend(sign_in_checks(tally, args.crowd.students));
        checks.push(Check::new("publishes answered", counts.published, counts.answered));
        checks.push(Check::new("members named by the answers", counts.meant, counts.owed));
        checks.push(Check::new("deliveries and what the server says it dropped", counts.owed, counts.delivered + dropped));
        checks.push(Check::new("deliveries out of order", 0, counts.disordered));
        checks.push(Check::new("publishes overdue", 0, counts.overdue));
        if let Some(server) = server {
            server.cpu_us_per_sign_in = server.cpu_us("idle", "signed_in", counts.signed_in);
            server.cpu_us_per_delivery = server.cpu_us("publishing", "published", counts.delivered);
            server.user_share_of_deliveries = server.user_share("publishing", "published");
            server.bytes_per_connection = server.bytes_each("idle", "signed_in", counts.signed_in);
        }
    })?)
}

fn publishing(args: &Broadcast) -> Result<Publishing, Stop> {
    let url =
        args.crowd.site.internal.as_deref().ok_or_else(|| Stop::Usage("broadcast publishes through --internal".to_owned()))?;
    let target = target_of(&args.crowd.site, url, "http")?;
    let pace = args.publish_rate.map_or(Pace::Saturate(args.publish_in_flight), |rate| Pace::Rate(Tempo::steady(rate)));
    Ok(Publishing { target, pace, bytes: args.bytes as usize, lasting: Some(args.lasting) })
}

fn then(args: &Broadcast) -> String {
    let pace = match args.publish_rate {
        Some(rate) => format!("{rate} publishes a second"),
        None => format!("{} publishes in flight", args.publish_in_flight),
    };
    format!("{pace} of {} bytes for {}", grouped(args.bytes.into()), spoken(args.lasting))
}
