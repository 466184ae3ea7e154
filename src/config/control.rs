//! What operators may ask of a server that runs, and what is written down of it.

use super::key::section;
use std::path::PathBuf;

section! {
    /// What operators ask of a server that runs: `homeroom ctl`, by the internal listener.
    Control at "control." {
        /// Whether nobody is answered without the token of an operator, an admin of labs (`homeroom token labs`), neither where accounts
        /// are made and changed (`homeroom user`, `homeroom owner`). Else whoever reaches the internal listener may, as with its other
        /// routes.
        operators_only: bool = false;
    }
}

section! {
    /// The audit log: a line of JSON for each sign-in, refusal, act of an operator and decision on a call that waited for approval. No line
    /// holds a token or what somebody said.
    Audit at "audit." {
        /// The file, to which lines are appended. Opened anew on SIGHUP, so that logrotate may move it away; nothing else bounds it.
        /// Relative to where homeroom runs. Empty: there is none.
        file: Option<PathBuf> = "";
    }
}
