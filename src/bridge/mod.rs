//! (room: bridge)
