//! Users who may more or less than before: every shard has to know it when whoever changed it is told.

use super::{asks::caller, checks::OWNERS, world::Labs};
use homeroom::{
    protocols::labs::{asks::Ask, model::Role, record::Record},
    realtime::Moment,
};
use uuid::Uuid;

/// What is known of one user's role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    /// Whether an admin, since then; none: it was asked to be another, and is not confirmed.
    pub(crate) admin: Option<(bool, Moment)>,
    /// It was made a user: when that was asked, and when it was done.
    pub(crate) lowered: Option<(Moment, Moment)>,
}

impl Standing {
    /// As the users begin.
    pub(crate) fn first() -> [Standing; OWNERS.len()] {
        std::array::from_fn(|user| Standing { admin: Some((caller(user).admin, Moment(0))), lowered: None })
    }
}

impl Labs {
    /// An admin decides what somebody may.
    pub(crate) fn change_role(&mut self) {
        let user = self.dice.between(1, 2);
        let role = if self.dice.percent(50) { Role::Admin } else { Role::User };
        self.standings[user].admin = None;
        let (id, role) = (caller(user).id, Some(role));
        let edit = Record::EditedUser { user: id, email: None, role, active: None, password_hash: None, last_login: None };
        self.ask(Ask::Keep(edit));
    }

    /// A change of a user, asked for then, is done.
    pub(crate) fn role_changed(&mut self, id: Uuid, role: Option<Role>, asked_at: Moment) {
        let user = (0..OWNERS.len()).find(|user| caller(*user).id == id);
        if let (Some(user), Some(Role::User)) = (user, role) {
            self.standings[user].lowered = Some((asked_at, self.now.moment));
            self.count("users who may less");
        }
    }

    /// When all is quiet every shard has it as the store does.
    pub(crate) fn confirm_roles(&mut self) {
        for user in 0..OWNERS.len() {
            let is_admin = self.outside.user(caller(user).id).role == Role::Admin;
            let standing = &mut self.standings[user];
            if standing.admin.is_none_or(|(admin, _)| admin != is_admin) {
                standing.admin = Some((is_admin, self.now.moment));
            }
        }
    }

    /// Whether somebody who came then may see what is another's; none: that is not certain.
    pub(crate) fn sees_all(&self, user: usize, came_at: Moment) -> Option<bool> {
        self.standings[user].admin.filter(|(_, since)| *since <= came_at).map(|(admin, _)| admin)
    }
}
