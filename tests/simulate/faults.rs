//! Faults planted in the transport, to show that the checks find them. The engine is the shipped one in every run.

use homeroom::engine::Letter;

/// One kind of fault. Each strikes now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// A letter is laid into the queue and the receiver is not woken.
    LostWakeUp,
    /// A letter never arrives.
    LostLetter,
    /// A letter arrives twice.
    DoubledLetter,
    /// Two letters of one pair of shards change places.
    SwappedLetters,
    /// Letters leave before the sends of their turn: the new connection may succeed before the old one was told.
    HastyLetters,
    /// A Pong does not cancel its timer: it never reaches the engine, so the timer fires all the same.
    ForgottenCancel,
    /// A socket is closed and the engine never hears that it was released.
    ForgottenRelease,
    /// A send is done and the engine never hears of it.
    ForgottenSent,
    /// The store writes and answers the same question twice.
    DoubledAnswer,
    /// A question is never answered.
    LostAnswer,
    /// The store forgets that a session left.
    LostLeave,
    /// The clock of a shard stands still for good.
    StoppedClock,
    /// An event of a quiz does not reach a shard.
    LostEvent,
    /// A participant is told twice that the attempt is over.
    DoubledClose,
    /// The ranks take no second answer to a question.
    MissedReplacement,
    /// A home never hears that an owner has stopped listening.
    ForgottenUnwatch,
    /// A home never hears that its record was written.
    LostRecord,
}

impl Fault {
    pub(crate) const ALL: [Fault; 17] = [
        Fault::LostWakeUp,
        Fault::LostLetter,
        Fault::DoubledLetter,
        Fault::SwappedLetters,
        Fault::HastyLetters,
        Fault::ForgottenCancel,
        Fault::ForgottenRelease,
        Fault::ForgottenSent,
        Fault::DoubledAnswer,
        Fault::LostAnswer,
        Fault::LostLeave,
        Fault::StoppedClock,
        Fault::LostEvent,
        Fault::DoubledClose,
        Fault::MissedReplacement,
        Fault::ForgottenUnwatch,
        Fault::LostRecord,
    ];
}

/// What a faulty transport delivers twice.
pub(crate) fn double(letter: &Letter) -> Letter {
    match letter {
        Letter::Home(letter) => Letter::Home(letter.clone()),
        Letter::Connection(conn, letter) => Letter::Connection(*conn, letter.clone()),
        Letter::QuizHome(letter) => Letter::QuizHome(letter.clone()),
        Letter::QuizConnection(conn, letter) => Letter::QuizConnection(*conn, letter.clone()),
        Letter::Publish { topic, frame, members, since } => {
            Letter::Publish { topic: *topic, frame: frame.clone(), members: *members, since: *since }
        }
        Letter::PublishBut { conn, topic, frame, members, since } => {
            Letter::PublishBut { conn: *conn, topic: *topic, frame: frame.clone(), members: *members, since: *since }
        }
        Letter::Deliver(conn, frame) => Letter::Deliver(*conn, frame.clone()),
        Letter::Show { conn, topic, frame } => Letter::Show { conn: *conn, topic: *topic, frame: frame.clone() },
        Letter::Reply { number, reply } => Letter::Reply { number: *number, reply: reply.clone() },
        Letter::QuizReply { number, reply } => Letter::QuizReply { number: *number, reply: reply.clone() },
        Letter::Key { from, telling, change } => Letter::Key { from: *from, telling: *telling, change: change.clone() },
        Letter::KeyHeard { telling } => Letter::KeyHeard { telling: *telling },
        Letter::Registry(letter) => Letter::Registry(letter.clone()),
        Letter::LabsConnection(conn, letter) => Letter::LabsConnection(*conn, letter.clone()),
        Letter::Tunnel { to, from, proxy, word } => Letter::Tunnel { to: *to, from: *from, proxy: *proxy, word: word.clone() },
        Letter::LabsReply { number, reply } => Letter::LabsReply { number: *number, reply: reply.clone() },
        Letter::Revoked { from, telling, what } => Letter::Revoked { from: *from, telling: *telling, what: *what },
        Letter::RevokedHeard { telling } => Letter::RevokedHeard { telling: *telling },
        Letter::ChatHome(letter) => Letter::ChatHome(letter.clone()),
        Letter::ChatConnection(conn, letter) => Letter::ChatConnection(*conn, *letter),
        Letter::ChatReply { number, reply } => Letter::ChatReply { number: *number, reply: reply.clone() },
        Letter::ChatTold { number, told } => Letter::ChatTold { number: *number, told: told.clone() },
        Letter::ChatCount { payee, payer, row } => Letter::ChatCount { payee: *payee, payer: *payer, row: *row },
        Letter::ChatCounted { payee, counted } => Letter::ChatCounted { payee: *payee, counted: *counted },
        Letter::ChatMark { session, mark } => Letter::ChatMark { session: *session, mark: *mark },
        Letter::ChatElsewhere { number, follows, at } => Letter::ChatElsewhere { number: *number, follows: *follows, at: *at },
        Letter::TasksUser(letter) => Letter::TasksUser(letter.clone()),
        Letter::TaskHome(letter) => Letter::TaskHome(letter.clone()),
        Letter::ExecutionHome(letter) => Letter::ExecutionHome(letter.clone()),
        Letter::TasksHold(hold) => Letter::TasksHold(hold.clone()),
        Letter::TasksInterest(interest) => Letter::TasksInterest(interest.clone()),
        Letter::TasksConnection(conn, letter) => Letter::TasksConnection(*conn, letter.clone()),
        Letter::TasksNews { owner, news } => Letter::TasksNews { owner: owner.clone(), news: news.clone() },
        Letter::TasksCounts { from, counts } => Letter::TasksCounts { from: *from, counts: *counts },
        Letter::TasksTotals(counts) => Letter::TasksTotals(*counts),
        Letter::TasksReply { number, reply } => Letter::TasksReply { number: *number, reply: reply.clone() },
        Letter::ViewBegins { view, epoch, to, anew } => Letter::ViewBegins { view: *view, epoch: *epoch, to: *to, anew: *anew },
        Letter::ViewReached { view } => Letter::ViewReached { view: *view },
    }
}
