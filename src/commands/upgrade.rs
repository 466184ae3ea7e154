//! `homeroom upgrade`: the running server starts the program that is on the disk now, and hands its sockets over to it.

use super::{Failure, drain::unheard, flags::SettingFlags};
use crate::house::control::{self, Order};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read;

/// Which server.
#[derive(clap::Args, Debug)]
pub struct UpgradeArguments {
    /// Tell the process of this number by a signal (SIGUSR2), and do not wait: what comes of it is in its log
    #[arg(long)]
    pub pid: Option<i32>,
    /// The settings' flags.
    #[command(flatten)]
    pub flags: SettingFlags,
}

/// Tells the server, and waits until another process serves in its place.
pub fn run(arguments: &UpgradeArguments) -> Result<(), Failure> {
    if let Some(pid) = arguments.pid {
        let pid = Pid::from_raw(pid).ok_or_else(|| Failure::Usage("--pid: expected the number of a process".to_owned()))?;
        return kill_process(pid, Signal::USR2).map_err(|fault| Failure::Failed(format!("the process cannot be told: {fault}")));
    }
    let folder = arguments.flags.load_process()?.settings.data_dir;
    let failed = |fault: &std::io::Error| unheard(&folder, fault);
    let (next, mut rest) = control::order(&folder, Order::Upgrade).map_err(|fault| failed(&fault))?;
    // The end of the stream is the end of the former process.
    let _ = rest.read_to_end(&mut Vec::new());
    let (now, _) = control::order(&folder, Order::Who).map_err(|fault| failed(&fault))?;
    println!("{now}");
    if now.starts_with(&format!("process {next} ")) {
        return Ok(());
    }
    Err(Failure::Failed(format!("process {next} did not come up, and the former program goes on: the log says why")))
}
