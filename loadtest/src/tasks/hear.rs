//! What sockets hear, put into the ledgers, and what a socket does of its own because of it.

use super::{
    Office,
    contract::{self, AboutTask, CANCELLED, Data, Kind, Message, Status},
    ledger::{End, Heard, Ledger, Said},
    socket::Phase,
};
use crate::{
    fault::Fault,
    tally::{Measure, When},
};
use std::hash::{DefaultHasher, Hash, Hasher};

impl Office {
    /// A text has come.
    pub(super) fn hear_text(&mut self, place: u32, text: &[u8], now_ns: u64) -> Result<(), Fault> {
        let message: Message<'_> = serde_json::from_slice(text).map_err(|_| Fault::Broken("a message that is not understood"))?;
        let Message { r#type, data } = message;
        if self.sockets[place as usize].phase == Phase::Arriving {
            return self.hear_first(place, r#type, &data);
        }
        match r#type {
            Kind::ConnectionEstablished => return Err(Fault::Broken("a second welcome")),
            Kind::ConnectionClosed => return Err(Fault::Contract(data.reason.unwrap_or_default().into_owned())),
            Kind::TaskUpdate | Kind::TaskCompletion | Kind::TaskError => self.hear_task(place, r#type, &data, now_ns)?,
            Kind::WorkflowExecutionUpdate => self.hear_step(place, &data, now_ns),
            Kind::Ping => {
                self.tally.tasks.pings += 1;
                self.say(place, &contract::pong(data.timestamp))?;
            }
            Kind::Error => self.hear_error(&data),
            Kind::Pong | Kind::Other => self.tally.tasks.untrue += 1,
        }
        Ok(())
    }

    /// The welcome is the first message; else there is a reason why not.
    fn hear_first(&mut self, place: u32, kind: Kind, data: &Data<'_>) -> Result<(), Fault> {
        let why = data.code.as_deref().or(data.reason.as_deref());
        match (kind, why) {
            (Kind::ConnectionEstablished, _) => self.welcomed(place),
            (Kind::Error | Kind::ConnectionClosed, Some(why)) => Err(Fault::Contract(why.to_owned())),
            (_, _) => Err(Fault::Broken("something before the welcome")),
        }
    }

    fn hear_task(&mut self, place: u32, kind: Kind, data: &Data<'_>, now_ns: u64) -> Result<(), Fault> {
        let (Some(task), Some(said)) = (data.task_id, said(kind, data)) else {
            self.tally.tasks.untrue += 1;
            return Ok(());
        };
        let each = self.each();
        let (user, own_place) = (self.user_at(place), place % each);
        let admins = each as usize * self.order.admins.len();
        let number = *self.by_task.entry(task).or_insert_with(|| {
            self.ledgers.push(Ledger::new(task, each as usize, admins));
            self.ledgers.len() as u32 - 1
        });
        let ledger = &mut self.ledgers[number as usize];
        if let (Some(user), None) = (user, ledger.owner) {
            ledger.owner = Some(user);
            let clerk = &mut self.clerks[user as usize];
            ledger.number = clerk.told;
            clerk.told += 1;
            clerk.known = Some(task);
        }
        let in_ledger = match user {
            Some(user) if ledger.owner != Some(user) => {
                self.tally.tasks.misdirected += 1;
                return Ok(());
            }
            Some(_) => own_place,
            None => each + place - self.order.users.len() as u32 * each,
        };
        let heard = ledger.hear(in_ledger as usize, said, now_ns);
        if let (Heard::Next { behind_ns: None, .. }, true, Some(_)) = (heard, said.status.is_over(), user) {
            ledger.end = Some(end(data, said.status));
            self.schedule.ended += 1;
            self.tally.working.hold(now_ns);
        }
        self.count(heard, said.status, user.is_some());
        match (heard, user) {
            (Heard::Next { .. }, Some(user)) => self.follow(user, own_place, number, said.status, now_ns),
            _ => Ok(()),
        }
    }

    fn count(&mut self, heard: Heard, status: Status, is_own: bool) {
        let tasks = &mut self.tally.tasks;
        let wrong = match heard {
            Heard::Next { behind_ns, admins, unheard } => {
                tasks.unheard += unheard;
                *if is_own { &mut tasks.users_heard } else { &mut tasks.admins_heard } += 1;
                *match status {
                    Status::Pending => &mut tasks.pendings_heard,
                    Status::InProgress | Status::Verifying => &mut tasks.updates_heard,
                    Status::Completed | Status::Failed => &mut tasks.ends_heard,
                } += 1;
                let measure = if is_own { Measure::FanOut } else { Measure::AtAdmins };
                if let Some(behind_ns) = behind_ns {
                    self.tally.record(measure, behind_ns);
                }
                (0..admins).for_each(|_| self.tally.record(Measure::AtAdmins, 0));
                return;
            }
            Heard::State => &mut tasks.states_heard,
            Heard::Again => &mut tasks.doubled,
            Heard::Backwards => &mut tasks.disordered,
            Heard::EndedAgain => &mut tasks.ended_again,
            Heard::Late => &mut tasks.late,
            Heard::Contradiction => &mut tasks.untrue,
        };
        *wrong += 1;
    }

    /// Does what the plan has for a task that a user's socket hears of: watches it, cancels it, or hears that it is cancelled.
    fn follow(&mut self, user: u32, socket: u32, number: u32, status: Status, now_ns: u64) -> Result<(), Fault> {
        let (place, ledger) = (self.socket_of(user, socket), &self.ledgers[number as usize]);
        let (task, fate) = (ledger.id, self.order.plan.fate(self.order.user(user), ledger.number));
        if status == Status::Pending && fate.watcher == Some(socket) {
            self.ledgers[number as usize].asks(socket as usize);
            self.tally.tasks.states_owed += 1;
            self.say(place, &contract::subscribe_task(task))?;
        }
        if status == Status::Pending && fate.canceller == Some(socket) {
            self.plan_cancel(place, task, now_ns);
        }
        if status == Status::Failed && fate.canceller == Some(socket) {
            let is_cancelled =
                self.ledgers[number as usize].end.as_ref().is_some_and(|end| end.error.as_deref() == Some(CANCELLED));
            if let Some((due_ns, true)) = self.cancels.get(&task).copied().filter(|_| is_cancelled) {
                self.cancels.remove(&task);
                self.tally.tasks.cancels_done += 1;
                self.tally.record(Measure::Cancel, now_ns.saturating_sub(due_ns));
            }
        }
        Ok(())
    }

    /// Something that was said cannot be done. A cancellation may come too late; all else may not be.
    fn hear_error(&mut self, data: &Data<'_>) {
        let about = data.request_data.and_then(|data| serde_json::from_str::<AboutTask>(data.get()).ok());
        match (data.request_type.as_deref(), about) {
            (Some("cancel_task"), Some(AboutTask { task_id })) if self.is_over(task_id) => {
                self.cancels.remove(&task_id);
                self.tally.tasks.cancels_late += 1;
                return;
            }
            (Some("execute_agent"), _) => self.refused(),
            _ => {}
        }
        let code = data.code.as_deref().unwrap_or("error").to_owned();
        self.blame(When::Asking, &Fault::Contract(code));
    }

    fn is_over(&self, task: uuid::Uuid) -> bool {
        self.by_task.get(&task).is_some_and(|number| self.ledgers[*number as usize].end.is_some())
    }

    /// What was asked for is not done.
    pub(super) fn refused(&mut self) {
        self.tally.tasks.refused += 1;
        self.schedule.ended += 1;
    }
}

/// A message about a task; none: it is not what its type must be.
fn said(kind: Kind, data: &Data<'_>) -> Option<Said> {
    let status = data.status?;
    let fits = match kind {
        Kind::TaskCompletion => status == Status::Completed && data.result.is_some() && data.cost.is_some(),
        Kind::TaskError => status == Status::Failed && data.error.is_some(),
        Kind::TaskUpdate => !status.is_over(),
        Kind::WorkflowExecutionUpdate | Kind::ConnectionEstablished | Kind::ConnectionClosed | Kind::Ping => false,
        Kind::Pong | Kind::Error | Kind::Other => false,
    };
    let progress = if status == Status::Failed { 0.0 } else { data.progress? };
    let is_share = (0.0..=1.0).contains(&progress) && (status != Status::Completed || progress == 1.0);
    let mark = if status.is_over() { mark(data) } else { 0 };
    (fits && is_share).then_some(Said { status, progress, mark })
}

fn mark(data: &Data<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (data.result.map(|result| result.get()), &data.error, data.cost.map(f64::to_bits)).hash(&mut hasher);
    hasher.finish()
}

fn end(data: &Data<'_>, status: Status) -> End {
    End {
        status,
        result: data.result.map(|result| result.get().into()),
        error: data.error.as_deref().map(Into::into),
        cost: data.cost.unwrap_or(0.0),
    }
}
