//! What is fuzzed: each target takes any bytes, and panics where the code does not keep what it promises. `tests/fuzz.rs` runs them over
//! the corpora, libFuzzer (`fuzz/run`) over whatever it finds.

#[allow(dead_code)]
#[path = "../../../perf/cost/src/house.rs"]
mod house;
mod letters;
mod sockets;
mod token;
mod wire;

/// Takes any bytes.
pub(crate) type Target = fn(&[u8]);

/// Every target with its name, which is also that of its corpus.
pub(crate) const ALL: &[(&str, Target)] = &[
    ("head", wire::head),
    ("frames", wire::frames),
    ("bulk", wire::bulk),
    ("proxy", wire::proxy),
    ("screen", wire::screen),
    ("token", token::token),
    ("key_set", token::key_set),
    ("letters", letters::letters),
    ("packet", letters::packet),
    ("presence", sockets::presence),
    ("quiz", sockets::quiz),
    ("agent", sockets::agent),
    ("field_agent", sockets::field_agent),
    ("chat", sockets::chat),
    ("tasks", sockets::tasks),
];
