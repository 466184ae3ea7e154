//! A connection: how it is made and tuned, and how statements go over it. Each has a time in which it is answered.

use super::{
    fault::{Fault, OpenFault, told},
    settings::Settings,
};
use bytes::Bytes;
use hashbrown::HashMap;
use std::{cell::RefCell, fs, future::Future, path::Path, sync::Arc, time::Duration};
use tokio::{runtime::Handle, task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config, CopyInSink, NoTls, Row, Statement, types::ToSql};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What a value of a statement is.
pub(super) type Value<'v> = &'v (dyn ToSql + Sync);

/// How much longer than a statement may take its answer is waited for.
const GRACE: Duration = Duration::from_secs(2);

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// Batches, and what is done beside them.
    Writer,
    /// Views.
    Reader,
    /// The lease: nothing of it takes longer than a moment.
    Lease,
}

/// The way to the database, for as many connections as are wanted.
pub(super) struct Way {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    connect_timeout: Duration,
    statement_timeout: Duration,
    place: String,
    runtime: Handle,
}

impl Way {
    /// The connections live on `runtime`.
    pub(super) fn new(settings: &Settings, runtime: Handle) -> Result<Way, OpenFault> {
        let mut config = settings.way.clone();
        config.connect_timeout(settings.connect_timeout).tcp_user_timeout(settings.statement_timeout + GRACE);
        config
            .keepalives(true)
            .keepalives_idle(Duration::from_secs(5))
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(3);
        config.application_name(format!("homeroom {}", settings.node));
        let tls = if settings.tls { Some(MakeRustlsConnect::new(tls(settings.root_certificate.as_deref())?)) } else { None };
        let (connect_timeout, statement_timeout) = (settings.connect_timeout, settings.statement_timeout);
        Ok(Way { config, tls, connect_timeout, statement_timeout, place: settings.place(), runtime })
    }

    /// Host, port and name.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// The runtime on which connections live, for timers.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// What could not be done when the store was opened.
    pub(super) fn refused(&self, fault: &Fault) -> OpenFault {
        OpenFault::Database { place: self.place.clone(), message: fault.to_string() }
    }

    pub(super) async fn connect(&self, role: Role) -> Result<Conn, Fault> {
        let connecting = async {
            let (client, driver) = self.open().await?;
            let conn = Conn { client, driver, statements: RefCell::default(), patience: self.statement_timeout + GRACE };
            conn.batch(&self.tuning(role)).await?;
            Ok(conn)
        };
        // With names that resolve to many addresses each would have its own time.
        timeout(self.connect_timeout * 2, connecting).await.unwrap_or(Err(Fault::Silent))
    }

    async fn open(&self) -> Result<(Client, JoinHandle<()>), Fault> {
        Ok(match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                (client, self.runtime.spawn(drive(connection)))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                (client, self.runtime.spawn(drive(connection)))
            }
        })
    }

    /// A writer's statements look rows up by their keys, whatever the planner believes of tables that have just grown.
    fn tuning(&self, role: Role) -> String {
        let statement = self.statement_timeout.as_millis();
        let idle = (self.statement_timeout + GRACE).as_millis();
        let always =
            format!("SET statement_timeout = {statement}; SET idle_in_transaction_session_timeout = {idle}; SET jit = off;");
        always
            + match role {
                // Ends of a whole node's sessions are a lease's too.
                Role::Writer | Role::Lease => {
                    "SET lock_timeout = '5s'; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
                     SET enable_hashjoin = off; SET enable_mergejoin = off;"
                }
                Role::Reader => "SET default_transaction_read_only = on;",
            }
    }
}

/// Runs until the connection ends. Whoever waits for an answer hears of it by that.
async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::debug!(error = %told(&error), "a connection to the database ended");
    }
}

fn tls(root_certificate: Option<&Path>) -> Result<rustls::ClientConfig, OpenFault> {
    use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::CertificateDer, pki_types::pem::PemObject};
    use rustls_platform_verifier::BuilderVerifierExt;
    let wrong = |error: rustls::Error| OpenFault::Tls(error.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(wrong)?;
    let Some(file) = root_certificate else {
        return Ok(builder.with_platform_verifier().map_err(wrong)?.with_no_client_auth());
    };
    let text = fs::read(file).map_err(|source| OpenFault::File { file: file.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| OpenFault::Tls(format!("{}: {error}", file.display())))?;
        roots.add(certificate).map_err(wrong)?;
    }
    if roots.is_empty() {
        return Err(OpenFault::Tls(format!("{} has no certificate", file.display())));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// One connection. Statements are prepared once, and may be asked one behind the other without waiting (`futures_util::future::join`): the
/// database takes them in the order in which their futures are first polled, once [`Conn::prepared`] has been awaited for each.
pub(super) struct Conn {
    client: Client,
    driver: JoinHandle<()>,
    statements: RefCell<HashMap<String, Statement>>,
    patience: Duration,
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Conn {
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Several statements without values. They leave when this is first polled.
    pub(super) async fn batch(&self, statements: &str) -> Result<(), Fault> {
        self.answered(self.client.batch_execute(statements)).await
    }

    /// A statement, prepared on this connection.
    pub(super) async fn prepared(&self, statement: &str) -> Result<Statement, Fault> {
        if let Some(known) = self.statements.borrow().get(statement) {
            return Ok(known.clone());
        }
        let new = self.answered(self.client.prepare(statement)).await?;
        self.statements.borrow_mut().insert(statement.to_owned(), new.clone());
        Ok(new)
    }

    /// The rows of a prepared statement. It leaves when this is first polled.
    pub(super) async fn ask(&self, statement: &Statement, values: &[Value<'_>]) -> Result<Vec<Row>, Fault> {
        self.answered(self.client.query(statement, values)).await
    }

    /// All rows.
    pub(super) async fn rows(&self, statement: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Fault> {
        let statement = self.prepared(statement).await?;
        self.ask(&statement, values).await
    }

    /// The row, if there is one.
    pub(super) async fn row(&self, statement: &str, values: &[Value<'_>]) -> Result<Option<Row>, Fault> {
        Ok(self.rows(statement, values).await?.into_iter().next())
    }

    /// The row of a statement that always has one.
    pub(super) async fn one(&self, statement: &str, values: &[Value<'_>]) -> Result<Row, Fault> {
        self.row(statement, values).await?.ok_or_else(|| Fault::Value("a row is missing".into()))
    }

    /// How many rows were changed.
    pub(super) async fn execute(&self, statement: &str, values: &[Value<'_>]) -> Result<u64, Fault> {
        let statement = self.prepared(statement).await?;
        self.answered(self.client.execute(&statement, values)).await
    }

    /// Where the rows of a `COPY` go.
    pub(super) async fn copy_in(&self, statement: &str) -> Result<CopyInSink<Bytes>, Fault> {
        self.answered(self.client.copy_in(statement)).await
    }

    /// Writes all of it, or nothing where a row refuses it. Always inside a transaction, which goes on then: the inner fault is of
    /// what was written, the outer one of the transaction.
    pub(super) async fn whole<T>(&self, write: impl AsyncFnOnce() -> Result<T, Fault>) -> Result<Result<T, Fault>, Fault> {
        self.batch("SAVEPOINT whole").await?;
        let result = write().await;
        match result {
            Ok(written) => {
                self.batch("RELEASE whole").await?;
                Ok(Ok(written))
            }
            Err(fault) if fault.is_of_the_row() => {
                tracing::debug!(%fault, "refused by the tables");
                self.batch("ROLLBACK TO whole; RELEASE whole").await?;
                Ok(Err(fault))
            }
            Err(fault) => Err(fault),
        }
    }

    async fn answered<T>(&self, asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Fault> {
        match timeout(self.patience, asked).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Fault::Silent),
        }
    }
}
