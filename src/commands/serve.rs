//! `homeroom serve`: from arguments to a process that serves until it is told to stop.

use super::{Failure, flags::SettingFlags};
use crate::{
    config::{Faults, Loaded, Settings, settings::WebSocket},
    house::{Heir, HouseFault, Rereading, await_records, banner, herald::Herald, serve_until_stopped},
    observe::{
        logs::{self, Logs},
        notify::Supervisor,
    },
    runtime::{Clock, StopSignals, count_memory_in_small_pages, end_process_on_panic, probe},
};
use std::{
    io::{IsTerminal, Write},
    os::unix::process::CommandExt,
    process::Command,
};

/// Nothing but settings.
#[derive(clap::Args, Debug)]
pub struct ServeArguments {
    /// The settings' flags.
    #[command(flatten)]
    pub flags: SettingFlags,
}

/// All that must stand before the first shard.
#[derive(Debug)]
pub struct Prepared {
    /// The settings, checked.
    pub settings: Settings,
    /// The log lines' way out: kept until the end of `main`, so that the last ones are written.
    pub logs: Logs,
    /// How many files may be open.
    pub nofile: u64,
}

/// Reads the settings, starts the log, raises the limits and makes sure of the rings.
pub fn prepare(arguments: &ServeArguments) -> Result<Prepared, Failure> {
    let loaded = load(&arguments.flags)?;
    let logs = logs::start(&loaded.settings.log).map_err(|error| Failure::Failed(format!("the log cannot start: {error}")))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let nofile = probe::raise_limits();
    if loaded.settings.websocket.connections(nofile) == 0 {
        return Err(Failure::Failed(too_few_files(nofile)));
    }
    probe::probe().map_err(|fault| Failure::Failed(fault.to_string()))?;
    Ok(Prepared { settings: loaded.settings, logs, nofile })
}

/// The settings as they are now, with every key file that they name.
fn load(flags: &SettingFlags) -> Result<Loaded, Faults> {
    let loaded = flags.load_process()?;
    let unreadable = loaded.unreadable_keys();
    if unreadable.is_empty() { Ok(loaded) } else { Err(Faults(unreadable)) }
}

fn rereading(arguments: &ServeArguments, logs: &Logs, nofile: u64) -> Rereading {
    let (flags, levels) = (arguments.flags.clone(), logs.levels());
    Rereading {
        read: Box::new(move || load(&flags)),
        log: Box::new(move |log| levels.change(log)),
        connections: Box::new(move |settings| settings.websocket.connections(nofile)),
    }
}

fn too_few_files(nofile: u64) -> String {
    format!(
        "no connection could be taken: the limit of open files is {nofile}, and {} are kept for the rest of the process; \
         raise the hard limit by LimitNOFILE= (systemd), --ulimit nofile= (Docker), nofile in limits.conf, or `ulimit -n`",
        WebSocket::RESERVED_DESCRIPTORS
    )
}

/// Serves until SIGTERM.
pub fn run(arguments: &ServeArguments) -> Result<(), Failure> {
    count_memory_in_small_pages();
    // First of all: a stop while the start is still under way is no failure.
    let signals = StopSignals::caught().map_err(|error| Failure::Failed(format!("signals cannot be caught: {error}")))?;
    let Prepared { settings, logs, nofile } = prepare(arguments)?;
    end_process_on_panic();
    let herald = Herald::begin(Supervisor::of_process())
        .map_err(|error| Failure::Failed(format!("a thread could not be started: {error}")))?;
    let program = std::env::args().next().unwrap_or_else(|| "homeroom".to_owned());
    let ended = serve_until_stopped(&settings, &signals, (rereading(arguments, &logs, nofile), Heir::of_process()), |opened| {
        // Tokens and a password are for eyes alone: where nobody looks they would stay in a file or a journal.
        let eyes = std::io::stdout().is_terminal().then(|| Clock::started_now().now().wall);
        herald.serves(opened.life.clone());
        let text = banner::text(&opened, &settings, &program, eyes);
        // Nobody may be reading, which is no reason not to serve.
        let _ = writeln!(std::io::stdout(), "{text}");
    });
    match ended {
        Err(HouseFault::Fenced) => {
            if signals.rest() {
                // It was taken for dead and told to stop: it need not come back.
                herald.end();
                return Ok(());
            }
            await_records(&settings);
            // What is in the log's queue is written before this process is another.
            drop(logs);
            Err(Failure::Failed(format!("cannot begin anew: {}", begin_anew())))
        }
        ended => {
            herald.end();
            ended.map_err(|fault| Failure::Failed(fault.to_string()))
        }
    }
}

/// The same program with the same arguments in the place of this one: nothing of its last life is left. Returns only where that fails.
fn begin_anew() -> std::io::Error {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| "homeroom".into());
    Command::new("/proc/self/exe").arg0(name).args(arguments).exec()
}
