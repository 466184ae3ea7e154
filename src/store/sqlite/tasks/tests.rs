//! Records of tasks over restarts; and what lists cost.
