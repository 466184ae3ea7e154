//! What is in the file, and what it means, checked; every fault at once.
//!
//! A key has one text: its line in [`settings`], where its name, type, default and doc comment stand. The flag, the environment
//! variable, the help and the printed file all come from there. A value is taken from the flag if there is one, else the
//! environment, else the file, else the default. Faults name their source (line, variable or flag) and what is expected; they
//! never repeat the value, which may be a secret.

mod agents;
mod bind;
mod check;
mod cluster;
mod control;
mod database;
mod fault;
mod issuer;
mod key;
mod key_set;
mod labs;
mod layers;
mod limits;
mod listen;
mod places;
mod presence;
mod print;
mod reload;
mod secret;
mod setting;
pub mod settings;
mod tasks;
mod traces;

pub use agents::{AgentSetting, BackendSetting, DEFAULT_AGENTS, ModelSetting, RemoteSetting, STAND_INS, ToolSetting};
pub use bind::{Bind, ListenerTls, Tls, TlsFiles};
pub use cluster::{Cluster, Servers, SignIn, SubjectPrefix};
pub use control::{Audit, Control};
pub use database::{Database, DatabaseUrl, Migrate};
pub use fault::{Fault, Faults, Source};
pub use issuer::{Algorithm, EMBEDDED_AUDIENCE, EMBEDDED_ISSUER, Issuer, IssuerKeys, KeyFile};
pub use key::{Key, Section};
pub use key_set::SetPlace;
pub use labs::{Beside, SeedTemplate, WebOrigin};
pub use layers::{CONFIG_VARIABLE, Layers, Loaded};
pub use limits::Limits;
pub use listen::{Api, Listen, Listener};
pub use presence::Permission;
pub use print::print;
pub use reload::{Changes, is_reloaded};
pub use secret::{SecretPlace, SecretSetting};
pub(crate) use setting::duration;
pub use setting::{Filter, LogFormat, Prefix, Size};
pub use settings::{Log, Settings};
pub use tasks::{Tasks, WorkflowSetting};
#[cfg(feature = "otlp")]
pub use traces::{CollectorSettings, HeaderList};
pub use traces::{Ratio, Traces};
