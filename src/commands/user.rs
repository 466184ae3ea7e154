//! `homeroom user`: the users of labs, chat and tasks, whether the server runs or not.

use super::{
    Failure,
    flags::SettingFlags,
    people::{Change, NewPerson, People, Person},
    prompt,
};
use crate::protocols::labs::{given, model::Role};
use std::path::PathBuf;

/// What to do, and where the server is.
#[derive(clap::Args, Debug)]
pub struct UserArguments {
    /// What.
    #[command(subcommand)]
    pub command: UserCommand,
}

/// What can be done with users.
#[derive(clap::Subcommand, Debug)]
pub enum UserCommand {
    /// Make a user: asks for the password, or takes the first line of standard input
    Add {
        /// The name: 1 to 64 letters, digits and . _ -
        name: String,
        /// What they may do
        #[arg(long, value_enum, default_value_t = RoleName::User)]
        role: RoleName,
        /// The address; without it name@localhost
        #[arg(long)]
        email: Option<String>,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
    /// List all users, by name
    List {
        /// Where.
        #[command(flatten)]
        place: Place,
    },
    /// Give a user another password: asks for it, or takes the first line of standard input
    Passwd {
        /// Whose
        name: String,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
    /// Let a user sign in no more, and refuse the tokens that they have; their sessions stay
    Disable {
        /// Whom
        name: String,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
    /// Let a user who was disabled sign in again
    Enable {
        /// Whom
        name: String,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
}

/// Where the users are.
#[derive(clap::Args, Debug)]
pub struct Place {
    /// The internal listener of the running server; without it the settings tell where it is, or where the records are when none runs
    #[arg(long, value_name = "URL")]
    pub internal: Option<String>,
    /// A file with an operator's token, where the running server asks for one (`homeroom token labs` makes it)
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The settings' flags.
    #[command(flatten)]
    pub flags: SettingFlags,
}

impl Place {
    pub(super) fn people(&self, makes: bool) -> Result<People, Failure> {
        People::of((self.internal.as_deref(), self.token_file.as_deref()), &self.flags, makes)
    }
}

/// A role as it is typed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum RoleName {
    /// Everything, and to everyone's sessions
    Admin,
    /// Their own sessions
    User,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Role {
        match name {
            RoleName::Admin => Role::Admin,
            RoleName::User => Role::User,
        }
    }
}

/// Does it.
pub fn run(arguments: &UserArguments) -> Result<(), Failure> {
    match &arguments.command {
        UserCommand::Add { name, role, email, place } => add(name, (*role).into(), email.as_deref(), place),
        UserCommand::List { place } => list(place),
        UserCommand::Passwd { name, place } => passwd(name, place),
        UserCommand::Disable { name, place } => {
            change(name, Change { active: Some(false), password: None }, place)?;
            println!("{name} cannot sign in any more.");
            Ok(())
        }
        UserCommand::Enable { name, place } => {
            change(name, Change { active: Some(true), password: None }, place)?;
            println!("{name} can sign in again.");
            Ok(())
        }
    }
}

fn add(username: &str, role: Role, email: Option<&str>, place: &Place) -> Result<(), Failure> {
    named(username)?;
    let own = format!("{username}@localhost");
    let email = email.unwrap_or(&own);
    expected("--email", email, given::is_email, given::EMAIL)?;
    // Asked for first: nobody else is kept from the records while somebody types.
    let password = password()?;
    place.people(true)?.add(NewPerson { username, email, role, password })?;
    println!("{username} can sign in.");
    Ok(())
}

fn list(place: &Place) -> Result<(), Failure> {
    let all = place.people(false)?.all()?;
    let widest = |of: fn(&Person) -> &str| all.iter().map(|person| of(person).len()).max().unwrap_or(0);
    let (names, emails) = (widest(|person| &person.username), widest(|person| &person.email));
    for Person { username, email, role, active, last_login, .. } in &all {
        let role = match role {
            Role::Admin => "admin",
            Role::User => "user",
        };
        let (state, seen) = (if *active { "active" } else { "disabled" }, last_login.as_deref().unwrap_or("never signed in"));
        println!("{username:names$}  {role:5}  {state:8}  {email:emails$}  {seen}");
    }
    Ok(())
}

fn passwd(name: &str, place: &Place) -> Result<(), Failure> {
    named(name)?;
    let password = password()?;
    change(name, Change { active: None, password: Some(password) }, place)?;
    println!("{name} has another password.");
    Ok(())
}

fn change(name: &str, change: Change, place: &Place) -> Result<(), Failure> {
    named(name)?;
    place.people(false)?.change(name, change)
}

pub(super) fn named(name: &str) -> Result<(), Failure> {
    expected("NAME", name, given::is_name, given::NAME)
}

fn password() -> Result<String, Failure> {
    let password = prompt::password()?;
    expected("the password", &password, given::is_password, given::PASSWORD)?;
    Ok(password)
}

/// The value is not repeated: it may be the password.
fn expected(what: &str, value: &str, suits: fn(&str) -> bool, expected: &str) -> Result<(), Failure> {
    if suits(value) { Ok(()) } else { Err(Failure::Usage(format!("{what}: {expected}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_wrong_is_told_before_anything_is_asked() {
        for (result, told) in [
            (named("a b"), "NAME: Expected 1 to 64 letters, digits and . _ -"),
            (named("../users"), "NAME: Expected 1 to 64 letters, digits and . _ -"),
            (
                expected("the password", "hunter2", given::is_password, given::PASSWORD),
                "the password: Expected 8 to 200 characters",
            ),
        ] {
            assert!(matches!(&result, Err(Failure::Usage(text)) if text == told), "{result:?}");
        }
    }
}
