//! An agent with real processes and sockets. The control plane is a stub in the test; the screen is a few lines of Python that say `RFB`
//! and send back what they get, so that no X server is needed.

mod lives;
mod plane;
mod returns;
mod tunnels;

use super::{Given, Settings, serve};
use crate::protocols::labs::SessionId;
use plane::Plane;
use serde_json::{Value, json};
use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{sync::oneshot, time::timeout};

const ONE: SessionId = SessionId::from_u128(1);
/// Anything that is awaited comes by then, or never.
const SOON: Duration = Duration::from_secs(20);

/// Serves the screen, on a port or at a path; notes each start in its home. What it is told with a `!` it does: `flood`.
const SCREEN: &str = r#"
import os, socket, sys, threading
where = sys.argv[1]
if where.isdigit():
    server = socket.create_server(("127.0.0.1", int(where)))
else:
    server = socket.socket(socket.AF_UNIX)
    server.bind(where)
    server.listen()
with open(os.path.expanduser("~/starts"), "a") as starts:
    starts.write(os.environ.get("TZ", "") + "\n")
print("the screen is up", flush=True)
def serve(client):
    client.sendall(b"RFB 003.008\n")
    while data := client.recv(65536):
        if data == b"!flood":
            while True:
                client.sendall(bytes(65536))
        client.sendall(data)
while True:
    client, _ = server.accept()
    threading.Thread(target=serve, args=(client,), daemon=True).start()
"#;

/// One host: its folder outlives its agents.
struct Host {
    folder: TempDir,
    first_port: u16,
}

impl Host {
    /// Each test has ports of its own.
    fn new(first_port: u16) -> Host {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("screen.py"), SCREEN).unwrap();
        Host { folder, first_port }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn settings(&self, plane: &Plane, more: &str) -> Settings {
        let python = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap().stdout;
        let python = String::from_utf8(python).unwrap();
        let screen = self.path("screen.py");
        let text = format!(
            "{more}\n[default]\ncommand = [{:?}, {screen:?}, \"{{port}}\"]\n\
             [templates.socket]\ncommand = [{0:?}, {screen:?}, \"{{run}}/vnc\"]\nvnc = \"unix:{{run}}/vnc\"\n\
             [templates.broken]\ncommand = [\"false\"]\n\
             [templates.missing]\ncommand = [\"no-such-program\"]\n\
             [templates.slow]\ncommand = [\"sleep\", \"60\"]\nstart_timeout = \"200ms\"\n",
            python.trim()
        );
        let file = self.path("agent.toml");
        let ports = format!("first_port = {}\nlast_port = {}\nlimits = \"none\"\n", self.first_port, self.first_port + 9);
        fs::write(&file, ports + &text).unwrap();
        let given = Given {
            server: Some(plane.url()),
            id: Some("host-1".to_owned()),
            data_dir: Some(self.path("data")),
            ..Given::default()
        };
        Settings::load(Some(&file), given).unwrap()
    }

    /// Runs an agent as long as the script runs, then stops it as SIGTERM does.
    async fn with_agent<T>(&self, plane: &Plane, more: &str, script: impl Future<Output = T>) -> T {
        let (stop, stopped) = oneshot::channel::<()>();
        let agent = serve(self.settings(plane, more), async { drop(stopped.await) });
        let script = async {
            let value = script.await;
            drop(stop);
            value
        };
        let (ended, value) = tokio::join!(agent, script);
        ended.unwrap();
        value
    }

    fn starts(&self) -> usize {
        fs::read_to_string(self.path("data/homes/ann/starts")).unwrap_or_default().lines().count()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A test that failed leaves its processes.
        let agent = self.path("data").canonicalize().unwrap_or_default();
        for process in super::machine::processes_with(&[(super::machine::AGENT_VARIABLE, &agent.to_string_lossy())]) {
            if let Some(pid) = rustix::process::Pid::from_raw(process.pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(SOON * 3, test).await.expect("the test ends in time") })
}

fn start(template: &str) -> Value {
    json!({
        "name": "ann-desktop-1", "namespace": "ns", "user": "ann", "template": template, "image": "i",
        "resources": {"memory": "2Gi", "cpu": "1000m"}, "vnc": {"port": 3000}, "persistent_home": true, "environment": {"TZ": "UTC"}
    })
}

fn processes(folder: &Path) -> usize {
    let agent = folder.canonicalize().unwrap();
    super::machine::processes_with(&[(super::machine::AGENT_VARIABLE, &agent.to_string_lossy())]).len()
}
