//! `homeroom drain --over 60s`: the running server lets the connected go one by one, and ends.

use super::{Failure, flags::SettingFlags, token};
use crate::house::control::{self, LONGEST, Order};
use std::{
    io::{self, Read},
    time::Duration,
};

/// How fast.
#[derive(clap::Args, Debug)]
pub struct DrainArguments {
    /// How long it takes from the first connection that is closed to the last
    #[arg(long, value_name = "TIME", value_parser = token::ttl, default_value = "60s")]
    pub over: Duration,
    /// How long readyz says 503 before the first is closed
    #[arg(long, value_name = "TIME", value_parser = token::ttl, default_value = "5s")]
    pub lead: Duration,
    /// The settings' flags.
    #[command(flatten)]
    pub flags: SettingFlags,
}

/// Tells the server, and waits until it has ended.
pub fn run(arguments: &DrainArguments) -> Result<(), Failure> {
    if arguments.over.max(arguments.lead) > LONGEST {
        return Err(Failure::Usage("--over and --lead: expected a day at most each".to_owned()));
    }
    let settings = arguments.flags.load_process()?.settings;
    let order = Order::Drain { lead: arguments.lead, over: arguments.over };
    let (words, mut rest) = control::order(&settings.data_dir, order).map_err(|fault| unheard(&settings.data_dir, &fault))?;
    println!("{words}");
    // The end of the stream is the end of the process.
    let _ = rest.read_to_end(&mut Vec::new());
    println!("ended");
    Ok(())
}

/// Why an order was not carried out.
pub(super) fn unheard(data_dir: &std::path::Path, fault: &io::Error) -> Failure {
    let folder = data_dir.display();
    Failure::Failed(match fault.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("no server serves {folder}: is it running, with these settings? (--config, --data-dir)")
        }
        io::ErrorKind::PermissionDenied => format!("the server of {folder} takes orders from its own user alone"),
        _ => format!("the server of {folder} does not do it: {fault}"),
    })
}
