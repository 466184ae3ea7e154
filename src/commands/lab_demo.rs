//! `homeroom lab-demo`: a control plane, an agent and one desktop on this machine, and the address at which to look at it.

use super::{
    Failure,
    flags::SettingFlags,
    people::{Change, NewPerson, People, random},
    server::Server,
};
use crate::{
    agent::{self, Given, Settings},
    protocols::labs::model::Role,
};
use reqwest::{Client, Method, StatusCode, redirect::Policy};
use serde_json::{Value, json};
use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// For the server to be ready, and for the desktop to show itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// For the desktop to end, and for the server.
const GOODBYE: Duration = Duration::from_secs(15);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Who signs in, and what their desktop is.
const USER: &str = "demo";
const TEMPLATE: &str = "desktop";

/// Where.
#[derive(clap::Args, Debug)]
pub struct LabDemoArguments {
    /// Where it keeps its records, apart from those of any other server
    #[arg(long, value_name = "FOLDER", default_value = "demo-data")]
    pub folder: PathBuf,
    /// The port of the labs
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// The port of the internal listener, which has the page
    #[arg(long, default_value_t = 9090)]
    pub internal_port: u16,
    /// The agent's settings (TOML)
    #[arg(long, value_name = "FILE")]
    pub agent_config: Option<PathBuf>,
}

/// Runs all of it until Ctrl-C or SIGTERM.
pub fn run(arguments: &LabDemoArguments) -> Result<(), Failure> {
    let settings = agent_settings(arguments)?;
    let (text, is_well) = agent::check(&settings);
    if !is_well {
        return Err(Failure::Failed(text));
    }
    let demo = Demo {
        labs: format!("http://127.0.0.1:{}/api/v1", arguments.port),
        internal: format!("http://127.0.0.1:{}", arguments.internal_port),
        password: random()?.iter().take(6).map(|byte| format!("{byte:02x}")).collect(),
    };
    let mut server = Serving::start(arguments)?;
    server.wait(&Server::at(&demo.internal))?;
    demo.let_in()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed)?;
    runtime.block_on(async {
        let (stop, stopped) = oneshot::channel::<()>();
        let agent = agent::serve(settings, async { drop(stopped.await) });
        let script = async {
            let shown = demo.show().await;
            drop(stop);
            shown
        };
        let (agent, shown) = tokio::join!(agent, script);
        shown.and(agent.map_err(Failure::Failed))
    })
}

fn agent_settings(arguments: &LabDemoArguments) -> Result<Settings, Failure> {
    let given = Given {
        server: Some(format!("ws://127.0.0.1:{}", arguments.port)),
        id: Some("demo".to_owned()),
        data_dir: Some(arguments.folder.join("agent")),
        ..Given::default()
    };
    let mut settings = Settings::load(arguments.agent_config.as_deref(), given).map_err(Failure::Usage)?;
    settings.stop_sessions_on_exit = true;
    Ok(settings)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}

/// The server, a process of its own. It ends with the demo.
struct Serving {
    process: Child,
    log: PathBuf,
}

impl Serving {
    fn start(arguments: &LabDemoArguments) -> Result<Serving, Failure> {
        let folder = &arguments.folder;
        fs::create_dir_all(folder).map_err(|error| Failure::Failed(format!("{}: {error}", folder.display())))?;
        let log = folder.join("server.log");
        let output = for_us_alone(&log).map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        let bind = |port: u16| format!("127.0.0.1:{port}");
        command.arg("serve").arg("--data-dir").arg(folder.join("server"));
        command.args(["--listen.presence.bind", &bind(arguments.port), "--listen.quiz.bind", &bind(0)]);
        command.args(["--listen.chat.bind", &bind(0), "--stop.drain", "0s"]);
        command.args(["--listen.internal.bind", &bind(arguments.internal_port)]);
        let process =
            command.stdin(Stdio::null()).stdout(output.try_clone().map_err(failed)?).stderr(output).spawn().map_err(failed)?;
        Ok(Serving { process, log })
    }

    fn wait(&mut self, server: &Server) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Ok(Some(_)) = self.process.try_wait() {
                return Err(Failure::Failed(format!("the server did not start:\n{}", last_lines(&self.log))));
            }
            if server.ask(Method::GET, "/readyz", None).is_ok_and(|(status, _)| status.is_success()) {
                return Ok(());
            }
            thread::sleep(LOOK_AGAIN);
        }
        Err(Failure::Failed("the server did not start in time".to_owned()))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.process.id() as i32) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let begun = Instant::now();
        while begun.elapsed() < GOODBYE && matches!(self.process.try_wait(), Ok(None)) {
            thread::sleep(LOOK_AGAIN);
        }
        // Already gone, or not to be waited for any longer.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A new file that nobody else reads: what a server says at its start has tokens in it.
fn for_us_alone(path: &Path) -> io::Result<File> {
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // It may be there from before, and open to others.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

struct Demo {
    labs: String,
    internal: String,
    password: String,
}

impl Demo {
    /// Makes the user, or gives the one of an earlier demo a new password.
    fn let_in(&self) -> Result<(), Failure> {
        let people = People::of((Some(&self.internal), None), &SettingFlags::default(), false)?;
        if people.one(USER).is_ok() {
            return people.change(USER, Change { active: Some(true), password: Some(self.password.clone()) });
        }
        let password = self.password.clone();
        people.add(NewPerson { username: USER, email: "demo@localhost", role: Role::Admin, password })
    }

    /// Brings up a desktop, says where it is, and closes it at the end.
    async fn show(&self) -> Result<(), Failure> {
        let builder = Client::builder().redirect(Policy::none()).no_proxy().http1_only().timeout(PATIENCE).tls_certs_only([]);
        let mut labs = Labs { client: builder.build().map_err(failed)?, url: self.labs.clone(), token: String::new() };
        let signed_in = labs.ask(Method::POST, "/auth/login", Some(json!({"username": USER, "password": self.password}))).await?;
        labs.token = text(&signed_in.1["token"]);
        let template = json!({
            "name": TEMPLATE, "display_name": "Desktop", "category": "Desktops", "description": "A desktop of this machine",
            "base_image": TEMPLATE, "vnc": {"enabled": true, "port": 5900}
        });
        // One of an earlier demo is as good.
        labs.ask(Method::POST, "/templates", Some(template)).await?;
        let path = format!("/sessions/{}", self.created(&labs).await?);
        let stop = async { drop(tokio::signal::ctrl_c().await) };
        tokio::select! {
            shown = self.running(&labs, &path) => shown?,
            () = stop => return Ok(()),
        }
        let id = path.rsplit('/').next().unwrap_or_default();
        println!(
            "\n  Your desktop:  {}/lab/{id}\n  Sign in as:    {USER}, password {}\n\n  Ctrl-C ends it.\n",
            self.internal, self.password
        );
        wait_for_end().await;
        labs.ask(Method::DELETE, &path, None).await?;
        let ended = labs.until(&path, |state| state == "terminated");
        // What is left ends with the agent.
        let _ = tokio::time::timeout(GOODBYE, ended).await;
        Ok(())
    }

    /// A new session. The agent may be on its way to the server still.
    async fn created(&self, labs: &Labs) -> Result<String, Failure> {
        let begun = Instant::now();
        loop {
            let (status, body) = labs.ask(Method::POST, "/sessions", Some(json!({"user": USER, "template": TEMPLATE}))).await?;
            match status {
                StatusCode::ACCEPTED => return Ok(text(&body["id"])),
                StatusCode::SERVICE_UNAVAILABLE if begun.elapsed() < PATIENCE => tokio::time::sleep(LOOK_AGAIN * 5).await,
                _ => return Err(Failure::Failed(format!("no desktop: {}", text(&body["message"])))),
            }
        }
    }

    async fn running(&self, labs: &Labs, path: &str) -> Result<(), Failure> {
        let session = labs.until(path, |state| state != "pending").await?;
        if session["state"] == "running" {
            return Ok(());
        }
        Err(Failure::Failed(format!("the desktop did not start: {}", text(&session["status"]["message"]))))
    }
}

async fn wait_for_end() {
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

struct Labs {
    client: Client,
    url: String,
    token: String,
}

impl Labs {
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<(StatusCode, Value), Failure> {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let request = if self.token.is_empty() { request } else { request.bearer_auth(&self.token) };
        let answer = body.iter().fold(request, |request, body| request.json(body)).send().await.map_err(failed)?;
        let status = answer.status();
        Ok((status, answer.json().await.unwrap_or_default()))
    }

    /// Looks at a session until its state is one of those awaited.
    async fn until(&self, path: &str, is_awaited: impl Fn(&str) -> bool) -> Result<Value, Failure> {
        let begun = Instant::now();
        loop {
            let (status, session) = self.ask(Method::GET, path, None).await?;
            if status.is_success() && session["state"].as_str().is_some_and(&is_awaited) {
                return Ok(session);
            }
            if begun.elapsed() > PATIENCE {
                return Err(Failure::Failed("the desktop is not there in time".to_owned()));
            }
            // Looks are counted: a hundred in a minute.
            tokio::time::sleep(LOOK_AGAIN * 4).await;
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("server.log");
        fs::write(&log, "of an earlier demo").unwrap();
        fs::set_permissions(&log, Permissions::from_mode(0o644)).unwrap();
        let file = for_us_alone(&log).unwrap();
        let about = file.metadata().unwrap();
        assert_eq!((about.permissions().mode() & 0o777, about.len()), (0o600, 0));
    }
}
