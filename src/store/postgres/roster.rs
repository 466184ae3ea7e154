//! Who is in the cluster, numbered: what all nodes that read the same number see alike.

use super::{columns::column, conn::Conn, fault::Fault};
use crate::store::{Roster, Seat, Tenure};
use tokio_postgres::Row;

/// The number rises by a trigger, so that whoever writes a node, in whatever version, cannot forget it.
pub(super) const SIXTH: &str = r#"
ALTER TABLE node ADD COLUMN shards smallint NOT NULL DEFAULT 1 CHECK (shards BETWEEN 1 AND 255);
CREATE TABLE node_view (is_one boolean PRIMARY KEY CHECK (is_one), number bigint NOT NULL);
CREATE FUNCTION node_view_rises() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN
        INSERT INTO node_view VALUES (true, 1) ON CONFLICT (is_one) DO UPDATE SET number = node_view.number + 1;
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
