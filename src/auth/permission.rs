//! Who may do what in a classroom: one rule for each audience. Contract: the presence page, "Permission".

use super::authority::{Account, first_part};
use crate::realtime::ClassroomId;
use hashbrown::HashMap;

/// What an account wants to do to a classroom.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Be in it: the socket.
    Connect,
    /// See who is in it: the list and the counters.
    Read,
}

impl Action {
    /// Both.
    pub const ALL: [Action; 2] = [Action::Connect, Action::Read];

    /// The name that permission services and settings know it by.
    pub fn name(self) -> &'static str {
        match self {
            Action::Connect => "connect",
            Action::Read => "read",
        }
    }

    /// The action of that name.
    pub fn named(name: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.name() == name)
    }

    fn bit(self) -> u8 {
        match self {
            Action::Connect => 1,
            Action::Read => 2,
        }
    }
}

/// A set of actions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Actions(u8);

impl Actions {
    /// Whatever there is to do.
    pub const ALL: Actions = Actions(u8::MAX);

    /// Whether `action` is one of them.
    pub fn has(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Actions {
        Actions(actions.into_iter().fold(0, |bits, action| bits | action.bit()))
    }
}

/// Which configured permission service: an index into the configuration's list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServiceId(pub u16);

/// Who is on a list, and for which actions. Who is named both ways has what either grants.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Grants {
    /// By `sub` alone: in whichever of the rule's audiences.
    pub subjects: HashMap<String, Actions>,
    /// By account id, `sub.aud` with the whole audience.
    pub accounts: HashMap<String, Actions>,
}

impl Grants {
    fn allow(&self, account: &Account, action: Action) -> bool {
        let has = |actions: &Actions| actions.has(action);
        self.subjects.get(&account.subject).is_some_and(has)
            || (!self.accounts.is_empty() && self.accounts.get(&account.id()).is_some_and(has))
    }
}

/// The rule of one audience.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rule {
    /// No check: everyone with a good token may do everything.
    None,
    /// Those on the list may, and nobody else.
    List(Grants),
    /// The service is asked each time.
    Http {
        /// Which.
        service: ServiceId,
    },
}

/// What a permission service is to be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PermissionQuestion {
    /// Whom to ask.
    pub service: ServiceId,
    /// Who wants to do it.
    pub account: Account,
    /// Where.
    pub classroom: ClassroomId,
    /// What.
    pub action: Action,
}

/// Whether an account may.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// It may.
    Allowed,
    /// It may not: `access_denied`.
    Denied,
    /// The service knows. No answer means that it may not.
    Ask(PermissionQuestion),
}

/// The rules of all audiences. An audience without a rule: nobody may.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Permissions {
    rules: HashMap<String, Rule>,
}

impl Permissions {
    /// Takes the rules by audience: the whole text (`a:b`) or its first part (`a`). Of two for one audience the later holds.
    pub fn new(rules: impl IntoIterator<Item = (String, Rule)>) -> Permissions {
        Permissions { rules: rules.into_iter().collect() }
    }

    /// Decides by the rule of the account's whole audience; where there is none, by that of its first part.
    pub fn decide(&self, account: &Account, classroom: ClassroomId, action: Action) -> Decision {
        let whole = self.rules.get(&account.audience);
        match whole.or_else(|| self.rules.get(first_part(&account.audience))) {
            None => Decision::Denied,
            Some(Rule::None) => Decision::Allowed,
            Some(Rule::List(grants)) if grants.allow(account, action) => Decision::Allowed,
            Some(Rule::List(_)) => Decision::Denied,
            Some(&Rule::Http { service }) => {
                Decision::Ask(PermissionQuestion { service, account: account.clone(), classroom, action })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const ROOM: ClassroomId = Uuid::from_u128(7);

    fn account(subject: &str, audience: &str) -> Account {
        Account { subject: subject.into(), audience: audience.into() }
    }

    fn decide(rules: &[(&str, Rule)], who: &Account, action: Action) -> Decision {
        Permissions::new(rules.iter().map(|(audience, rule)| (audience.to_string(), rule.clone()))).decide(who, ROOM, action)
    }

    #[test]
    fn an_audience_without_a_rule_is_denied() {
        assert_eq!(decide(&[], &account("u", "a"), Action::Connect), Decision::Denied);
        assert_eq!(decide(&[("b", Rule::None)], &account("u", "a"), Action::Read), Decision::Denied);
        assert_eq!(decide(&[("a:b", Rule::None)], &account("u", "a"), Action::Read), Decision::Denied);
        assert_eq!(decide(&[("a:b", Rule::None)], &account("u", "a:c"), Action::Read), Decision::Denied);
    }

    #[test]
    fn no_check_lets_everyone_in() {
        for action in Action::ALL {
            assert_eq!(decide(&[("a", Rule::None)], &account("u", "a"), action), Decision::Allowed);
            assert_eq!(decide(&[("a", Rule::None)], &account("u", "a:b:c"), action), Decision::Allowed);
        }
    }

    #[test]
    fn the_whole_audience_wins_over_its_first_part() {
        let closed = Rule::List(Grants::default());
        let rules = [("a", Rule::None), ("a:b", closed.clone())];
        assert_eq!(decide(&rules, &account("u", "a:b"), Action::Connect), Decision::Denied);
        assert_eq!(decide(&rules, &account("u", "a:c"), Action::Connect), Decision::Allowed);
        let rules = [("a", closed), ("a:b", Rule::None)];
        assert_eq!(decide(&rules, &account("u", "a:b"), Action::Connect), Decision::Allowed);
        assert_eq!(decide(&rules, &account("u", "a"), Action::Connect), Decision::Denied);
    }

    #[test]
    fn a_list_grants_by_subject_and_by_account_and_by_action() {
        let read: Actions = [Action::Read].into_iter().collect();
        let connect: Actions = [Action::Connect].into_iter().collect();
        let grants = Grants {
            subjects: [("teacher".to_owned(), Actions::ALL), ("parent".to_owned(), read)].into_iter().collect(),
            accounts: [("parent.a:mon".to_owned(), connect)].into_iter().collect(),
        };
        let rules = [("a", Rule::List(grants))];
        let rows = [
            ("teacher", "a", true, true),
            ("teacher", "a:mon", true, true),
            ("parent", "a", false, true),
            ("parent", "a:mon", true, true),
            ("parent", "a:tue", false, true),
            ("stranger", "a", false, false),
            ("parent.a:mon", "a", false, false),
        ];
        for (subject, audience, may_connect, may_read) in rows {
            let allowed = |action| decide(&rules, &account(subject, audience), action) == Decision::Allowed;
            assert_eq!((allowed(Action::Connect), allowed(Action::Read)), (may_connect, may_read), "{subject} {audience}");
        }
    }

    #[test]
    fn a_service_is_asked_about_the_whole_audience() {
        let service = ServiceId(3);
        let who = account("u", "a:b");
        let question = PermissionQuestion { service, account: who.clone(), classroom: ROOM, action: Action::Read };
        assert_eq!(decide(&[("a", Rule::Http { service })], &who, Action::Read), Decision::Ask(question));
    }

    #[test]
    fn actions_read_back_by_name() {
        for action in Action::ALL {
            assert_eq!(Action::named(action.name()), Some(action));
        }
        assert_eq!(Action::named("Connect"), None);
        assert!(!Actions::default().has(Action::Connect));
    }
}
