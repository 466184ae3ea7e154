//! What one connection has subscribed to.

use super::letters::About;
use hashbrown::{HashMap, hash_map::Entry};

/// See the file.
#[derive(Default, Debug)]
pub(super) struct Subscriptions {
    each: HashMap<About, Each>,
    is_all: bool,
    is_status: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Each {
    /// It was asked for; else it comes with a task that was made here.
    is_counted: bool,
    /// How it stood was told: what comes then is news.
    is_heard: bool,
    /// Its end was told.
    is_over: bool,
}

/// All of them as another process goes on with them.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub(super) struct Carried {
    each: Vec<(About, Each)>,
    is_all: bool,
    is_status: bool,
}

impl Carried {
    /// As [`Subscriptions::has_tasks`].
    pub(super) fn has_tasks(&self) -> bool {
        self.is_all || !self.each.is_empty()
    }

    /// Whether there is one to how the system is.
    pub(super) fn has_status(&self) -> bool {
        self.is_status
    }
}

impl Subscriptions {
    /// What another process goes on with.
    pub(super) fn carried(&self) -> Carried {
        let each = self.each.iter().map(|(about, each)| (*about, *each)).collect();
        Carried { each, is_all: self.is_all, is_status: self.is_status }
    }

    /// Goes on where another process stopped.
    pub(super) fn again(Carried { each, is_all, is_status }: Carried) -> Subscriptions {
        Subscriptions { each: each.into_iter().collect(), is_all, is_status }
    }

    /// How many were asked for.
    pub(super) fn counted(&self) -> usize {
        self.each.values().filter(|each| each.is_counted).count() + usize::from(self.is_all) + usize::from(self.is_status)
    }

    /// Whether there are any to tasks or executions.
    pub(super) fn has_tasks(&self) -> bool {
        self.is_all || !self.each.is_empty()
    }

    /// Whether news about this are let through.
    pub(super) fn hears(&self, about: About) -> bool {
        match about {
            About::Task(_) => self.is_all || self.hears_one(about),
            About::Execution(_) => self.hears_one(about),
            About::Status => self.is_status,
        }
    }

    fn hears_one(&self, about: About) -> bool {
        self.each.get(&about).is_some_and(|each| each.is_heard)
    }

    /// One that is asked for; it is heard from [`Subscriptions::hear`] on.
    pub(super) fn add(&mut self, about: About) {
        self.each.entry(about).or_insert(Each { is_counted: true, is_heard: false, is_over: false }).is_counted = true;
    }

    /// One that comes with a task that is made.
    pub(super) fn follow(&mut self, about: About) {
        self.each.entry(about).or_insert(Each { is_counted: false, is_heard: false, is_over: false });
    }

    /// From now on it is heard. Whether it is still wanted.
    pub(super) fn hear(&mut self, about: About) -> bool {
        self.each.get_mut(&about).map(|each| each.is_heard = true).is_some()
    }

    /// It is no more.
    pub(super) fn remove(&mut self, about: About) {
        self.each.remove(&about);
    }

    /// It could not be told how it stands. One that was heard before still is.
    pub(super) fn remove_unheard(&mut self, about: About) {
        if let Entry::Occupied(entry) = self.each.entry(about)
            && !entry.get().is_heard
        {
            entry.remove();
        }
    }

    /// Nothing more comes about it: one that nobody asked for is no more.
    pub(super) fn ended(&mut self, about: About) {
        if let Entry::Occupied(mut entry) = self.each.entry(about) {
            entry.get_mut().is_over = true;
            if !entry.get().is_counted {
                entry.remove();
            }
        }
    }

    /// Whether it was told how it stands, and not that it has ended.
    pub(super) fn is_open(&self, about: About) -> bool {
        self.each.get(&about).is_some_and(|each| each.is_heard && !each.is_over)
    }

    /// Those of [`Subscriptions::is_open`].
    pub(super) fn open(&self) -> impl Iterator<Item = About> + '_ {
        self.each.keys().copied().filter(|about| self.is_open(*about))
    }

    /// `tasks`. Whether that changed anything.
    pub(super) fn set_all(&mut self, is_all: bool) -> bool {
        std::mem::replace(&mut self.is_all, is_all) != is_all
    }

    /// `system_status`. Whether that changed anything.
    pub(super) fn set_status(&mut self, is_status: bool) -> bool {
        std::mem::replace(&mut self.is_status, is_status) != is_status
    }

    /// Whether this is one that was asked for.
    pub(super) fn has(&self, about: About) -> bool {
        match about {
            About::Task(_) | About::Execution(_) => self.each.get(&about).is_some_and(|each| each.is_counted),
            About::Status => self.is_status,
        }
    }

    /// Whether `tasks` is one.
    pub(super) fn is_all(&self) -> bool {
        self.is_all
    }
}
