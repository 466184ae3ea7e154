//! The words that every room shares: who (ids, views), when (moments, wheel), where (hash ring, topics), what (frames, outbox). Pure.

pub mod audit;
pub mod fault;
pub mod frame;
pub mod hash_ring;
pub mod ids;
pub mod moment;
pub mod outbox;
pub mod quota;
pub mod survey;
pub mod table;
pub mod topics;
pub mod view;
pub mod wheel;

pub use fault::StoreFault;
pub use frame::Frame;
pub use hash_ring::HashRing;
pub use ids::{ClassroomId, ConnId, NodeSlot, ShardId};
pub use moment::{Moment, Now, UnixMicros};
pub use quota::{Counted, Quota};
pub use view::View;
pub use wheel::{TimerId, Wheel};
