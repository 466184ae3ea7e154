//! The glommio shell that owns the sockets of a pure engine. `boot` starts it; `turn` is its heart; nothing in here knows a protocol.

mod boot;
mod clock;
mod counts;
mod fronts;
mod gate;
mod inherited;
mod listen;
mod mesh;
mod nudge;
mod parting;
mod patience;
pub mod probe;
mod ring;
mod shard;
mod sockets;
mod stop;
mod sync;
mod turn;
mod unix;
mod wake;

#[cfg(test)]
mod echo;
#[cfg(test)]
mod front_tests;
#[cfg(test)]
mod receive_tests;
#[cfg(test)]
mod tests;

pub use boot::{
    BootFault, Furnishing, Place, Plan, Running, Seat, count_memory_in_small_pages, end_process_on_panic, probe_listeners,
    raise_open_files, start, start_from,
};
pub use clock::Clock;
pub use counts::{Count, ShardCounts};
pub use fronts::{Brought, Porch};
pub use gate::{Arrival, Gate};
#[cfg(test)]
pub(crate) use gate::{GateEnd, gate_of};
pub use listen::ListenFault;
pub use mesh::Post;
pub use nudge::Nudge;
pub use parting::{Heritage, Parcel, receive, send};
pub use ring::RingSizes;
pub use shard::{Control, Shard};
pub use stop::{DrainFault, Phase, Reload, Servers, Stage, StopSignals, StopTimes};
pub use turn::{OnHandoff, address};
