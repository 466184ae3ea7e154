//! (room: websocket)
