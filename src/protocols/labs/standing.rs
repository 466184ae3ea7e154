//! What users may now, whatever their tokens say: every shard knows it, so that no socket is opened by a right that was taken away.

use super::model::{Role, User, UserId};
use std::collections::{HashMap, HashSet};

/// What is known of one user, or has changed; what is none stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Standing {
    /// Who.
    pub user: UserId,
    /// What they may.
    pub role: Option<Role>,
    /// Whether they may sign in.
    pub active: Option<bool>,
}

impl Standing {
    /// Of a user who is to be remembered: an admin, or one who may not sign in.
    pub fn of(user: &User) -> Option<Standing> {
        let remarkable = user.role == Role::Admin || !user.active;
        remarkable.then_some(Standing { user: user.id, role: Some(user.role), active: Some(user.active) })
    }

    /// Whether something was taken away: whoever is connected by it must go.
    pub fn takes_away(&self) -> bool {
        self.active == Some(false) || self.role == Some(Role::User)
    }
}

/// Of all users. Those of role user who may sign in, nearly all of them, take no place.
#[derive(Default, Debug)]
pub struct Standings {
    admins: HashSet<UserId>,
    barred: HashSet<UserId>,
}

impl Standings {
    /// From now on it is so.
    pub fn set(&mut self, Standing { user, role, active }: Standing) {
        match role {
            Some(Role::Admin) => drop(self.admins.insert(user)),
            Some(Role::User) => drop(self.admins.remove(&user)),
            None => {}
        }
        match active {
            Some(true) => drop(self.barred.remove(&user)),
            Some(false) => drop(self.barred.insert(user)),
            None => {}
        }
    }

    /// What must be set so that all is as in `known`, which has everyone of whom there is something to remember; but nothing of those whom
    /// `is_newer` names.
    pub fn changes(&self, known: &[Standing], is_newer: impl Fn(UserId) -> bool) -> Vec<Standing> {
        let plain = |user| Standing { user, role: Some(Role::User), active: Some(true) };
        let mut wanted: HashMap<UserId, Standing> =
            self.admins.iter().chain(&self.barred).map(|user| (*user, plain(*user))).collect();
        wanted.extend(known.iter().map(|standing| (standing.user, *standing)));
        let is_other = |standing: &Standing| {
            let (admin, barred) = (self.is_admin(standing.user), self.is_barred(standing.user));
            standing.role.is_some_and(|role| (role == Role::Admin) != admin) || standing.active == Some(barred)
        };
        wanted.into_values().filter(|standing| !is_newer(standing.user) && is_other(standing)).collect()
    }

    /// Whether everyone's sessions are theirs.
    pub fn is_admin(&self, user: UserId) -> bool {
        self.admins.contains(&user)
    }

    /// Whether they may do nothing at all.
    pub fn is_barred(&self, user: UserId) -> bool {
        self.barred.contains(&user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_says_all_but_of_those_who_were_heard_of_since() {
        let standing = |n, role, active| Standing { user: UserId::from_u128(n), role: Some(role), active: Some(active) };
        let mut standings = Standings::default();
        [standing(1, Role::Admin, true), standing(2, Role::Admin, true), standing(3, Role::User, false)]
            .into_iter()
            .for_each(|known| standings.set(known));
        let read = [standing(2, Role::Admin, true), standing(4, Role::Admin, true), standing(5, Role::User, false)];
        let mut changes = standings.changes(&read, |user| user == UserId::from_u128(5));
        changes.sort_by_key(|change| change.user);
        assert_eq!(changes, [standing(1, Role::User, true), standing(3, Role::User, true), standing(4, Role::Admin, true)]);
        changes.into_iter().for_each(|change| standings.set(change));
        assert_eq!(standings.changes(&read[..2], |_| false), []);
    }

    #[test]
    fn what_is_said_last_counts_and_what_is_not_said_stays() {
        let mut standings = Standings::default();
        let user = UserId::from_u128(7);
        let mut set = |role, active| {
            let standing = Standing { user, role, active };
            standings.set(standing);
            (standings.is_admin(user), standings.is_barred(user), standing.takes_away())
        };
        assert_eq!(set(Some(Role::Admin), None), (true, false, false));
        assert_eq!(set(None, Some(false)), (true, true, true));
        assert_eq!(set(Some(Role::User), None), (false, true, true));
        assert_eq!(set(None, Some(true)), (false, false, false));
        assert_eq!(set(None, None), (false, false, false));
        assert!(!standings.is_admin(UserId::nil()) && !standings.is_barred(UserId::nil()));
    }
}
