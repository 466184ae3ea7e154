//! Scripts: what clients say, what each of them must hear, in which order, and that nothing is left over.

mod chat;
mod chat_scripts;
mod cluster;
mod cluster_apart;
mod cluster_moves;
mod cluster_outside;
mod cluster_quizzes;
mod cluster_scripts;
mod heard;
mod hostile;
mod labs;
mod labs_admission;
mod labs_ends;
mod labs_scripts;
mod labs_tunnels;
mod quiz_admission;
mod quiz_scripts;
mod quiz_slow;
mod quizzes;
mod scripts;
mod slow;
mod tasks;
mod tasks_ends;
mod tasks_scripts;
mod world;
