//! `bell`: the bell rings, everybody signs in, stays for a lesson and leaves.

use super::{
    Run, Stop,
    crowd::{Doing, sign_in_checks},
    spoken,
};
use crate::{args::Bell, report::Report, server::CONNECTIONS};

/// Runs it.
///
/// # Errors
/// What was asked cannot be done, or the run broke down. A server that fails is no error: the report tells.
pub(crate) fn run(args: &Bell) -> Result<Report, Stop> {
    let then = format!("held for {}", spoken(args.hold));
    let mut run = Run::gather("bell", &args.crowd, &Doing { pings_every: args.pings_every, ..Doing::default() }, then)?;
    run.sign_in()?;
    run.hold(args.hold)?;
    run.check_level("the server's connections while held", CONNECTIONS, run.held())?;
    run.close()?;
    run.check_level("the server's connections after the close", CONNECTIONS, 0)?;
    Ok(run.finish(|tally, checks, server| {
        checks.extend(sign_in_checks(tally, args.crowd.students));
        if let Some(server) = server {
            let counts = &tally.counts;
            server.cpu_us_per_sign_in = server.cpu_us("idle", "signed_in", counts.signed_in);
            server.bytes_per_connection = server.bytes_each("idle", "held", counts.signed_in - counts.lost);
        }
    })?)
}
