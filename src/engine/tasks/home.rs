//! The tasks, executions and users that have their home on this shard, and what they want done.

use super::super::{Engine, Letter, Question, models::Client};
use crate::{
    protocols::tasks::{Channel, Event, Homes, News, Outcome, model::UserName, status},
    realtime::{Now, ShardId, outbox::Segment},
};
use std::mem;

impl Engine {
    /// Lets the homes of tasks act, and does what they want done.
    pub(in crate::engine) fn with_tasks(&mut self, now: Now, act: impl FnOnce(&mut Homes, &mut Vec<Outcome>)) {
        let mut outcomes = mem::take(&mut self.tasks.outcomes);
        act(&mut self.tasks.homes, &mut outcomes);
        for outcome in outcomes.drain(..) {
            self.tasks_want(outcome, now);
        }
        self.tasks.outcomes = outcomes;
    }

    fn tasks_want(&mut self, outcome: Outcome, now: Now) {
        match outcome {
            Outcome::Tell(conn, letter) => self.post(conn.shard, Letter::TasksConnection(conn, letter)),
            // To those who hear it as to the one who is told something: by letters, which keep their order.
            Outcome::News { owner, news } => {
                let far = self.tasks.interests.of(&owner);
                for shard in self.shards().chain(far) {
                    self.post(shard, Letter::TasksNews { owner: owner.clone(), news: news.clone() });
                }
            }
            Outcome::Status(news) => self.spread(&[Channel::Status], &news, now),
            Outcome::Counts(counts) => self.post(self.ring.home(status::HOME), Letter::TasksCounts { from: self.id, counts }),
            Outcome::Count => self.questions.push(Question::CountTasks),
            Outcome::Totals(counts) => self.ring.shards().for_each(|shard| self.post(shard, Letter::TasksTotals(counts))),
            Outcome::Survey(survey) if self.is_whole() => {
                self.questions.push(Question::LoadTasks { survey, ring: self.ring.clone() });
            }
            Outcome::Survey(_) => {}
            Outcome::LetGo(home) => self.let_go(home),
            Outcome::Keep { ticket, record } => self.questions.push(Question::KeepTasks { ticket, record }),
            Outcome::LoadTask(task) => self.questions.push(Question::LoadTask(task)),
            Outcome::LoadExecution(execution) => self.questions.push(Question::LoadExecution(execution)),
            Outcome::Reply { asker, number, reply } => self.post(asker, Letter::TasksReply { number, reply }),
            Outcome::Model { piece, prompt } => self.ask_model(Client::Tasks(piece), prompt, now),
            Outcome::StopModel(piece) => self.stop_model(Client::Tasks(piece)),
            Outcome::Tool { piece, call, tool, arguments } => self.call_tool(Client::Tasks(piece), call, &tool, arguments),
            Outcome::StopTool { piece, call } => self.stop_tool(Client::Tasks(piece), call),
        }
    }

    /// Those of this node.
    fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        self.ring.view().member(self.id.node()).copied().into_iter().flat_map(|member| member.shards())
    }

    /// Something happened to what is this user's.
    pub(in crate::engine) fn tasks_news(&mut self, owner: UserName, news: &News, now: Now) {
        self.spread(&[Channel::Of(owner), Channel::All], news, now);
    }

    /// Tells all who listen here to one of these channels; nobody listens to two of them.
    fn spread(&mut self, channels: &[Channel], news: &News, now: Now) {
        let slots: Vec<u32> = channels.iter().flat_map(|channel| self.tasks.listeners.of(channel)).collect();
        if slots.is_empty() {
            return;
        }
        self.tasks.spreading = Segment::whole(news.frame.to_vec());
        for slot in slots {
            if let Some((key, _)) = self.connections.in_slot_mut(slot) {
                self.tasks_event(key, Event::News(news), now);
            }
        }
        self.tasks.spreading = None;
    }
}
