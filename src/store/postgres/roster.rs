//! Who is in the cluster, numbered: what all nodes that read the same number see alike.

use super::{columns::column, conn::Conn, fault::Fault};
use crate::store::{Roster, Seat, Tenure};
use tokio_postgres::Row;

/// The number rises by a trigger, so that whoever writes a node, in whatever version, cannot forget it. Who was there by the last numbers
/// stays: a node that looks seldom goes through the same as one that looks often.
pub(super) const SIXTH: &str = r#"
ALTER TABLE node ADD COLUMN shards smallint NOT NULL DEFAULT 1 CHECK (shards BETWEEN 1 AND 255);
CREATE TABLE node_view (is_one boolean PRIMARY KEY CHECK (is_one), number bigint NOT NULL);
CREATE TABLE node_view_seat (
    number bigint, slot smallint, epoch bigint NOT NULL, shards smallint NOT NULL, PRIMARY KEY (number, slot)
);
CREATE FUNCTION node_view_rises() RETURNS trigger LANGUAGE plpgsql AS
    $$ DECLARE now_number bigint; BEGIN
        INSERT INTO node_view VALUES (true, 1) ON CONFLICT (is_one) DO UPDATE SET number = node_view.number + 1
            RETURNING number INTO now_number;
        INSERT INTO node_view_seat SELECT now_number, slot, epoch, shards FROM node;
        DELETE FROM node_view_seat WHERE number <= now_number - 256;
        RETURN NULL;
    END $$;
CREATE TRIGGER node_view_rises AFTER INSERT OR DELETE ON node FOR EACH ROW EXECUTE FUNCTION node_view_rises();
"#;

/// One statement, so that number and nodes are of one moment. A node that has not held its own lease for long enough takes all others for
/// alive.
pub(super) async fn read(conn: &Conn, own: i64, lease: f64) -> Result<Roster, Fault> {
    let rows = conn
        .rows(
            "SELECT number, slot, epoch, shards,
                 lease_until > clock_timestamp() OR NOT EXISTS (
                     SELECT 1 FROM node AS own
                     WHERE own.epoch = $1 AND own.lease_until > clock_timestamp()
                         AND own.held_since + make_interval(secs => $2) < clock_timestamp())
             FROM (SELECT coalesce(max(number), 0) AS number FROM node_view) AS view LEFT JOIN node ON true ORDER BY slot",
            &[&own, &lease],
        )
        .await?;
    let number = rows.first().map(|row| column::<i64>(row, 0)).transpose()?.unwrap_or(0);
    let seat = |row: &Row| {
        let Some(slot) = column::<Option<i16>>(row, 1)? else { return Ok(None) };
        let tenure = Tenure { slot: slot.unsigned_abs(), epoch: column(row, 2)? };
        Ok(Some(Seat { tenure, shards: column::<i16>(row, 3)? as u8, is_alive: column(row, 4)? }))
    };
    let seats: Vec<Option<Seat>> = rows.iter().map(seat).collect::<Result<_, Fault>>()?;
    Ok(Roster { number: number.unsigned_abs(), seats: seats.into_iter().flatten().collect() })
}

/// The rosters behind one number and before another, in order, as far as they are still there.
pub(super) async fn between(conn: &Conn, after: u64, before: u64) -> Result<Vec<Roster>, Fault> {
    let rows = conn
        .rows(
            "SELECT number, slot, epoch, shards FROM node_view_seat WHERE number > $1 AND number < $2 ORDER BY number, slot",
            &[&after.cast_signed(), &before.cast_signed()],
        )
        .await?;
    let mut rosters: Vec<Roster> = Vec::new();
    for row in &rows {
        let number = column::<i64>(row, 0)?.unsigned_abs();
        let tenure = Tenure { slot: column::<i16>(row, 1)?.unsigned_abs(), epoch: column(row, 2)? };
        let seat = Seat { tenure, shards: column::<i16>(row, 3)? as u8, is_alive: true };
        match rosters.last_mut().filter(|roster| roster.number == number) {
            Some(roster) => roster.seats.push(seat),
            None => rosters.push(Roster { number, seats: vec![seat] }),
        }
    }
    Ok(rosters)
}
