//! (room: services)
