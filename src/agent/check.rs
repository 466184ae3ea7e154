//! `homeroom agent --check`: what an agent would find here.

use super::{
    cgroup::Limits,
    machine, numbers,
    settings::{self, Settings},
    wire,
};
use std::{
    fmt::Write,
    fs,
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// For the control plane to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A line for each thing, and whether sessions could run.
pub fn check(settings: &Settings) -> (String, bool) {
    let lines = [vec![about_account(settings)], about_templates(settings), about_place(settings), vec![about_server(settings)]];
    let mut text = String::new();
    let mut is_well = true;
    for (mark, what, found) in lines.into_iter().flatten() {
        is_well &= mark != Mark::Fault;
        let mark = match mark {
            Mark::Ok => "ok   ",
            Mark::Warning => "warn ",
            Mark::Fault => "FAULT",
        };
        let _ = writeln!(text, "{mark} {what:<14} {found}");
    }
    (text, is_well)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Ok,
    Warning,
    Fault,
}

type Line = (Mark, String, String);

fn line(mark: Mark, what: &str, found: impl Into<String>) -> Line {
    (mark, what.to_owned(), found.into())
}

fn about_account(settings: &Settings) -> Line {
    let is_root = rustix::process::geteuid().is_root();
    match (&settings.user, is_root) {
        (None, true) => line(Mark::Warning, "account", "sessions run as root: set `user`"),
        (None, false) => line(Mark::Ok, "account", "sessions run as the agent does"),
        (Some(user), false) => line(Mark::Warning, "account", format!("only an agent that is root may run sessions as {user:?}")),
        (Some(user), true) if user.contains('{') => line(Mark::Ok, "account", format!("sessions run as {user}")),
        (Some(user), true) => match machine::account(user) {
            Some(account) => line(Mark::Ok, "account", format!("sessions run as {user} (uid {})", account.uid)),
            None => line(Mark::Fault, "account", format!("there is no account {user:?}")),
        },
    }
}

fn about_templates(settings: &Settings) -> Vec<Line> {
    let templates = settings.all_templates().map(|(name, template)| {
        let found = |program: &String| {
            settings::found(program).map_or_else(|| Err(program.clone()), |path| Ok(path.display().to_string()))
        };
        let screen = template.command.first().map_or_else(|| Err("no command".to_owned()), found);
        let program = template.program.first().map(found);
        match (screen, program) {
            (Ok(screen), None) => line(Mark::Ok, name, format!("{screen}, and no program on it")),
            (Ok(screen), Some(Ok(program))) => line(Mark::Ok, name, format!("{screen} with {program}")),
            (Ok(screen), Some(Err(missing))) => line(Mark::Warning, name, format!("{screen}, but there is no {missing}")),
            (Err(missing), _) if missing == "Xtigervnc" => {
                line(Mark::Fault, name, "there is no Xtigervnc: install tigervnc-standalone-server")
            }
            (Err(missing), _) => line(Mark::Fault, name, format!("there is no {missing}")),
        }
    });
    templates.collect()
}

fn about_place(settings: &Settings) -> Vec<Line> {
    let all = settings.first_port..=settings.last_port;
    let (count, free) = (all.len(), all.filter(|number| numbers::is_free(*number)).count());
    let capacity = machine::capacity(settings.max_sessions, count as u32);
    let ports = format!("{free} of {count} from {} to {} are free", settings.first_port, settings.last_port);
    let room = format!("{} sessions, {} cores, {} GiB", capacity.max_sessions, capacity.max_cpu, capacity.max_memory);
    // Looked at without moving anybody: what the agent does itself when it begins.
    let limits = Limits::find(settings.limits);
    vec![
        line(if free == 0 { Mark::Fault } else { Mark::Ok }, "ports", ports),
        line(Mark::Ok, "capacity", room),
        match limits {
            Ok((Limits::Groups(_), said)) => line(Mark::Ok, "limits", said),
            Ok((Limits::Processes | Limits::None, said)) => line(Mark::Warning, "limits", said),
            Err(why) => line(Mark::Fault, "limits", why),
        },
        about_folder(settings),
    ]
}

fn about_folder(settings: &Settings) -> Line {
    let path = &settings.data_dir;
    let at_hand = path.ancestors().map(|at| if at.as_os_str().is_empty() { ".".as_ref() } else { at }).find(|at| at.exists());
    let probe = at_hand.map(|at| at.join(format!(".homeroom-agent-{}", std::process::id())));
    let written = probe
        .map_or(Err(std::io::ErrorKind::NotFound.into()), |probe| fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)));
    match written {
        Ok(()) => line(Mark::Ok, "data folder", path.display().to_string()),
        Err(error) => line(Mark::Fault, "data folder", format!("{}: {error}", path.display())),
    }
}

fn about_server(settings: &Settings) -> Line {
    let reached = wire::address(&settings.server).and_then(|(host, port)| {
        let mut found = (host.as_str(), port).to_socket_addrs().map_err(|error| error.to_string())?;
        let address = found.next().ok_or("no address")?;
        TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).map_err(|error| error.to_string())
    });
    match reached {
        Ok(_) => line(Mark::Ok, "control plane", format!("{} takes connections", settings.server)),
        Err(error) => line(Mark::Warning, "control plane", format!("{}: {error}", settings.server)),
    }
}
