//! Several nodes, each some shards of the shipped engine behind links of their own: a bus that loses, doubles, mixes up and is parted,
//! nodes that die, come and are cut off until they are buried, one store that knows who is a node and who is not any more and that is away
//! now and then, students who sign in anywhere, and quizzes with those who take them and those who watch.

pub(crate) mod bus;
pub(crate) mod census;
pub(crate) mod checks;
pub(crate) mod faults;
pub(crate) mod gateway;
pub(crate) mod listeners;
pub(crate) mod node;
pub(crate) mod school;
pub(crate) mod store;
pub(crate) mod students;
pub(crate) mod world;
