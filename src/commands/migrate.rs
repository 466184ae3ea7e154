//! `homeroom migrate`: what the tables of a PostgreSQL database are, and with `--apply` brings them up to date.

use super::{Failure, flags::SettingFlags};
use crate::{
    config::Database,
    house,
    store::postgres::{self, Versions},
};

/// Whether to change anything.
#[derive(clap::Args, Debug)]
pub struct MigrateArguments {
    /// Bring the tables up to date; without it they are only looked at
    #[arg(long)]
    pub apply: bool,
    /// The settings' flags.
    #[command(flatten)]
    pub flags: SettingFlags,
}

/// Prints the versions. Fails where this program does not understand the tables.
pub fn run(arguments: &MigrateArguments) -> Result<(), Failure> {
    let settings = arguments.flags.load_process()?.settings;
    let Database::Postgres(url) = &settings.database else {
        return Err(Failure::Usage("the records are in SQLite, which every start brings up to date; see --database".into()));
    };
    let failed = |fault: postgres::OpenFault| Failure::Failed(fault.to_string());
    let database = house::database(&settings, url).map_err(failed)?;
    let versions = postgres::migrate(&database, arguments.apply).map_err(failed)?;
    let Versions { needed, known, .. } = versions;
    if versions.are_newer() {
        let message = format!("the tables are for programs that know version {needed}; this one knows up to {known}");
        return Err(Failure::Failed(message));
    }
    println!("{}: {}", database.place(), told(versions, arguments.apply));
    Ok(())
}

fn told(Versions { found, known, .. }: Versions, applied: bool) -> String {
    match (found < known, applied) {
        (true, true) => format!("tables brought from version {found} to {known}"),
        (true, false) => format!("tables are of version {found}, this program knows {known}: --apply brings them up to date"),
        (false, _) => format!("tables are of version {found}, nothing to do"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_what_it_did_and_what_is_to_do() {
        let versions = |found| Versions { found, needed: 1, known: 5 };
        assert!(told(versions(0), true).contains("from version 0 to 5"));
        assert!(told(versions(3), false).contains("--apply"));
        assert!(told(versions(5), true).contains("nothing to do") && told(versions(6), false).contains("nothing to do"));
    }
}
