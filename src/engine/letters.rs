//! What leaves a shard and what comes back: letters to other shards, questions to the store and the bridge, their answers.

use super::{limits::Terms, models::RunId, survey::Errand, topic::Topic};
use crate::{
    auth::PermissionQuestion,
    models::{Prompt, ToolOutcome, Word},
    protocols::{
        chat::{self, FromSession, Mark, Payer, Row, SessionId, ToSession, Told},
        labs::{self, FromRegistry, ProxyId, Revocation, ToRegistry, TunnelWord},
        presence::{
            self, FromHome, ToHome,
            record::{Entering, Leaving},
        },
        quiz::{
            self, FromQuiz, QuizId, ToQuiz,
            record::{Kept, KeyChange, Loaded, Record},
        },
        tasks::{
            self, ExecutionId, Health, Hold, Interest, News, TaskId, ToExecution, ToTask, ToUser, model::UserName, status::Counts,
        },
    },
    realtime::{ClassroomId, ConnId, Counted, Frame, HashRing, Moment, ShardId, StoreFault, UnixMicros},
};
use std::sync::Arc;

/// From one shard to another. Between two shards letters keep their order and come exactly once.
#[derive(Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Letter {
    /// To the home of a classroom.
    Home(ToHome),
    /// From a home to a connection.
    Connection(ConnId, FromHome),
    /// To the home of a quiz.
    QuizHome(ToQuiz),
    /// From the home of a quiz to a connection.
    QuizConnection(ConnId, FromQuiz),
    /// To all who listen to the topic on the shard that gets this.
    Publish {
        /// Which.
        topic: Topic,
        /// What was published.
        frame: Frame,
        /// How many listeners the home knows on that shard. One of whose end it has not heard is among them, and counted as dropped.
        members: u32,
        /// When the home took what is published here.
        #[rkyv(with = rkyv::with::Skip)]
        since: Since,
    },
    /// To one connection.
    Deliver(ConnId, Frame),
    /// To one connection, if it listens to the topic.
    Show {
        /// To whom.
        conn: ConnId,
        /// What it must listen to.
        topic: Topic,
        /// What.
        frame: Frame,
    },
    /// To a REST ask that waits on the shard that gets this.
    Reply {
        /// The ask's number.
        number: u64,
        /// The answer.
        reply: Box<presence::asks::Reply>,
    },
    /// To a REST ask of a quiz that waits on the shard that gets this.
    QuizReply {
        /// The ask's number.
        number: u64,
        /// The answer.
        reply: Box<quiz::asks::Reply>,
    },
    /// An API key is good from now on, or no more. Answered with [`Letter::KeyHeard`].
    Key {
        /// Who tells it.
        from: ShardId,
        /// To be given back.
        telling: u64,
        /// What has changed.
        change: Arc<KeyChange>,
    },
    /// To [`Letter::Key`]: from now on this shard acts by it.
    KeyHeard {
        /// Of the letter.
        telling: u64,
    },
    /// To the registry of labs; an ask also to the home of a limit, or to the shard that has a record written.
    Registry(ToRegistry),
    /// From the registry to a connection.
    LabsConnection(ConnId, FromRegistry),
    /// From one connection of labs to another.
    Tunnel {
        /// To whom.
        to: ConnId,
        /// Who says it.
        from: ConnId,
        /// Through which tunnel.
        proxy: ProxyId,
        /// What.
        word: TunnelWord,
    },
    /// To a REST ask of labs that waits on the shard that gets this.
    LabsReply {
        /// The ask's number.
        number: u64,
        /// The answer.
        reply: Box<labs::asks::Reply>,
    },
    /// A user's right is another. Answered with [`Letter::RevokedHeard`].
    Revoked {
        /// Who tells it.
        from: ShardId,
        /// To be given back.
        telling: u64,
        /// What has changed.
        what: Revocation,
    },
    /// To [`Letter::Revoked`]: from now on this shard acts by it.
    RevokedHeard {
        /// Of the letter.
        telling: u64,
    },
    /// To the home of a session.
    ChatHome(ToSession),
    /// From the home of a session to a connection.
    ChatConnection(ConnId, FromSession),
    /// To a REST ask of a session that waits on the shard that gets this.
    ChatReply {
        /// The ask's number.
        number: u64,
        /// The answer.
        reply: Box<chat::Reply>,
    },
    /// To a REST ask that follows an answer on the shard that gets this.
    ChatTold {
        /// The ask's number.
        number: u64,
        /// A piece of the answer.
        told: Box<Told>,
    },
    /// To all who listen to a session on the shard that gets this: what the frame is that the home publishes next.
    ChatMark {
        /// Which session.
        session: SessionId,
        /// What it is.
        mark: Mark,
    },
    /// To a REST ask of a session, or one that follows an answer: the session is not here, and is to be asked there.
    ChatElsewhere {
        /// The ask's number.
        number: u64,
        /// Whether it follows an answer.
        follows: bool,
        /// Where the session is.
        at: ShardId,
    },
    /// To the home of whoever a request is counted for. Answered with [`Letter::ChatCounted`].
    ChatCount {
        /// Who waits for it.
        payee: Payee,
        /// For whom.
        payer: Payer,
        /// What.
        row: Row,
    },
    /// To [`Letter::ChatCount`].
    ChatCounted {
        /// Who waits for it.
        payee: Payee,
        /// How it was counted.
        counted: Counted,
    },
    /// To the home of a user of tasks.
    TasksUser(ToUser),
    /// To the home of a task.
    TaskHome(ToTask),
    /// To the home of an execution.
    ExecutionHome(ToExecution),
    /// From a shard that has a task or an execution in memory to its home by the ring.
    TasksHold(Hold),
    /// From a shard to those of other nodes: whose news are listened to there.
    TasksInterest(Interest),
    /// From one of these homes to a connection.
    TasksConnection(ConnId, tasks::FromHome),
    /// To all who listen to the tasks of this owner, or to everyone's, on the shard that gets this.
    TasksNews {
        /// Whose.
        owner: UserName,
        /// What.
        news: News,
    },
    /// To the shard that sums: how many tasks are at home elsewhere; where there are other nodes, that this has changed.
    TasksCounts {
        /// Where.
        from: ShardId,
        /// How many.
        counts: Counts,
    },
    /// From the shard that sums: how many there are.
    TasksTotals(Counts),
    /// To a REST ask of tasks that waits on the shard that gets this.
    TasksReply {
        /// The ask's number.
        number: u64,
        /// The answer.
        reply: Box<tasks::Reply>,
    },
    /// From here on the sender acts by another view. To every shard of that view.
    ViewBegins {
        /// The view's number.
        view: u64,
        /// The sender's node's epoch.
        epoch: u64,
        /// The epoch of the node that this is for: its last life may be meant, by whoever has not heard of its end.
        to: u64,
        /// The view is no other one: the sender has heard that what was on its way to and from the node of whoever gets this is lost.
        anew: bool,
    },
    /// All that the sender had on its way by earlier views has been said. To every shard of that view.
    ViewReached {
        /// The view's number.
        view: u64,
    },
    /// [`Letter::Publish`], but for one connection of the shard that gets this: it has said it itself.
    PublishBut {
        /// Who does not hear it.
        conn: ConnId,
        /// Which.
        topic: Topic,
        /// What was published.
        frame: Frame,
        /// How many other listeners the home knows on that shard.
        members: u32,
        /// When the home took what is published here.
        #[rkyv(with = rkyv::with::Skip)]
        since: Since,
    },
}

/// When something began on this node. Another node's clock began elsewhere: there it is not told.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Since(Option<Moment>);

impl Since {
    /// Then.
    pub fn of(moment: Moment) -> Since {
        Since(Some(moment))
    }

    /// Then; where that is not known, `now`.
    pub fn at(self, now: Moment) -> Moment {
        self.0.unwrap_or(now)
    }
}

/// Who waits for a request to be counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Payee {
    /// A REST ask of this shard, under this number.
    Rest(ShardId, u64),
    /// A connection.
    Socket(ConnId),
}

/// From a shard to the store or the bridge. What is answered is answered with [`Answer`].
#[derive(Debug)]
pub enum Question {
    /// Write a row; answered with [`Answer::Entered`].
    Enter {
        /// To be given back.
        ticket: u64,
        /// The row.
        entering: Entering,
    },
    /// Move a row to the history; not answered.
    Leave(Leaving),
    /// Write a change of the quizzes' records; answered with [`Answer::Kept`].
    Keep {
        /// To be given back.
        ticket: u64,
        /// The change.
        record: Record,
    },
    /// Write a change of the records of labs; answered with [`Answer::LabsKept`].
    KeepLabs {
        /// To be given back.
        ticket: u64,
        /// The change.
        record: labs::record::Record,
    },
    /// Read what the registry of labs must know; answered with [`Answer::LabsLoaded`].
    LoadLabs,
    /// Read what users may, and which tokens are good no more; answered with [`Answer::RightsLoaded`].
    LoadRights {
        /// Of those that expire later.
        now: UnixMicros,
    },
    /// Read a quiz; answered with [`Answer::Loaded`].
    Load(QuizId),
    /// Read which API keys are good, and since when accounts have their passwords; answered with [`Answer::KeysLoaded`].
    LoadKeys,
    /// Read which quizzes have running attempts; answered with [`Answer::Running`].
    Running {
        /// To be given back.
        look: u64,
    },
    /// Ask a permission service; answered with [`Answer::Permission`].
    Permission {
        /// Who waits.
        conn: ConnId,
        /// What is asked.
        question: PermissionQuestion,
    },
    /// Write a change of a session; answered with [`Answer::ChatKept`].
    KeepChat {
        /// To be given back.
        ticket: u64,
        /// The change.
        change: Box<chat::record::Change>,
    },
    /// Read a session; answered with [`Answer::SessionLoaded`].
    LoadSession(chat::record::Load),
    /// Write a change of a task or an execution; answered with [`Answer::TasksKept`].
    KeepTasks {
        /// To be given back.
        ticket: u64,
        /// The change.
        record: tasks::record::Record,
    },
    /// Read a task; answered with [`Answer::TaskLoaded`].
    LoadTask(TaskId),
    /// Read an execution; answered with [`Answer::ExecutionLoaded`].
    LoadExecution(ExecutionId),
    /// Read what nodes that are no more have left unfinished and is at home on this shard; answered with [`Answer::TasksLeft`].
    LoadTasks {
        /// To be given back.
        survey: u64,
        /// Where things are at home.
        ring: Arc<HashRing>,
    },
    /// Read how many tasks there are; answered with [`Answer::TasksCounted`].
    CountTasks,
    /// Ask a model behind HTTP; answered with [`Answer::Model`] until it is over.
    Model {
        /// To be given back.
        run: RunId,
        /// What is asked.
        prompt: Box<Prompt>,
    },
    /// Call a tool behind HTTP; answered with [`Answer::Tool`].
    Tool {
        /// To be given back.
        run: RunId,
        /// Its name.
        tool: Arc<str>,
        /// A JSON object.
        arguments: Arc<str>,
    },
    /// Nobody waits for an answer to this any more: end the request. What is on its way already may still be answered.
    StopRun {
        /// Of [`Question::Model`] or [`Question::Tool`].
        run: RunId,
    },
}

/// From the store or the bridge to the shard that asked; and what the house tells each shard by itself.
#[derive(Debug)]
pub enum Answer {
    /// To [`Question::Enter`].
    Entered {
        /// Of the question.
        ticket: u64,
        /// The session's number, once its row is on disk.
        result: Result<i64, StoreFault>,
    },
    /// To [`Question::Keep`].
    Kept {
        /// Of the question.
        ticket: u64,
        /// What became of it, once it is on disk.
        result: Result<Kept, StoreFault>,
    },
    /// To [`Question::KeepLabs`].
    LabsKept {
        /// Of the question.
        ticket: u64,
        /// What became of it, once it is on disk.
        result: Result<labs::record::Kept, StoreFault>,
    },
    /// To [`Question::LoadLabs`].
    LabsLoaded(Result<Box<labs::record::Loaded>, StoreFault>),
    /// To [`Question::LoadRights`].
    RightsLoaded(Result<Box<labs::record::Rights>, StoreFault>),
    /// To [`Question::Load`].
    Loaded {
        /// Of the question.
        quiz: QuizId,
        /// `None`: there is no such quiz.
        result: Result<Option<Box<Loaded>>, StoreFault>,
    },
    /// To [`Question::LoadKeys`].
    KeysLoaded(Result<Box<quiz::Good>, StoreFault>),
    /// To [`Question::Running`].
    Running {
        /// Of the question.
        look: u64,
        /// The quizzes of the whole cluster.
        result: Result<Vec<QuizId>, StoreFault>,
    },
    /// To [`Question::Permission`].
    Permission {
        /// Of the question.
        conn: ConnId,
        /// `None`: the service could not be asked.
        allowed: Option<bool>,
    },
    /// To [`Question::KeepChat`].
    ChatKept {
        /// Of the question.
        ticket: u64,
        /// Whether it is on disk.
        result: Result<(), StoreFault>,
    },
    /// To [`Question::LoadSession`].
    SessionLoaded {
        /// Of the question.
        session: SessionId,
        /// `None`: there is no such session.
        result: Result<Option<Box<chat::record::Loaded>>, StoreFault>,
    },
    /// To [`Question::KeepTasks`].
    TasksKept {
        /// Of the question.
        ticket: u64,
        /// Whether it is on disk.
        result: Result<(), StoreFault>,
    },
    /// To [`Question::LoadTask`].
    TaskLoaded {
        /// Of the question.
        task: TaskId,
        /// `None`: there is no such task.
        result: Result<Option<Box<tasks::model::Task>>, StoreFault>,
    },
    /// To [`Question::LoadExecution`].
    ExecutionLoaded {
        /// Of the question.
        execution: ExecutionId,
        /// `None`: there is no such execution.
        result: Result<Option<Box<tasks::model::Execution>>, StoreFault>,
    },
    /// To [`Question::LoadTasks`].
    TasksLeft {
        /// Of the question.
        survey: u64,
        /// What is at home on this shard.
        result: Result<Box<tasks::record::Loaded>, StoreFault>,
    },
    /// To [`Question::CountTasks`].
    TasksCounted(Result<Counts, StoreFault>),
    /// Nobody asked: how the parts of the system are from now on. Each shard is told.
    Health(Health),
    /// Nobody asked: by what each shard goes from now on.
    Terms(Box<Terms>),
    /// Nobody asked: an operator wants this done.
    Errand(Errand),
    /// To [`Question::Model`].
    Model {
        /// Of the question.
        run: RunId,
        /// What it says.
        word: Word,
    },
    /// To [`Question::Tool`].
    Tool {
        /// Of the question.
        run: RunId,
        /// What came of it.
        outcome: ToolOutcome,
    },
    /// Nobody asked: another service says this to a classroom. What became of it is in [`Engine::heard_outside`](super::Engine).
    Outside {
        /// To be given back.
        ticket: u64,
        /// Which.
        classroom: ClassroomId,
        /// What.
        event: Box<presence::asks::Publication>,
    },
    /// Nobody asked: some of the rows of rooms that are at home here by this view.
    Census(u64, Box<presence::record::Census>),
}
