//! What operators may ask of a server that runs.

use super::key::section;

section! {
    /// What operators ask of a server that runs: `homeroom ctl` and `homeroom top`, by the internal listener.
    Control at "control." {
        /// Whether nobody is answered without the token of an operator, an admin of labs (`homeroom token labs`). Else whoever reaches the
        /// internal listener may, as with its other routes.
        operators_only: bool = false;
    }
}
