//! What is counted of tasks.

use serde::{Deserialize, Serialize};

counts! { TaskCounts:
    /// Sockets that were welcomed and subscribed to all tasks, of users and of admins.
    listening,
    /// Tasks asked for over sockets, by REST; executions asked for.
    asked_by_socket,
    asked_by_rest,
    executions_asked,
    /// What was refused of these.
    refused,
    /// Those that REST has in the end.
    kept,
    executions_kept,
    /// How they ended: with a result, cancelled, by themselves without one.
    completed,
    executions_completed,
    cancelled,
    failed,
    /// `pending` heard by users and admins; so are what follows and the end.
    pendings_heard,
    updates_heard,
    ends_heard,
    /// Messages about tasks that came to their users' sockets, and that must.
    users_heard,
    users_owed,
    /// The same of admins.
    admins_heard,
    admins_owed,
    /// Messages that a socket did not hear though another did, for each socket.
    unheard,
    /// Messages that a socket heard again.
    doubled,
    /// Messages that tell of less than the ones before on that socket.
    disordered,
    /// Completions and errors behind the first, and other messages behind it.
    ended_again,
    late,
    /// Messages to a user whose task it is not.
    misdirected,
    /// What was heard and cannot be.
    untrue,
    /// Subscriptions to one task, and the states told to them.
    states_owed,
    states_heard,
    /// Tasks that users cancelled, those that failed of it, and those that were over before.
    cancels_sent,
    cancels_done,
    cancels_late,
    /// Messages about executions, and executions that were told to be over.
    steps_heard,
    executions_ended,
    /// Tasks and executions of REST that are not what was told.
    row_faults,
    /// Lists and tasks looked at by REST, and answered.
    looks_asked,
    looks_answered,
    /// Requests that waited for the one before on their user's connection.
    held_back,
    /// Sockets that ended before they should, and as they should.
    lost,
    closed,
    /// Pings answered, in JSON and of WebSocket itself.
    pings,
    /// Bytes read from sockets.
    bytes_read,
}

impl TaskCounts {
    /// Tasks and executions that came to an end.
    pub(crate) fn ended(&self) -> u64 {
        self.completed + self.cancelled + self.failed + self.executions_completed
    }
}
