//! `homeroom token labs`: a token of one of the users of labs, as signing in would give.

use super::{
    Failure,
    people::{Person, random},
    token::ttl,
    user::{Place, named},
};
use crate::{
    auth::{USER_TOKEN_LIFETIME, UserClaims},
    house,
    protocols::labs::model::Role,
    realtime::UnixMicros,
    runtime::Clock,
};
use std::time::Duration;
use uuid::Builder;

/// Whose, and where the users are.
#[derive(clap::Args, Debug)]
pub struct UserTokenArguments {
    /// The user's name
    #[arg(long)]
    pub user: String,
    /// How long it is good for, such as 30m or 8h; without it 24h
    #[arg(long, value_parser = ttl)]
    pub ttl: Option<Duration>,
    /// Where.
    #[command(flatten)]
    pub place: Place,
}

/// Prints the token.
pub fn run(arguments: &UserTokenArguments) -> Result<(), Failure> {
    named(&arguments.user)?;
    let settings = arguments.place.flags.load_process()?.settings;
    let person = arguments.place.people(false)?.one(&arguments.user)?;
    let key = house::users_key(&settings).map_err(|fault| Failure::Failed(fault.to_string()))?;
    let now = Clock::started_now().now().wall;
    let lifetime = arguments.ttl.unwrap_or(USER_TOKEN_LIFETIME);
    println!("{}", key.issue(&claims(person, random()?, lifetime, now)?, now));
    Ok(())
}

fn claims(person: Person, token: [u8; 16], lifetime: Duration, now: UnixMicros) -> Result<UserClaims, Failure> {
    if !person.active {
        return Err(Failure::Failed(format!("{} is disabled: no token of theirs is taken", person.username)));
    }
    let seconds = now.seconds().saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX));
    Ok(UserClaims {
        user: person.id,
        name: person.username,
        email: person.email,
        admin: person.role == Role::Admin,
        token: Builder::from_random_bytes(token).into_uuid(),
        expires_at: UnixMicros(seconds.saturating_mul(1_000_000)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn person(active: bool) -> Person {
        let (username, email) = ("ada".to_owned(), "ada@example.com".to_owned());
        Person { id: Uuid::from_u128(7), username, email, role: Role::Admin, active, last_login: None }
    }

    #[test]
    fn a_token_says_who_and_until_when() {
        let now = UnixMicros(1_700_000_000_900_000);
        let claims = |active, lifetime| claims(person(active), [5; 16], Duration::from_secs(lifetime), now);
        let good = claims(true, 60).unwrap();
        assert_eq!((good.user, good.name.as_str(), good.admin), (Uuid::from_u128(7), "ada", true));
        assert_eq!(good.expires_at, UnixMicros(1_700_000_060_000_000));
        assert_eq!(good.token.get_version_num(), 4);
        assert!(claims(true, u64::MAX).unwrap().expires_at > now, "for ever is long");
        assert!(claims(false, 60).unwrap_err().to_string().contains("disabled"));
    }
}
