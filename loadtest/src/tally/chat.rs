//! What is counted of chat.

use serde::{Deserialize, Serialize};

counts! { ChatCounts:
    /// Sessions made by REST.
    made,
    /// Connections that may hear.
    opened,
    /// Messages whose moment came.
    asked,
    /// Those that waited because an answer over HTTP was under way.
    held_back,
    /// Beginnings of answers that were heard, and ends, and how many of either must be.
    starts_heard,
    ends_heard,
    ends_owed,
    /// Beginnings within an answer, and ends outside one.
    misplaced,
    /// Words heard in their places, of answers that were not cancelled, and how many must be.
    words_heard,
    words_owed,
    /// Of answers that were cancelled: those heard by whoever asked, and by the other sockets, and how many these must hear.
    words_of_cancelled,
    words_of_cancelled_beside,
    words_owed_beside,
    /// Words that were not the next of their answer, and words outside one.
    broken,
    stray,
    /// Answers that ended before their last word though nobody cancelled them.
    short,
    /// Cancels sent, and answers that ended by them.
    cancels,
    cut_short,
    /// Answers compared with what is kept, and those that are kept as something else.
    proved,
    unproved,
    /// Connections that ended before they should.
    lost,
    /// Sockets that ended as they should.
    closed,
    /// Pings answered.
    pings,
    /// Bytes read from connections.
    bytes_read,
    /// Of the model: requests for an answer, and requests that were none.
    requests,
    misasked,
    /// Words sent; answers given to their end, and those whose connection ended in the middle.
    words_sent,
    given,
    cut,
    /// Sends that the server did not take at once.
    stalled,
}
