//! Records of a batch that are written one after the other: each as a whole, or refused by itself.

use super::{conn::Conn, fault::Fault};
use crate::realtime::StoreFault;

/// Writes all of them under one savepoint; where a row is refused once more, each under one of its own. `refused` tells what a refusal is
/// answered with. The outer fault is the transaction's.
pub(super) async fn each<R, K>(
    conn: &Conn,
    records: &[R],
    write: impl AsyncFn(&R) -> Result<K, Fault>,
    refused: impl Fn(&Fault) -> Result<K, StoreFault>,
) -> Result<Vec<Result<K, StoreFault>>, Fault> {
    let mut answers = Vec::with_capacity(records.len());
    let all = conn.whole(async || {
        for record in records {
            answers.push(Ok(write(record).await?));
        }
        Ok(())
    });
    match (all.await?, records) {
        (Ok(()), _) => return Ok(answers),
        (Err(fault), [_]) => return Ok(vec![refused(&fault)]),
        (Err(_), _) => answers.clear(),
    }
    for record in records {
        answers.push(conn.whole(async || write(record).await).await?.or_else(|fault| refused(&fault)));
    }
    Ok(answers)
}

/// The answer to what the tables refuse.
pub(super) fn failed<K>(_: &Fault) -> Result<K, StoreFault> {
    Err(StoreFault::Failed)
}
