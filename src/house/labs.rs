//! What labs begin with: templates of the settings and the first admin put into the records, then all that the registry must know read from
//! them.

use super::HouseFault;
use crate::{
    config::Settings,
    protocols::labs::{
        model::{Role, Template, User},
        record::{Loaded, Login, Page},
    },
    realtime::UnixMicros,
    services::passwords,
    store::Store,
};
use std::sync::Arc;
use uuid::{Builder, Uuid};

/// Who is there when nobody is.
pub(super) const FIRST_ADMIN: &str = "admin";
/// Nothing that looks like something else, so that it can be read off a screen: 32 letters, five bits each.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 80 bits.
const PASSWORD_LETTERS: usize = 16;

/// The email that the first admin begins with.
pub(super) fn first_address() -> String {
    format!("{FIRST_ADMIN}@localhost")
}

/// A password that was made just now, to be shown once. It has no `Debug`.
pub struct FirstPassword(pub String);

/// What the shards begin with.
pub(super) struct Beginning {
    pub(super) loaded: Arc<Loaded>,
    pub(super) revoked: Arc<[(Uuid, UnixMicros)]>,
    /// The admin's, when this start made it.
    pub(super) first_password: Option<FirstPassword>,
    /// Whether one may sign in with [`first_address`].
    pub(super) has_first_admin: bool,
}

/// Seeds the records and reads them. Blocks.
pub(super) fn begin(store: &dyn Store, settings: &Settings, now: UnixMicros) -> Result<Beginning, HouseFault> {
    let templates = templates(settings, now)?;
    let first = first_admin(store, now)?;
    let (login, password) = first.map_or((None, None), |(login, password)| (Some(login), Some(password)));
    let was_made = store.seed(templates, login).map_err(HouseFault::Labs)?;
    let known = store.login_by_email(&first_address()).map_err(HouseFault::Labs)?;
    Ok(Beginning {
        has_first_admin: known.is_some_and(|login| login.user.active),
        loaded: store.labs().map_err(HouseFault::Labs)?.into(),
        revoked: store.revoked(now).map_err(HouseFault::Labs)?.into(),
        first_password: password.filter(|_| was_made),
    })
}

/// Puts in the templates that are not there yet. Blocks.
pub(super) fn add_templates(store: &dyn Store, settings: &Settings, now: UnixMicros) -> Result<(), HouseFault> {
    store.seed(templates(settings, now)?, None).map_err(HouseFault::Labs)?;
    Ok(())
}

fn templates(settings: &Settings, now: UnixMicros) -> Result<Vec<Template>, HouseFault> {
    settings.labs.templates.iter().map(|template| Ok(template.dealt(random_id()?, now))).collect()
}

/// The admin of records without any user, with a password that nobody knows yet.
fn first_admin(store: &dyn Store, now: UnixMicros) -> Result<Option<(Login, FirstPassword)>, HouseFault> {
    if store.users(None, Page { page: 1, limit: 1 }).map_err(HouseFault::Labs)?.total > 0 {
        return Ok(None);
    }
    let random: [u8; PASSWORD_LETTERS] = random()?;
    let password: String = random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    let password_hash = passwords::hash(&password).map_err(HouseFault::Password)?.into();
    let user = User {
        id: random_id()?,
        username: FIRST_ADMIN.to_owned(),
        email: first_address(),
        role: Role::Admin,
        active: true,
        created_at: now,
        last_login: None,
    };
    Ok(Some((Login { user, password_hash }, FirstPassword(password))))
}

fn random_id() -> Result<Uuid, HouseFault> {
    Ok(Builder::from_random_bytes(random()?).into_uuid())
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], HouseFault> {
    let mut bytes = [0; BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| HouseFault::Password(passwords::PasswordFault::Failed))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Layers, Loaded as LoadedSettings},
        realtime::StoreFault,
        store::{LabsLibrary, SqliteStore, sqlite},
    };
    use std::path::Path;

    const NOW: UnixMicros = UnixMicros(1_700_000_000_000_000);

    struct Deaf;

    impl crate::store::Sink for Deaf {
        fn post(&self, _: &mut Vec<crate::store::Answer>) {}
    }

    fn store(folder: &Path) -> SqliteStore {
        SqliteStore::open(sqlite::Settings::new(folder), Box::new(Deaf)).unwrap()
    }

    fn settings(templates: &str) -> Settings {
        LoadedSettings::of(&Layers::default().file("homeroom.toml", templates)).unwrap().settings
    }

    fn template(name: &str, image: &str) -> String {
        format!("[[labs.templates]]\nname = \"{name}\"\nbase_image = \"{image}\"\n")
    }

    #[test]
    fn the_first_start_makes_an_admin_whose_password_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let kept = store(folder.path());
        let first = begin(&kept, &settings(""), NOW).unwrap().first_password.unwrap();
        assert!(first.0.len() == PASSWORD_LETTERS && first.0.bytes().all(|byte| LETTERS.contains(&byte)));
        let login = kept.login(FIRST_ADMIN).unwrap().unwrap();
        assert_eq!((login.user.role, login.user.active, login.user.created_at), (Role::Admin, true, NOW));
        assert_eq!(passwords::check(&first.0, Some(&login.password_hash)), Ok(true));
        assert!(!login.password_hash.contains(&first.0));
        assert!(begin(&kept, &settings(""), NOW).unwrap().first_password.is_none());
        assert_eq!(kept.login(FIRST_ADMIN).unwrap().unwrap(), login, "the second start changes nothing");
    }

    #[test]
    fn the_first_admins_email_is_known_only_where_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let kept = store(folder.path());
        assert!(begin(&kept, &settings(""), NOW).unwrap().has_first_admin);
        assert!(begin(&kept, &settings(""), NOW).unwrap().has_first_admin, "at the next start as well");
        let folder = tempfile::tempdir().unwrap();
        let kept = store(folder.path());
        let (Login { user, password_hash }, _) = first_admin(&kept, NOW).unwrap().unwrap();
        let other = User { username: "head".to_owned(), email: "head@school.example".to_owned(), ..user };
        kept.seed(Vec::new(), Some(Login { user: other, password_hash })).unwrap();
        assert!(!begin(&kept, &settings(""), NOW).unwrap().has_first_admin);
    }

    #[test]
    fn two_first_passwords_are_not_alike() {
        let first = || {
            let folder = tempfile::tempdir().unwrap();
            begin(&store(folder.path()), &settings(""), NOW).unwrap().first_password.unwrap().0
        };
        assert_ne!(first(), first());
    }

    #[test]
    fn templates_of_the_settings_come_in_where_their_names_are_new() {
        let folder = tempfile::tempdir().unwrap();
        let kept = store(folder.path());
        begin(&kept, &settings(&template("a", "one")), NOW).unwrap();
        let made = kept.template("a").unwrap().unwrap();
        assert_eq!((made.base_image.as_str(), made.created_at), ("one", NOW));
        let later = UnixMicros(NOW.0 + 5_000_000);
        begin(&kept, &settings(&[template("a", "two"), template("b", "three")].concat()), later).unwrap();
        assert_eq!(kept.template("a").unwrap().unwrap(), made, "an admin may have changed it");
        assert_eq!(kept.template("b").unwrap().unwrap().created_at, later);
    }

    #[test]
    fn a_store_that_cannot_lets_nobody_serve() {
        let kept = store(tempfile::tempdir().unwrap().path());
        kept.stop(std::time::Duration::from_secs(60)).unwrap();
        assert!(matches!(begin(&kept, &settings(""), NOW), Err(HouseFault::Labs(StoreFault::Busy | StoreFault::Failed))));
    }
}
