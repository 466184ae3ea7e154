//! The settings themselves: a line for each key. This is the text of the printed file, the help and the names in the environment.

use super::{
    AgentSetting, Audit, Cluster, Control, Database, Filter, Issuer, Limits, Listen, LogFormat, Migrate, ModelSetting,
    Permission, Section, SeedTemplate, Size, Tasks, Tls, ToolSetting, Traces, WorkflowSetting,
    key::{Sectioned, section},
};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

section! {
    /// Homeroom's settings. Every key may also be given by environment and flag: auth_timeout in [presence] is
    /// HOMEROOM_PRESENCE_AUTH_TIMEOUT and --presence.auth-timeout. The flag wins, then the environment, then this file.
    /// Tables and lists are given there as TOML, and replace what the file says as a whole.
    Settings at "" {
        /// The folder of everything that is kept: records and keys. Made at the first start. Paths are relative to where homeroom runs.
        data_dir: PathBuf = "data";
        /// How many shards (pinned threads) serve. 0: one for each core that the process may use.
        shards: u16 = 0;
        /// Where records are kept: "sqlite", in the data folder; or the address of a PostgreSQL database (15 or later), which several nodes
        /// may share: "postgres://user@host:port/name". With sslmode=require, verify-ca or verify-full among its parameters the connection
        /// is encrypted, and certificate and name are verified, by the system's roots or by those of sslrootcert. The password is better
        /// not in it: store.password_file, PGPASSWORD, or the file that PGPASSFILE names.
        database: Database = "sqlite";
        /// Language models: a table for each. One with a url is an endpoint for chat completions, as OpenAI publishes them and many
        /// servers have them; its key is in a file or in an environment variable. Prices are for a million tokens. One without a url
        /// is the built-in agent, which needs no language model, and says so; it is there as "builtin" anyway.
        /// ```toml
        /// [[models]]
        /// name = "large"
        /// url = "http://127.0.0.1:8001/v1/chat/completions"
        /// model = "qwen3-32b"
        /// key_file = "large.key"
        /// prompt_price = 0.4
        /// completion_price = 1.2
        /// first_timeout = "30s"
        /// next_timeout = "30s"
        /// attempts = 3
        /// places = 64
        /// ```
        models: Vec<ModelSetting> = [];
        /// Tools behind HTTP, besides "calculator" and "search" that are always there: each is given its arguments as JSON by POST, and
        /// answers with its result. Its parameters are a JSON Schema.
        /// ```toml
        /// [[tools]]
        /// name = "send_email"
        /// description = "Sends an email to a teacher"
        /// url = "http://127.0.0.1:8002/send"
        /// parameters = { type = "object", properties = { to = { type = "string" } }, required = ["to"] }
        /// needs_approval = true
        /// headers = { "X-School" = "example" }
        /// key_variable = "SEND_EMAIL_KEY"
        /// timeout = "30s"
        /// max_answer = "64KiB"
        /// ```
        tools: Vec<ToolSetting> = [];
        /// Whom one may talk to, and who does tasks: a model with instructions and tools. With none there is one, named as
        /// chat.default_agent, of the first model and all tools, and "code-agent", "design-agent" and "test-agent", of that model or any
        /// other, without tools. With no models either, these three answer as "gpt-4o" and "gpt-4o-mini" too, built in.
        /// ```toml
        /// [[agents]]
        /// name = "tutor"
        /// description = "Explains"
        /// instructions = "You are a patient tutor."
        /// model = "large"
        /// other_models = ["builtin"]
        /// tools = ["calculator", "send_email"]
        /// max_rounds = 10
        /// time_limit = "2m"
        /// max_tokens = 4000
        /// ```
        agents: Vec<AgentSetting> = [];
        /// What agents do in several steps. In the task of a step {input} stands for the input of the execution, {step1} for what the step
        /// step1 gave, which it then needs; needs may name more that must be done before. Steps that need nothing of each other are
        /// done at the same time. With none there is "code-review-workflow".
        /// ```toml
        /// [[workflows]]
        /// id = "homework-workflow"
        /// name = "Homework"
        /// description = "Explains a task and checks the explanation"
        /// [[workflows.steps]]
        /// id = "step1"
        /// name = "Explanation"
        /// agent = "tutor"
        /// task = "Explain this to a student: {input}"
        /// [[workflows.steps]]
        /// id = "step2"
        /// agent = "tutor"
        /// task = "Is this right, and is it simple enough? {step1}"
        /// needs = ["step1"]
        /// ```
        workflows: Vec<WorkflowSetting> = [];
    }
    with {
        /// How the process stops.
        stop: Stop;
        /// The way to the database.
        store: Store;
        /// Several nodes that act as one.
        cluster: Cluster;
        /// Log lines.
        log: Log;
        /// Where each API is served.
        listen: Listen;
        /// TLS, for the listeners whose tls says so.
        tls: Tls;
        /// How a WebSocket is kept.
        websocket: WebSocket;
        /// What one page, one address, one user and one request may take.
        limits: Limits;
        /// Who is in the classroom.
        presence: Presence;
        /// Live attempts at quizzes.
        quiz: Quiz;
        /// Desktops for students.
        labs: Labs;
        /// Sessions with agents.
        chat: Chat;
        /// What agents are told to do.
        tasks: Tasks;
        /// What is read again on SIGHUP.
        reload: Reload;
        /// What operators ask of a server that runs.
        control: Control;
        /// The audit log.
        audit: Audit;
        /// Traces for a collector.
        traces: Traces;
        /// Switches for tests.
        test: Test;
    }
}

section! {
    /// How the process stops on SIGTERM.
    Stop at "stop." {
        /// How long sessions that were told `terminated` are still served, and new ones taken, before the sockets are closed.
        drain: Duration = "10s";
    }
}

section! {
    /// The way to the database.
    Store at "store." {
        /// How many questions may wait for the database; beyond that they are refused as `database_connection_acquisition_failed`.
        queue: usize = 65536;
        /// How long a question may wait for its turn before it is refused likewise.
        acquire_timeout: Duration = "5s";
        /// PostgreSQL: a file with the password, where the address has none.
        password_file: Option<PathBuf> = "";
        /// PostgreSQL: what this node is called among those that share the database, each by a name of its own. Empty: by the host and the
        /// port of presence. A start ends what the last run of this name left behind.
        node: Option<String> = "";
        /// PostgreSQL: how long this node counts as alive without a word of it. It renews that at each third; others may then take over.
        lease: Duration = "6s";
        /// PostgreSQL: how long a connection may take to be made.
        connect_timeout: Duration = "3s";
        /// PostgreSQL: how long a statement may take before the database ends it.
        statement_timeout: Duration = "10s";
        /// PostgreSQL: connections for reads at most. One more writes, and one renews the lease.
        readers: usize = 8;
        /// PostgreSQL: "auto" brings older tables up to date at each start, "manual" leaves that to `homeroom migrate --apply`.
        migrate: Migrate = "auto";
    }
}

section! {
    /// Log lines, on standard error. No line holds a token.
    Log at "log." {
        /// Which lines: a level, or directives such as "info,homeroom::store=debug".
        level: Filter = "info";
        /// "text" for people, "json" for collectors (one object a line).
        format: LogFormat = "text";
    }
}

section! {
    /// How a WebSocket is kept.
    WebSocket at "websocket." {
        /// The longest message that a client may send; a longer one ends its connection with 1009.
        max_message: Size = "64KiB";
        /// How long a client may take from the connection to the end of its first request.
        handshake_timeout: Duration = "10s";
        /// How much may wait for a client that reads slowly; beyond that its connection is closed.
        outbox: Size = "256KiB";
        /// How long the peer may take to answer a Close before the socket is ended.
        close_timeout: Duration = "5s";
        /// How many connections are held at once. 0: as many as the limit of open files allows, less a reserve. A listener with
        /// nothing but internal routes takes 32 more, so that a full server can be looked at.
        max_connections: usize = 0;
    }
}

section! {
    /// Who is in the classroom.
    Presence at "presence." {
        /// How long a client may take from the upgrade to the end of its connect_request.
        auth_timeout: Duration = "10s";
        /// The time from one Ping to the next.
        ping_interval: Duration = "30s";
        /// How long a client may take to answer a Ping. Shorter than ping_interval.
        pong_timeout: Duration = "5s";
        /// Whether members are told who entered and left.
        events: bool = true;
        /// In rooms with more members than this, the changes of a tick are told in one frame.
        coalesce_above: usize = 100;
        /// That tick.
        coalesce_tick: Duration = "250ms";
        /// The longest agent_label.
        max_label: Size = "256B";
        /// Whose tokens are believed: a table for each issuer (the token's `iss`). The algorithm is HS256, ES256, RS256, PS256 or
        /// EdDSA; the key file holds a PEM public key, or the secret for HS256. An issuer that publishes its keys (a JWK Set) has jwks
        /// instead, an https address or "file:/…"; the algorithm may then be left out: each key has that of its kind, ES256, RS256,
        /// PS256 or EdDSA. How often it is read: [reload]. With none at all Homeroom believes itself: issuer
        /// "homeroom.local", HS256 with a key made at the first start in keys/presence.hs256 of the data folder, audience
        /// "school.local", permission "none".
        /// ```toml
        /// [presence.issuers."id.example.org"]
        /// audiences = ["example.org"]
        /// algorithm = "ES256"
        /// key_file = "id.example.org.pem"
        /// [presence.issuers."accounts.example.org"]
        /// audiences = ["example.org"]
        /// jwks = "https://accounts.example.org/.well-known/jwks.json"
        /// ```
        issuers: BTreeMap<String, Issuer> = {};
        /// What the accounts of an audience may do: a table for each audience. An audience without one may do nothing. Type "none" asks
        /// nobody: every account may enter every classroom. Type "list" lets only these accounts (the token's `sub`) in.
        /// Type "http" asks a service each time, with a POST.
        /// ```toml
        /// [presence.permissions."example.org"]
        /// type = "http"
        /// url = "http://127.0.0.1:8070/permissions"
        /// timeout = "2s"
        /// [presence.permissions."staff.example.org"]
        /// type = "list"
        /// accounts = ["head", "caretaker"]
        /// [presence.permissions."open.example.org"]
        /// type = "none"
        /// ```
        permissions: BTreeMap<String, Permission> = {};
    }
}

section! {
    /// Live attempts at quizzes: those who own the quizzes, and those who take them.
    Quiz at "quiz." {
        /// The time from one Ping to the next.
        ping_interval: Duration = "5s";
        /// How long a client may leave its Pings unanswered; then its connection is ended.
        pong_timeout: Duration = "10s";
        /// The shortest time from one snapshot of a list of attempts or a leaderboard to the next.
        snapshot_interval: Duration = "200ms";
        /// The most rows of a snapshot: of a leaderboard the best, of a list of attempts those that changed last.
        snapshot_rows: usize = 200;
        /// As websocket.outbox, for each connection of an owner: he hears of each attempt, and the end of 1,000 in one moment is 260KiB.
        outbox: Size = "8MiB";
        /// How long after the end of an attempt its flags are still taken.
        flags_after_end: Duration = "30s";
        /// How many attempts may run at one quiz at once; who would begin one more is told to try again.
        max_running: usize = 100000;
        /// How long a participant's socket stays after it was told that its attempt is over.
        goodbye: Duration = "1s";
        /// How long a quiz with nothing under way and nobody watching stays in memory.
        idle: Duration = "60s";
        /// Whose tokens make an owner of quizzes: a table for each issuer (the token's `iss`), as in [presence.issuers]. No audience
        /// has a "/". With none at all Homeroom believes itself: issuer "homeroom.local", HS256 with a key made at the first start in
        /// keys/quiz.hs256 of the data folder, audience "school.local"; and only then owners sign in here by name and password.
        /// ```toml
        /// [quiz.issuers."id.example.org"]
        /// audiences = ["example.org"]
        /// algorithm = "ES256"
        /// key_file = "id.example.org.pem"
        /// ```
        issuers: BTreeMap<String, Issuer> = {};
    }
}

section! {
    /// Desktops for students: agents run them, viewers see them.
    Labs at "labs." {
        /// What agents are told to be heard of in.
        heartbeat_interval: Duration = "10s";
        /// How many heartbeats in a row an agent may miss; then it is offline.
        heartbeats_missed: u32 = 3;
        /// How long an agent may take from the upgrade to its register.
        register_timeout: Duration = "10s";
        /// How long a request that changes a session waits for the agent's word before it is answered with what is to be.
        command_wait: Duration = "10s";
        /// How long a request for logs waits for the agent.
        logs_wait: Duration = "5s";
        /// How often an agent is asked for new lines of a log that somebody follows.
        follow_interval: Duration = "1s";
        /// A command without a result after this long has failed.
        command_timeout: Duration = "10m";
        /// A session that ends is stopped again after this long without a result.
        stop_retry: Duration = "5m";
        /// The time from one Ping of a viewer or an agent to the next.
        ping_interval: Duration = "54s";
        /// How long a Ping may stay unanswered; then the connection is ended.
        pong_timeout: Duration = "2m";
        /// How often what a viewer does is written down as activity.
        activity_interval: Duration = "30s";
        /// How much of a screen may wait for one viewer, and as much the other way. No message of a viewer is longer than a quarter of it.
        tunnel_window: Size = "1MiB";
        /// How much of a screen is kept for a viewer who is not there yet. No more than tunnel_window.
        early_bytes: Size = "64KiB";
        /// The namespace that sessions are shown in, and that agents are told.
        namespace: String = "streamspace";
        /// How many agents may be known at a time.
        max_agents: usize = 10000;
        /// An agent that is not connected, has no sessions and was not heard of for so long is forgotten.
        forget_agents_after: Duration = "168h";
        /// How many logins an address may try in a minute.
        logins_a_minute: u32 = 5;
        /// How many sessions a user may create in a minute.
        creations_a_minute: u32 = 10;
        /// How many other requests a user, or an address that is nobody's, may make in a minute.
        requests_a_minute: u32 = 100;
        /// How often the agents behind one address may register or send a heartbeat by HTTP in a minute.
        agent_requests_a_minute: u32 = 6000;
        /// What agents must show to be let in: a file with the key, in the header X-Agent-API-Key or as ?key=. Without one every agent
        /// that reaches the listener is let in.
        agent_key_file: Option<PathBuf> = "";
        /// What sessions are started from: a table for each template, as in a POST to /api/v1/templates. A start puts in those whose name
        /// is not there yet; what is there is an admin's to change, and stays. One that an admin has removed comes back with the next
        /// start, until it is removed here too.
        /// ```toml
        /// [[labs.templates]]
        /// name = "firefox-browser"
        /// display_name = "Firefox Web Browser"
        /// category = "Web Browsers"
        /// base_image = "lscr.io/linuxserver/firefox:latest"
        /// default_resources = { memory = "2Gi", cpu = "1000m" }
        /// vnc = { port = 3000, resolution = "1920x1080", color_depth = 24 }
        /// environment = { PUID = "1000", PGID = "1000" }
        /// idle_timeout = "30m"
        /// tags = ["browser"]
        /// ```
        templates: Vec<SeedTemplate> = [];
    }
}

section! {
    /// Sessions with agents. Who they are: [[agents]].
    Chat at "chat." {
        /// How long a client may take from the upgrade to its auth.
        auth_timeout: Duration = "10s";
        /// A session in which nobody speaks for so long has ended.
        session_expiry: Duration = "1h";
        /// How long somebody may take to say whether a tool may be called.
        approval_expiry: Duration = "30m";
        /// How many messages of a session may wait behind the answer that is given.
        max_waiting: usize = 8;
        /// The longest message, in characters.
        max_content: usize = 100000;
        /// How many files may come with a message.
        max_attachments: usize = 8;
        /// How large they may be together.
        max_attachment: Size = "4MiB";
        /// How many messages a model is shown, the newest.
        context_messages: usize = 100;
        /// How large these may be together, with what came with them.
        context: Size = "8MiB";
        /// The longest answer.
        max_answer: Size = "1MiB";
        /// How long a stream of an answer is silent before a comment is sent.
        stream_comment: Duration = "15s";
        /// The time from one Ping to the next.
        ping_interval: Duration = "30s";
        /// How long a Ping may stay unanswered; then the connection is ended.
        pong_timeout: Duration = "60s";
        /// Who answers in sessions that name no agent.
        default_agent: String = "tutor";
        /// How many logins an address may try in a minute.
        logins_a_minute: u32 = 10;
        /// How many sessions a user may create in a minute.
        creations_a_minute: u32 = 10;
        /// How many messages a user may send in a minute, streams not counted.
        messages_a_minute: u32 = 60;
        /// How many streamed answers a user may begin in a minute.
        streams_a_minute: u32 = 30;
        /// How often a user may look at a session in a minute.
        looks_a_minute: u32 = 120;
        /// How often a user may list sessions in a minute.
        lists_a_minute: u32 = 30;
    }
}

section! {
    /// SIGHUP has the server read these settings, the keys and the certificates again. Where anything is wrong nothing changes.
    Reload at "reload." {
        /// How long tokens are good still that were signed with the key that an issuer of presence or quizzes had before, unless they run
        /// out sooner. "0s": no longer than that key is in its file, or in the set that the issuer publishes.
        former_keys: Duration = "12h";
        /// How long the keys that an issuer publishes (jwks) are kept where its answer does not say (Cache-Control: max-age), and at most
        /// between two tries while they cannot be read. What the answer says counts from jwks_pause to 24h. Files are read as often.
        jwks_interval: Duration = "10m";
        /// When a token names a key that is not among them they are read again, but never so soon after they were last asked for. That
        /// token is refused meanwhile.
        jwks_pause: Duration = "10s";
        /// How long an answer with keys may take, to its last byte.
        jwks_timeout: Duration = "5s";
    }
}

section! {
    /// Switches for tests, never for production.
    Test at "test." {
        /// Serve the echo WebSocket, and name the shard in a header of each answer.
        endpoints: bool = false;
    }
}

impl Settings {
    /// Every table, in the order of the file.
    pub fn sections() -> Vec<&'static Section> {
        let mut sections = Vec::new();
        <Settings as Sectioned>::sections(&mut sections);
        sections
    }

    /// The folder of the keys that Homeroom makes itself.
    pub(super) fn keys_dir(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// The key of the session tokens of attempts: made at the first start, and nobody else's to have.
    pub fn session_key_file(&self) -> PathBuf {
        self.keys_dir().join("quiz.session")
    }

    /// The key of the tokens of users of labs: made at the first start, and nobody else's to have.
    pub fn users_key_file(&self) -> PathBuf {
        self.keys_dir().join("labs.hs256")
    }

    /// The key of the tokens of those who talk to agents: made at the first start, and nobody else's to have.
    pub fn callers_key_file(&self) -> PathBuf {
        self.keys_dir().join("chat.hs256")
    }
}

impl WebSocket {
    /// Descriptors that are kept for the store, rings, listeners, logs and outbound calls.
    pub const RESERVED_DESCRIPTORS: u64 = 512;

    /// How many connections may be held where the process may open `nofile` descriptors.
    pub fn connections(&self, nofile: u64) -> usize {
        let allowed = usize::try_from(nofile.saturating_sub(Self::RESERVED_DESCRIPTORS)).unwrap_or(usize::MAX);
        if self.max_connections == 0 { allowed } else { self.max_connections.min(allowed) }
    }
}
