//! The command line. What is wrong in it is said before anything is started, and ends with code 2.

mod chat;
mod crew;
mod mixed;
mod reconnect;
mod rolling;
mod slow;
mod tasks;

use crate::{
    lab::order::{Between, Direction},
    quiz::contract::Channel,
    require::Requirement,
    tally::Measure,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{net::IpAddr, path::PathBuf, time::Duration};

pub(crate) use chat::Chat;
pub(crate) use crew::{Gathering, Join};
pub(crate) use mixed::Mixed;
pub(crate) use reconnect::Reconnect;
pub(crate) use rolling::Rolling;
pub(crate) use slow::Slow;
pub(crate) use tasks::Tasks;

/// Load on a Homeroom server: honest latencies from intended moments, and a verdict on whether to believe them.
///
/// Exit codes: 0 passed, 1 something failed or does not agree, 2 usage, 3 the generator was the bottleneck.
#[derive(Parser, Debug)]
#[command(name = "homeroom-load", version)]
pub(crate) struct Cli {
    /// The scenario.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The scenarios.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// The school bell: everybody signs in, stays a while and leaves.
    Bell(Bell),
    /// Everybody signs in, then events are published to their rooms.
    Broadcast(Broadcast),
    /// Connections come, sign in and go, one after the other.
    Churn(Churn),
    /// Everybody drops and comes back, while events are published.
    Reconnect(Reconnect),
    /// Nodes restart one after the other, and everybody comes to the next before he leaves the last.
    Rolling(Rolling),
    /// Some members do not read, while events are published to their rooms.
    Slow(Slow),
    /// Participants begin attempts at quizzes and answer, owners watch.
    Quiz(Quiz),
    /// Agents run sessions, viewers watch them; bytes are pushed and keys pressed.
    Lab(Lab),
    /// People ask agents for answers, and hear them word by word.
    Chat(Chat),
    /// Users have agents do tasks, and hear how far they are.
    Tasks(Tasks),
    /// Participants' sockets that are held and answer Pings, while nobody answers a question.
    Hold(Hold),
    /// A school day in minutes, from a profile: classrooms, quizzes, chat and tasks side by side.
    Mixed(Mixed),
    /// Runs side by side, from what --json wrote of them.
    Compare(Compare),
    /// A picture of a run, or of several, from what --json wrote of them.
    Plot(Plot),
    /// A worker of a run on another host, which listens for it. Start one for each core that it may have.
    Worker(Join),
    /// A worker that is led over its standard input and output.
    #[command(hide = true)]
    Led,
}

/// `bell`.
#[derive(Args, Debug)]
pub(crate) struct Bell {
    /// Who signs in where.
    #[command(flatten)]
    pub(crate) crowd: Crowd,
    /// How long everybody stays after the last sign-in.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) hold: Duration,
    /// How far apart the Pings of one connection should be: how far off each came is told.
    #[arg(long, value_parser = duration)]
    pub(crate) pings_every: Option<Duration>,
}

/// `broadcast`.
#[derive(Args, Debug)]
pub(crate) struct Broadcast {
    /// Who signs in where.
    #[command(flatten)]
    pub(crate) crowd: Crowd,
    /// Publishes a second over all rooms, at their intended moments whatever the server does.
    #[arg(long, required_unless_present = "saturate", conflicts_with = "saturate", value_parser = rate)]
    pub(crate) publish_rate: Option<f64>,
    /// Publish whenever fewer than --publish-in-flight are unanswered or not yet heard by all.
    #[arg(long)]
    pub(crate) saturate: bool,
    /// Publishes open at once with --saturate, all workers together.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) publish_in_flight: u32,
    /// Bytes of each delivered text.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(128..=65_536))]
    pub(crate) bytes: u32,
    /// How long to publish.
    #[arg(long = "for", default_value = "10s", value_parser = duration)]
    pub(crate) lasting: Duration,
}

/// `churn`.
#[derive(Args, Debug)]
pub(crate) struct Churn {
    /// Who signs in where; --students counts connections.
    #[command(flatten)]
    pub(crate) crowd: Crowd,
}

/// Who signs in where, and how it is watched.
#[derive(Args, Debug)]
pub(crate) struct Crowd {
    /// The WebSocket route, ws://HOST:PORT/PATH or wss://….
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws")]
    pub(crate) url: String,
    /// How many sign in.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) students: u32,
    /// Over how many rooms they are spread evenly.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) classrooms: u32,
    /// Sign-ins a second; without it as fast as it goes.
    #[arg(long, value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Sign-ins in flight at once, all workers together [default: 512; with --rate 8192].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) in_flight: Option<u32>,
    /// The tokens.
    #[command(flatten)]
    pub(crate) signing: Signing,
    /// The rest.
    #[command(flatten)]
    pub(crate) site: Site,
}

/// `quiz`.
#[derive(Args, Debug)]
pub(crate) struct Quiz {
    /// Who takes what.
    #[command(flatten)]
    pub(crate) sitting: Sitting,
    /// Median of the time that a participant thinks about a question; the times are log-normal, as people's are.
    #[arg(long, default_value = "20s", value_parser = duration)]
    pub(crate) think: Duration,
    /// Answers a second over all participants, at their intended moments whatever the server does.
    #[arg(long, conflicts_with_all = ["saturate", "think"], value_parser = rate)]
    pub(crate) answer_rate: Option<f64>,
    /// Answer whenever fewer than --in-flight are under way.
    #[arg(long, conflicts_with = "think")]
    pub(crate) saturate: bool,
    /// The share of answers that are right.
    #[arg(long, default_value_t = 0.7, value_parser = share)]
    pub(crate) correct: f64,
    /// Participants hold their socket, too: two descriptors each.
    #[arg(long)]
    pub(crate) sockets: bool,
    /// How many screens each owner watches on, each with a connection of its own; 0: nobody watches.
    #[arg(long, default_value_t = 1)]
    pub(crate) screens: u32,
    /// What a screen is subscribed to, of each quiz of its owner.
    #[arg(long, value_delimiter = ',', default_value = "quiz,leaderboard")]
    pub(crate) watch: Vec<Channel>,
    /// Of so many attempts each answer is read back.
    #[arg(long, default_value_t = 100)]
    pub(crate) sample: u32,
}

/// `hold`.
#[derive(Args, Debug)]
pub(crate) struct Hold {
    /// Who takes what.
    #[command(flatten)]
    pub(crate) sitting: Sitting,
    /// How long to wait before the hold is looked at: the first Pings of those who came in one moment are spread by then.
    #[arg(long, default_value = "6s", value_parser = duration)]
    pub(crate) settle: Duration,
    /// How long the sockets are held.
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub(crate) hold: Duration,
}

/// `lab`.
#[derive(Args, Debug)]
pub(crate) struct Lab {
    /// The server, http://HOST:PORT or https://…: REST and sockets are below it.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// How many agents; they speak the contract's dialect, with credit and binary frames.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) agents: u32,
    /// How many sessions, spread evenly over the agents.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) sessions: u32,
    /// How many of the sessions have a viewer [default: all].
    #[arg(long)]
    pub(crate) viewers: Option<u32>,
    /// Through so many of the viewers' tunnels bytes are pushed.
    #[arg(long, default_value_t = 1)]
    pub(crate) bulk: u32,
    /// Which way.
    #[arg(long, value_enum, default_value_t = Direction::Down)]
    pub(crate) direction: Direction,
    /// Bytes a second of each stream [default: at full speed].
    #[arg(long, value_parser = rate)]
    pub(crate) bulk_rate: Option<f64>,
    /// Bytes of one block, which is one frame of its sender.
    #[arg(long, default_value_t = 32_768, value_parser = clap::value_parser!(u32).range(64..=65_536))]
    pub(crate) chunk: u32,
    /// At so many of the other viewers keys are pressed, which their agents echo.
    #[arg(long, default_value_t = 1)]
    pub(crate) typists: u32,
    /// Keys a second of each of them, at their intended moments whatever the server does.
    #[arg(long, default_value = "20", value_parser = rate)]
    pub(crate) key_rate: f64,
    /// How long to push and to press.
    #[arg(long = "for", default_value = "10s", value_parser = duration)]
    pub(crate) lasting: Duration,
    /// How long to wait before that, when all is set up.
    #[arg(long, default_value = "500ms", value_parser = duration)]
    pub(crate) settle: Duration,
    /// The template of the sessions.
    #[arg(long, default_value = "firefox-browser")]
    pub(crate) template: String,
    /// An admin, who makes the sessions and watches them.
    #[arg(long, default_value = "admin")]
    pub(crate) user: String,
    /// A file with the password of --user.
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub(crate) password: Option<PathBuf>,
    /// A file with a token, in place of a login.
    #[arg(long, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// Sessions made, and deleted, at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) in_flight: u32,
    /// What stands between viewers and agents, for comparisons: `server`; `relay`, that of perf/bare; or an address on which to listen for
    /// the TCP connections of something else, such as websockify.
    #[arg(long, default_value = "server")]
    pub(crate) between: Between,
    /// The rest.
    #[command(flatten)]
    pub(crate) site: Site,
}

/// Who takes which quizzes, and whose these are.
#[derive(Args, Debug)]
pub(crate) struct Sitting {
    /// The WebSocket route, ws://HOST:PORT/PATH or wss://…; the REST routes are beside it.
    #[arg(long, default_value = "ws://127.0.0.1:8090/ws")]
    pub(crate) url: String,
    /// How many participants, spread evenly over the quizzes.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) participants: u32,
    /// How many quizzes, spread evenly over the owners.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) quizzes: u32,
    /// How many owners [default: one for each quiz, or for each of --tokens].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) owners: Option<u32>,
    /// Questions of each quiz.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) questions: u32,
    /// Options of each question.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=20))]
    pub(crate) options: u32,
    /// Attempts begun a second; without it as fast as it goes.
    #[arg(long, value_parser = rate)]
    pub(crate) start_rate: Option<f64>,
    /// Starts, submits and with --saturate answers under way at once, all workers together.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) in_flight: u32,
    /// The tokens.
    #[command(flatten)]
    pub(crate) signing: Signing,
    /// The rest.
    #[command(flatten)]
    pub(crate) site: Site,
}

/// What people sign in with.
#[derive(Args, Debug)]
pub(crate) struct Signing {
    /// A file with one token a line, as many as students, owners or users.
    #[arg(long, required_unless_present = "key", conflicts_with = "key", value_name = "FILE")]
    pub(crate) tokens: Option<PathBuf>,
    /// A file with the HS256 secret of which tokens are made, such as data/keys/presence.hs256 or quiz.hs256, or that of
    /// tasks.secret_file; a line end behind it is no part of it.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// `iss` of the tokens made.
    #[arg(long, default_value = "homeroom.local")]
    pub(crate) issuer: String,
    /// `aud` of the tokens made.
    #[arg(long, default_value = "school.local")]
    pub(crate) aud: String,
}

/// Where a run takes place: addresses, processes, what is written of it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Site {
    /// Addresses to connect from, in turn: 127.0.0.1-127.0.0.8 or a list with commas [default: these eight on loopback].
    #[arg(long, value_parser = addresses)]
    pub(crate) source_ips: Option<Addresses>,
    /// Processes of this host [default: as many as the limit of open files asks for; none where others join].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) workers: Option<u32>,
    /// Workers of other hosts.
    #[command(flatten)]
    pub(crate) gathering: Gathering,
    /// Lines in place of the live view, on a terminal too.
    #[arg(long)]
    pub(crate) plain: bool,
    /// For one sign-in, one close, one publish, one answer, one task.
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Fixes ids, subjects and the order of things.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The server's process [default: the one that listens on the port, when that is on this host].
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// The server's internal listener, http://127.0.0.1:9090: its gauges are compared with what was counted here.
    #[arg(long)]
    pub(crate) internal: Option<String>,
    /// Whose certificates the server may show on wss:// and https://, as PEM [default: those that this host trusts].
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) ca: Option<PathBuf>,
    /// Whoever shows any certificate on wss:// and https:// is believed to be the server. The summary says so.
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Write the whole report as JSON, raw histograms included.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report as a page: one file that needs no network, with charts and the raw data.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// What the run must reach, by the names of --json: delivery.p99<20ms, sign_in.max<=1s, counts.lost=0, rates.sign_ins_per_s>2000.
    /// May be given several times; what is not reached fails the run.
    #[arg(long, value_name = "NAME<BOUND", value_parser = Requirement::parse)]
    pub(crate) require: Vec<Requirement>,
}

/// `compare`.
#[derive(Args, Debug)]
pub(crate) struct Compare {
    /// Reports; the others are held against the first. Those with the same NAME= are repeats of one run, and told as one.
    #[arg(required = true, num_args = 2.., value_name = "[NAME=]REPORT.json")]
    pub(crate) reports: Vec<String>,
    /// Reports of which the same was asked, of the same place on the same host, are repeats of one run.
    #[arg(long)]
    pub(crate) repeats: bool,
    /// Write a page with the same axes for all.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// `plot`.
#[derive(Args, Debug)]
pub(crate) struct Plot {
    /// Reports.
    #[arg(required = true, value_name = "REPORT.json")]
    pub(crate) reports: Vec<String>,
    /// What is drawn.
    #[arg(long, value_enum, default_value_t = Picture::Course)]
    pub(crate) what: Picture,
    /// The measure [default: that which the scenario is about].
    #[arg(long, value_parser = measure)]
    pub(crate) measure: Option<Measure>,
    /// What stands above it [default: what was asked].
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// Where to: an SVG that follows the reader's light or dark.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: PathBuf,
}

/// What `plot` draws.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Picture {
    /// Latency, throughput, connections and CPU over one axis of time.
    Course,
    /// Latency over percentiles.
    Percentiles,
}

/// Source addresses.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Addresses(pub(crate) Vec<IpAddr>);

/// `10s`, `500ms`, `2m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "a number with a unit: 500ms, 10s, 2m".to_owned())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err("a number with a unit: 500ms, 10s, 2m".to_owned()),
    }
}

fn measure(text: &str) -> Result<Measure, String> {
    let known = || Measure::ALL.map(Measure::name).join(", ");
    Measure::ALL.into_iter().find(|measure| measure.name() == text).ok_or_else(|| format!("one of {}", known()))
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a share from 0 to 1".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "a number a second, above zero".to_owned())
}

fn addresses(text: &str) -> Result<Addresses, String> {
    let parts = text.split(',').map(|part| match part.split_once('-') {
        Some((first, last)) => range(first, last),
        None => part.trim().parse().map(|one| vec![one]).map_err(|_| format!("{part} is not an address")),
    });
    parts.collect::<Result<Vec<_>, _>>().map(|parts| Addresses(parts.concat()))
}

fn range(first: &str, last: &str) -> Result<Vec<IpAddr>, String> {
    let address = |text: &str| text.trim().parse::<std::net::Ipv4Addr>().map_err(|_| format!("{text} is not an IPv4 address"));
    let (first, last) = (u32::from(address(first)?), u32::from(address(last)?));
    if last < first || last - first > 65_535 {
        return Err("a range goes from a lower to a higher address, over at most 65,536".to_owned());
    }
    Ok((first..=last).map(|bits| IpAddr::V4(bits.into())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn addresses_are_given_as_ranges_and_lists() {
        let count = |text| addresses(text).map(|Addresses(all)| all.len());
        assert_eq!(count("127.0.0.1-127.0.0.8"), Ok(8));
        assert_eq!(count("127.0.0.1,127.0.1.1-127.0.1.3"), Ok(4));
        assert!(count("127.0.0.8-127.0.0.1").is_err() && count("localhost").is_err());
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("10").is_err() && duration("s").is_err() && duration("10h").is_err());
    }
}
