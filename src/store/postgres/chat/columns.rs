//! How the words of chat lie in columns.

use super::super::columns::words;
use crate::protocols::chat::model::{Author, Completeness, Decision, Status};

words! {
    Status { Active = "active", Ended = "ended" }
    Author { User = "user", Assistant = "assistant" }
    Completeness { Streaming = "streaming", Whole = "whole", Incomplete = "incomplete" }
    Decision { Pending = "pending", Approved = "approved", Rejected = "rejected", Expired = "expired" }
}
