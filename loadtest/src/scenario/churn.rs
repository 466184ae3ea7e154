//! `churn`: connections come, sign in and go. A rate counts whole lives of a connection.

use super::{
    Run, Stop,
    crowd::{Doing, sign_in_checks},
};
use crate::{args::Churn, order::Fate, report::Report, server::CONNECTIONS};

/// Runs it.
///
/// # Errors
/// What was asked cannot be done, or the run broke down. A server that fails is no error: the report tells.
pub(crate) fn run(args: &Churn) -> Result<Report, Stop> {
    let doing = Doing { fate: Fate::Leave, ..Doing::default() };
    let mut run = Run::gather("churn", &args.crowd, &doing, "each closed at once".to_owned())?;
    run.sign_in()?;
    run.close()?;
    run.check_level("the server's connections after the last close", CONNECTIONS, 0)?;
    Ok(run.finish(|tally, checks, server| {
        checks.extend(sign_in_checks(tally, args.crowd.students));
        if let Some(server) = server {
            server.cpu_us_per_sign_in = server.cpu_us("idle", "signed_in", tally.counts.signed_in);
        }
    })?)
}
