//! The REST routes of tasks: tasks, agents, workflows and their executions. What the contract leaves open: `README.md` beside this file.

pub mod rooms;
