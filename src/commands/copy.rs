//! `homeroom copy`: a school that has grown moves from a folder into a PostgreSQL database.

use super::Failure;
use crate::store::{self, CopyFault, postgres};
use std::path::PathBuf;

/// From where to where.
#[derive(clap::Args, Debug)]
pub struct CopyArguments {
    /// The folder: sqlite://FOLDER, the data_dir of a server that is stopped. It is only read
    #[arg(value_parser = folder)]
    pub from: PathBuf,
    /// The database: postgres://USER@HOST/NAME. It must be empty; the tables are made
    pub to: String,
    /// A file with the password of the database's user; without it PGPASSWORD, or the file PGPASSFILE or ~/.pgpass
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Do all of it, counting and checking too, and then undo it
    #[arg(long)]
    pub dry_run: bool,
}

fn folder(given: &str) -> Result<PathBuf, String> {
    match given.strip_prefix("sqlite://") {
        Some(folder) if !folder.is_empty() => Ok(folder.into()),
        Some(_) | None => Err("expected sqlite://FOLDER".into()),
    }
}

/// Does it.
pub fn run(arguments: &CopyArguments) -> Result<(), Failure> {
    let CopyArguments { from, to, password_file, dry_run } = arguments;
    let to = postgres::Settings::new(to, password_file.as_deref()).map_err(|fault| Failure::Usage(fault.to_string()))?;
    let moved = store::copy(from, &to, *dry_run).map_err(|fault| Failure::Failed(told(&fault)))?;
    let widest = moved.iter().map(|table| table.table.len()).max().unwrap_or(0);
    for table in &moved {
        println!("{:widest$}  {:>10}", table.table, table.rows);
    }
    let (rows, place) = (moved.iter().map(|table| table.rows).sum::<u64>(), to.place());
    if *dry_run {
        println!("All {rows} rows would be in {place}. Nothing was changed.");
    } else {
        println!(
            "All {rows} rows are in {place}, counted on the way and again there. The folder is as it was: its keys are still needed."
        );
    }
    Ok(())
}

fn told(fault: &CopyFault) -> String {
    format!("Nothing was copied: {fault}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_is_copied_from() {
        assert_eq!(folder("sqlite:///srv/school"), Ok("/srv/school".into()));
        assert_eq!(folder("sqlite://data"), Ok("data".into()));
        for wrong in ["", "/srv/school", "sqlite://", "sqlite:data", "postgres://db/homeroom"] {
            assert!(folder(wrong).is_err(), "{wrong}");
        }
    }
}
