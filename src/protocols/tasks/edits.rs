//! Changes of a task by hand: what may be changed, and to what.

use super::{
    asks::{Edit, Refused},
    model::{Status, Task},
};
use crate::realtime::UnixMicros;

impl Status {
    /// Where it stands on the way; both ends are one.
    fn rank(self) -> u8 {
        match self {
            Status::Pending => 0,
            Status::InProgress => 1,
            Status::Verifying => 2,
            Status::Completed | Status::Failed => 3,
        }
    }
}

impl Task {
    /// The task with the change. What an agent works at has only what is for people and its priority changed by hand; what is over, only
    /// its title.
    ///
    /// # Errors
    ///
    /// What does not go; nothing is changed.
    pub(super) fn edited(&self, edit: &Edit, now: UnixMicros) -> Result<Task, Refused> {
        let is_of_work = edit.status.is_some() || edit.progress.is_some() || edit.result.is_some() || edit.error.is_some();
        let is_over = self.status.is_over();
        if is_over && (is_of_work || edit.priority.is_some() || edit.kind.is_some()) {
            return Err(Refused::Over);
        }
        if is_of_work && self.agent.is_some() {
            return Err(Refused::AtWork);
        }
        let status = edit.status.unwrap_or(self.status);
        let progress = edit.progress.unwrap_or(self.progress);
        if status.rank() < self.status.rank() || !(self.progress..=1.0).contains(&progress) {
            return Err(Refused::NoSuchMove);
        }
        let mut task = Task {
            status,
            progress,
            title: edit.title.clone().unwrap_or_else(|| self.title.clone()),
            priority: edit.priority.unwrap_or(self.priority),
            kind: edit.kind.unwrap_or(self.kind),
            result: edit.result.clone().or_else(|| self.result.clone()),
            error: edit.error.clone().or_else(|| self.error.clone()),
            updated_at: now,
            ..self.clone()
        };
        if status == Status::Completed && !is_over {
            task.progress = 1.0;
            task.completed_at = Some(now);
            task.result.get_or_insert_with(|| "{}".into());
        }
        if status == Status::Failed {
            task.error.get_or_insert_with(|| "The task failed".into());
        }
        Ok(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::tasks::tests::task;
    use Status::{Completed, Failed, InProgress, Pending, Verifying};

    const NOW: UnixMicros = UnixMicros(9_000_000);

    fn by_hand(status: Status) -> Task {
        Task { agent: None, status, ..task(1) }
    }

    fn to(status: Status) -> Edit {
        Edit { status: Some(status), ..Edit::default() }
    }

    #[test]
    fn a_task_goes_forwards() {
        for (from, good) in
            [(Pending, &[Pending, InProgress, Verifying, Completed, Failed][..]), (Verifying, &[Verifying, Completed, Failed])]
        {
            for next in [Pending, InProgress, Verifying, Completed, Failed] {
                let edited = by_hand(from).edited(&to(next), NOW);
                assert_eq!(edited.map(|task| task.status).ok(), good.contains(&next).then_some(next));
            }
        }
        assert_eq!(by_hand(Failed).edited(&to(Completed), NOW), Err(Refused::Over));
        let done = by_hand(Pending).edited(&to(Completed), NOW).unwrap();
        assert_eq!((done.progress, done.completed_at, done.result.as_deref()), (1.0, Some(NOW), Some("{}")));
        assert_eq!(by_hand(Pending).edited(&to(Failed), NOW).unwrap().error.as_deref(), Some("The task failed"));
    }

    #[test]
    fn progress_does_not_fall() {
        let half = Task { progress: 0.5, ..by_hand(InProgress) };
        let at =
            |progress: f64| half.edited(&Edit { progress: Some(progress), ..Edit::default() }, NOW).map(|task| task.progress);
        assert_eq!(at(0.5), Ok(0.5));
        assert_eq!(at(1.0), Ok(1.0));
        for bad in [0.4, 1.1, -1.0, f64::NAN] {
            assert_eq!(at(bad), Err(Refused::NoSuchMove));
        }
    }

    #[test]
    fn what_an_agent_works_at_is_its_own() {
        let title = Edit { title: Some("b".into()), ..Edit::default() };
        assert_eq!(task(1).edited(&to(InProgress), NOW), Err(Refused::AtWork));
        assert_eq!(&*task(1).edited(&title, NOW).unwrap().title, "b");
        assert_eq!(&*by_hand(Completed).edited(&title, NOW).unwrap().title, "b");
    }
}
