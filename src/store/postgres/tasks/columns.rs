//! How the words of tasks lie in columns.

use super::super::columns::words;
use crate::protocols::tasks::model::{Kind, Priority, Status};

words! {
    Status {
        Pending = "pending", InProgress = "in_progress", Verifying = "verifying", Completed = "completed", Failed = "failed"
    }
    Kind { Code = "code", Design = "design", Test = "test", Security = "security", Analysis = "analysis" }
    Priority { Low = "low", Medium = "medium", High = "high" }
}
