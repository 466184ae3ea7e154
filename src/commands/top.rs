//! `homeroom top`: the running server in a terminal, asked by its internal listener as `homeroom ctl` asks.

mod screen;
mod watch;

use super::{
    Failure,
    ctl::{Place, asked_by},
    server::{Line, Server},
};
use crate::top::{Look, Seen, Shown, escaped, plain};
use reqwest::Method;
use rustix::termios::tcgetwinsize;
use serde_json::{Value, json};
use std::{
    env,
    io::{self, IsTerminal, Write, stdout},
    thread,
    time::Duration,
};

/// Behind the help.
pub const EXIT_CODES: &str = "Exit codes: 0 somebody ended it, or the picture is told; 1 the answer cannot be read, or the server refused; \
2 the command or the settings are wrong; 3 no server answers there; 4 the server does not let you. While it shows itself it waits for a \
server that does not answer.";

/// As wide as lines are where nobody says how wide the terminal is.
const WIDTH: u16 = 100;

/// What to show, and where the server is.
#[derive(clap::Args, Debug)]
pub struct TopArguments {
    /// How long it is between two looks, 100ms to 5s. Of --once the rates of classrooms need 900ms
    #[arg(long, value_name = "TIME", value_parser = pace, default_value = "1s")]
    pub every: Duration,
    /// Print one picture as text, of two looks, and end; so it is too where standard output is no terminal
    #[arg(long)]
    pub once: bool,
    /// Print what the server told, and the rates between two looks, as JSON, one object, and end
    #[arg(long)]
    pub json: bool,
    /// Where.
    #[command(flatten)]
    pub place: Place,
}

fn pace(text: &str) -> Result<Duration, String> {
    // The server forgets those who have not looked for ten seconds, and with them the rates of classrooms.
    let bounds = Duration::from_millis(100)..=Duration::from_secs(5);
    let every = super::token::ttl(text)?;
    if bounds.contains(&every) { Ok(every) } else { Err("expected a time from 100ms to 5s".to_owned()) }
}

/// Shows it.
pub fn run(arguments: &TopArguments) -> Result<(), Failure> {
    let server = arguments.place.server()?;
    if arguments.once || arguments.json || !screen::is_ours() {
        return once(arguments, &server);
    }
    screen::show(arguments, &server)
}

/// What the server tells, and what was read of it.
struct Told {
    status: Value,
    load: Value,
    look: Look,
}

fn look(line: &Line) -> Result<Told, Failure> {
    let get = |what| asked_by(line, Method::GET, what, None);
    let (load, status) = (get("load")?, get("status")?);
    let unread = "the answer cannot be read: is the server of this version? (--internal)".to_owned();
    let look = Look::read(&status, &load).map_err(|_| Failure::Failed(unread))?;
    Ok(Told { status, load, look })
}

/// Two looks, for the rates between them.
fn once(arguments: &TopArguments, server: &Server) -> Result<(), Failure> {
    let line = server.line()?;
    let former = look(&line)?.look;
    thread::sleep(arguments.every);
    let Told { status, load, look } = look(&line)?;
    let seen = Seen::new(Some(&former), look);
    let text = if arguments.json {
        let told = json!({ "server": server.place(), "status": status, "load": load, "rates": seen.rates() });
        escaped(&told.to_string()) + "\n"
    } else {
        plain(&Shown { server: &server.place(), seen: Some(&seen), away: None }, width())
    };
    match stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()) {
        // Nobody reads on, which is no fault.
        Err(fault) if fault.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Failed(format!("it cannot be written: {fault}"))),
        Err(_) | Ok(()) => Ok(()),
    }
}

/// How wide lines may be.
fn width() -> u16 {
    let told = || env::var("COLUMNS").ok()?.parse().ok().filter(|columns| (20..=1000).contains(columns));
    let own = || stdout().is_terminal().then(|| tcgetwinsize(stdout()).ok()).flatten().map(|size| size.ws_col);
    own().filter(|columns| *columns > 0).or_else(told).unwrap_or(WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_has_bounds() {
        assert_eq!(pace("250ms"), Ok(Duration::from_millis(250)));
        for text in ["0s", "50ms", "6s", "often"] {
            assert!(pace(text).is_err(), "{text}");
        }
    }
}
