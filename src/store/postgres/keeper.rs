//! This node's lease: taken, renewed by itself, and what ends with it.

use super::{
    PostgresStore, chat,
    columns::{column, string},
    conn::{Conn, Role, Way},
    fault::Fault,
    presence, roster,
    settings::Settings,
    writing::slot,
};
use crate::{
    realtime::{StoreFault, UnixMicros},
    store::{Buried, Ended, Lease, LeaseFault, Member, Read, Roster, Tenure},
};
use futures_lite::future::block_on;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_postgres::Row;

/// Slots that there are: what one database serves is far less.
const SLOTS: i32 = 1024;

/// Taken by whoever takes or gives a slot.
const LOCK: i64 = 0x686F_6D65_736C_6F74;

/// With an epoch: held by the connection of the node's writer, so that its end shows.
pub(super) const ALIVE: i32 = 0x686F_6D65;

/// How often it is looked whether the lease is to be renewed.
const LOOK: Duration = Duration::from_millis(100);

/// The node's row, and whether its lease runs.
const ROW: &str =
    "SELECT epoch, lease_until > clock_timestamp(), (extract(epoch FROM seen_at) * 1000000)::bigint, slot FROM node";

/// A fresh tenure, and the one whose place it took, with who was on it.
type Taken = (Tenure, Option<(Tenure, Vec<Ended>)>);

const ALIVE_NODES: &str = "SELECT name, epoch FROM node WHERE lease_until > clock_timestamp()";

/// What this node is, and what it holds.
pub(super) struct Keeper {
    way: Arc<Way>,
    name: String,
    address: String,
    shards: u8,
    lease: Duration,
    /// See [`Settings::alone`].
    alone: bool,
    tenure: Mutex<Option<Tenure>>,
    stopping: AtomicBool,
    /// Whether the lease is left to run out.
    is_held_back: AtomicBool,
    /// Who was on the tenure whose place this one took.
    predecessor: Mutex<Option<(Tenure, Vec<Ended>)>>,
    /// See [`Settings::sessions`].
    sessions: Vec<i64>,
    /// Whether the next process of this node takes its place.
    has_heir: AtomicBool,
    ends: Notify,
}

impl Keeper {
    pub(super) fn new(way: Arc<Way>, settings: &Settings) -> Keeper {
        let Settings { node, address, shards, lease, alone, sessions, .. } = settings;
        let (stopping, is_held_back) = (AtomicBool::new(false), AtomicBool::new(false));
        Keeper {
            way,
            name: node.clone(),
            address: address.clone(),
            shards: *shards,
            lease: *lease,
            alone: *alone,
            tenure: Mutex::default(),
            stopping,
            is_held_back,
            predecessor: Mutex::default(),
            sessions: sessions.iter().copied().collect(),
            has_heir: AtomicBool::new(false),
            ends: Notify::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn held(&self) -> Option<Tenure> {
        *self.tenure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, tenure: Option<Tenure>) {
        *self.tenure.lock().unwrap_or_else(PoisonError::into_inner) = tenure;
    }

    /// It was found that this tenure is over.
    pub(super) fn lost(&self, tenure: Tenure) {
        let mut held = self.tenure.lock().unwrap_or_else(PoisonError::into_inner);
        if *held == Some(tenure) {
            *held = None;
            tracing::warn!(%tenure, "this node was taken for dead: its lease is lost, and it writes nothing more under it");
        }
    }

    fn seconds(&self) -> f64 {
        self.lease.as_secs_f64()
    }

    /// Waits for a predecessor that may still be alive, as long as its lease can last.
    pub(super) async fn take_first(&self, conn: &Conn) -> Result<Tenure, Result<LeaseFault, Fault>> {
        let until = Instant::now() + self.lease + Duration::from_secs(1);
        loop {
            match self.take(conn).await.map_err(Err)? {
                Err(LeaseFault::Alive) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(200)).await,
                taken => return taken.map_err(Ok),
            }
        }
    }

    /// A node that is alive: this one's name before others. One whose connection has ended is waited for as long as its lease can last.
    pub(super) async fn other(&self, conn: &Conn) -> Result<Option<String>, Fault> {
        let until = Instant::now() + self.lease + Duration::from_secs(1);
        loop {
            let alive = format!("{ALIVE_NODES} ORDER BY name = $1 DESC, name LIMIT 1");
            let Some(alive) = conn.row(&alive, &[&self.name]).await? else { return Ok(None) };
            if Instant::now() >= until || !is_gone(conn, column(&alive, 1)?).await? {
                return string(&alive, 0).map(Some);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn take(&self, conn: &Conn) -> Result<Result<Tenure, LeaseFault>, Fault> {
        if let Some(held) = self.held() {
            return Ok(Ok(held));
        }
        let taken = transaction(conn, async || self.take_slot(conn).await).await?;
        Ok(taken.map(|(tenure, before)| {
            self.hold(Some(tenure));
            *self.predecessor.lock().unwrap_or_else(PoisonError::into_inner) = before;
            tenure
        }))
    }

    async fn take_slot(&self, conn: &Conn) -> Result<Result<Taken, LeaseFault>, Fault> {
        conn.batch(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
        if self.alone && conn.row(ALIVE_NODES, &[]).await?.is_some() {
            return Ok(Err(LeaseFault::Alive));
        }
        let row = conn.row(&format!("{ROW} WHERE name = $1 FOR UPDATE"), &[&self.name]).await?;
        let mut before = None;
        if let Some(row) = row {
            let (epoch, is_alive): (i64, bool) = (column(&row, 0)?, column(&row, 1)?);
            if is_alive && !is_gone(conn, epoch).await? {
                return Ok(Err(LeaseFault::Alive));
            }
            let ended = presence::bury(conn, epoch, UnixMicros(column(&row, 2)?), &self.sessions).await?;
            chat::bury(conn, epoch, UnixMicros(column(&row, 2)?)).await?;
            conn.execute("DELETE FROM node WHERE epoch = $1", &[&epoch]).await?;
            if !ended.is_empty() {
                tracing::info!(sessions = ended.len(), "ended the sessions that the last run left behind");
            }
            before = Some((Tenure { slot: column::<i16>(&row, 3)?.unsigned_abs(), epoch }, ended));
        }
        let free =
            "SELECT slot::smallint FROM generate_series(0, $1 - 1) AS slot WHERE slot NOT IN (SELECT slot FROM node) LIMIT 1";
        let Some(free) = conn.row(free, &[&SLOTS]).await? else { return Ok(Err(LeaseFault::Full)) };
        let slot: i16 = column(&free, 0)?;
        let taken = conn
            .one(
                "INSERT INTO node (slot, epoch, name, address, version, lease_until, held_since, seen_at, shards)
                 SELECT $1::smallint, nextval('node_epoch'), $2::text, $3::text, $4::text, now + make_interval(secs => $5), now, now,
                    $6::smallint
                 FROM clock_timestamp() AS now
                 RETURNING epoch",
                &[&slot, &self.name, &self.address, &env!("CARGO_PKG_VERSION"), &self.seconds(), &i16::from(self.shards)],
            )
            .await?;
        let tenure = Tenure { slot: slot.unsigned_abs(), epoch: column(&taken, 0)? };
        if let Some((former, _)) = &before {
            presence::pass(conn, former.epoch, tenure).await?;
        }
        Ok(Ok((tenure, before)))
    }

    /// False when the tenure is over.
    async fn renew(&self, conn: &Conn, tenure: Tenure) -> Result<bool, Fault> {
        let renewed = conn
            .execute(
                "UPDATE node SET lease_until = clock_timestamp() + make_interval(secs => $3), seen_at = clock_timestamp(),
                     held_since = CASE WHEN lease_until < clock_timestamp() THEN clock_timestamp() ELSE held_since END
                 WHERE slot = $1 AND epoch = $2",
                &[&slot(tenure), &tenure.epoch, &self.seconds()],
            )
            .await?;
        if renewed == 0 {
            self.lost(tenure);
        }
        Ok(renewed > 0)
    }

    /// Renews for as long as the store runs, on a connection of its own: no batch holds it up.
    pub(super) async fn run(&self) {
        let every = self.lease / 3;
        let mut conn: Option<Conn> = None;
        let mut at = Instant::now() + every;
        while !self.stopping.load(Ordering::SeqCst) {
            let next = at.min(Instant::now() + LOOK);
            futures_lite::future::or(sleep_until(next), self.ends.notified()).await;
            if Instant::now() < at {
                continue;
            }
            if self.is_held_back.load(Ordering::SeqCst) {
                at = Instant::now() + Duration::from_millis(100);
                continue;
            }
            let renewed = self.renewed(&mut conn).await;
            // One that failed is tried again soon: the lease runs meanwhile.
            at = Instant::now() + if renewed.is_ok() { every } else { every / 4 };
            if let Err(fault) = renewed {
                tracing::debug!(%fault, "the lease was not renewed");
                conn = None;
            }
        }
    }

    async fn renewed(&self, conn: &mut Option<Conn>) -> Result<(), Fault> {
        let Some(tenure) = self.held() else { return Ok(()) };
        let conn = match conn {
            Some(conn) => conn,
            None => conn.insert(self.way.connect(Role::Lease).await?),
        };
        self.renew(conn, tenure).await.map(drop)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.ends.notify_one();
    }

    /// Ends the sessions of this tenure and gives its slot back.
    async fn give_back(&self, conn: &Conn, tenure: Tenure) -> Result<(), Fault> {
        transaction(conn, async || {
            let row = conn.row(&format!("{ROW} WHERE epoch = $1 FOR UPDATE"), &[&tenure.epoch]).await?;
            if let Some(row) = row {
                presence::bury(conn, tenure.epoch, UnixMicros(column(&row, 2)?), &[]).await?;
                chat::bury(conn, tenure.epoch, UnixMicros(column(&row, 2)?)).await?;
                conn.execute("DELETE FROM node WHERE epoch = $1", &[&tenure.epoch]).await?;
            }
            Ok(())
        })
        .await
    }

    /// The tenure is over for this process. Whoever is called the same takes its place at once, and ends it with that.
    async fn leave_to_heir(conn: &Conn, tenure: Tenure) -> Result<(), Fault> {
        let over = "UPDATE node SET lease_until = clock_timestamp(), seen_at = clock_timestamp() WHERE epoch = $1";
        conn.execute(over, &[&tenure.epoch]).await.map(drop)
    }

    /// The store stops, and all is written.
    pub(super) async fn end(&self) {
        let Some(tenure) = self.held() else { return };
        let ended = async {
            let conn = self.way.connect(Role::Lease).await?;
            match self.has_heir.load(Ordering::SeqCst) {
                true => Self::leave_to_heir(&conn, tenure).await,
                false => self.give_back(&conn, tenure).await,
            }
        };
        match ended.await {
            Ok(()) => self.hold(None),
            Err(fault) => tracing::debug!(%fault, "the lease was not given back; it runs out"),
        }
    }

    async fn bury(&self, conn: &Conn, own: Tenure, dead: Tenure) -> Result<Result<Buried, LeaseFault>, Fault> {
        transaction(conn, async || {
            let settled = conn
                .row(
                    "SELECT lease_until > clock_timestamp() AND held_since + make_interval(secs => $3) < clock_timestamp() FROM node
                     WHERE slot = $1 AND epoch = $2 FOR KEY SHARE",
                    &[&slot(own), &own.epoch, &self.seconds()],
                )
                .await?;
            let Some(settled) = settled else { return Ok(Err(LeaseFault::Lost)) };
            let row = conn.row(&format!("{ROW} WHERE slot = $1 AND epoch = $2 FOR UPDATE"), &[&slot(dead), &dead.epoch]).await?;
            let Some(row) = row else { return Ok(Ok(Buried::Before)) };
            if column(&row, 1)? || !column(&settled, 0)? {
                return Ok(Err(LeaseFault::Alive));
            }
            let ended = presence::bury(conn, dead.epoch, UnixMicros(column(&row, 2)?), &[]).await?;
            chat::bury(conn, dead.epoch, UnixMicros(column(&row, 2)?)).await?;
            conn.execute("DELETE FROM node WHERE epoch = $1", &[&dead.epoch]).await?;
            Ok(Ok(Buried::Here(ended)))
        })
        .await
    }

    /// Does something on a connection of its own.
    fn aside<T>(&self, done: impl AsyncFnOnce(&Conn) -> Result<T, Fault>) -> Result<T, StoreFault> {
        let _runtime = self.way.runtime().enter();
        let done = block_on(async { done(&self.way.connect(Role::Lease).await?).await });
        done.map_err(|fault| {
            tracing::debug!(%fault, "the lease cannot be looked at");
            fault.blame()
        })
    }
}

async fn transaction<T>(conn: &Conn, body: impl AsyncFnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    conn.batch("BEGIN").await?;
    let result = body().await;
    conn.batch(if result.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    result
}

/// Whether the writer's connection of a tenure has ended.
async fn is_gone(conn: &Conn, epoch: i64) -> Result<bool, Fault> {
    let free = conn.one("SELECT pg_try_advisory_xact_lock($1, $2)", &[&ALIVE, &(epoch as i32)]).await?;
    column(&free, 0)
}

impl Lease for PostgresStore {
    fn tenure(&self) -> Option<Tenure> {
        self.keeper.held()
    }

    fn take(&self) -> Result<Tenure, LeaseFault> {
        self.keeper.aside(async |conn| self.keeper.take(conn).await)?
    }

    fn predecessor(&self) -> Option<(Tenure, Vec<Ended>)> {
        self.keeper.predecessor.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn leave_to_heir(&self) {
        self.keeper.has_heir.store(true, Ordering::SeqCst);
    }

    fn hold_back(&self, is_held_back: bool) {
        self.keeper.is_held_back.store(is_held_back, Ordering::SeqCst);
    }

    fn renew(&self) -> Result<(), LeaseFault> {
        let tenure = self.keeper.held().ok_or(LeaseFault::Lost)?;
        let renewed = self.keeper.aside(async |conn| self.keeper.renew(conn, tenure).await)?;
        if renewed { Ok(()) } else { Err(LeaseFault::Lost) }
    }

    fn members(&self) -> Read<Vec<Member>> {
        let (own, lease) = (self.keeper.held().map_or(0, |tenure| tenure.epoch), self.keeper.seconds());
        self.readers.view(async |conn| members(conn, own, lease).await)
    }

    fn roster(&self) -> Read<Roster> {
        let (own, lease) = (self.keeper.held().map_or(0, |tenure| tenure.epoch), self.keeper.seconds());
        self.readers.view(async |conn| roster::read(conn, own, lease).await)
    }

    fn rosters_between(&self, after: u64, before: u64) -> Read<Vec<Roster>> {
        self.readers.view(async |conn| roster::between(conn, after, before).await)
    }

    fn live(&self) -> Read<Vec<crate::protocols::presence::record::Buried>> {
        self.readers.view(presence::live)
    }

    fn release(&self) -> Result<(), StoreFault> {
        let Some(tenure) = self.keeper.held() else { return Ok(()) };
        self.keeper.aside(async |conn| self.keeper.give_back(conn, tenure).await)?;
        self.keeper.hold(None);
        Ok(())
    }

    fn bury(&self, dead: Tenure) -> Result<Buried, LeaseFault> {
        let own = self.keeper.held().ok_or(LeaseFault::Lost)?;
        self.keeper.aside(async |conn| self.keeper.bury(conn, own, dead).await)?
    }
}

/// A node that has not held its own lease for long enough takes all others for alive.
async fn members(conn: &Conn, own: i64, lease: f64) -> Result<Vec<Member>, Fault> {
    let rows = conn
        .rows(
            "SELECT slot, epoch, name, address, version,
                 lease_until > clock_timestamp() OR NOT EXISTS (
                     SELECT 1 FROM node AS own
                     WHERE own.epoch = $1 AND own.lease_until > clock_timestamp()
                         AND own.held_since + make_interval(secs => $2) < clock_timestamp())
             FROM node ORDER BY slot",
            &[&own, &lease],
        )
        .await?;
    let member = |row: &Row| {
        let tenure = Tenure { slot: column::<i16>(row, 0)?.unsigned_abs(), epoch: column(row, 1)? };
        let (name, address, version) = (string(row, 2)?, string(row, 3)?, string(row, 4)?);
        Ok(Member { tenure, name, address, version, is_alive: column(row, 5)? })
    };
    rows.iter().map(member).collect()
}
