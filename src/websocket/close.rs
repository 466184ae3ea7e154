//! Why a WebSocket ends: the close codes that this server sends (RFC 6455 §7.4.1 and the IANA registry), and what each means to a client.

/// The reason in a Close frame of ours. The number says whether to come back, so clients need no table but this.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum CloseReason {
    /// All was said.
    Normal = 1000,
    /// This end goes away; another may be there at once.
    Away = 1001,
    /// The peer broke the protocol: reserved bits or opcodes, no mask, a control frame in fragments, a bad Close.
    Protocol = 1002,
    /// A kind of message that this endpoint does not take, such as binary.
    Unsupported = 1003,
    /// A text that is not UTF-8.
    NotUtf8 = 1007,
    /// Refused: not allowed, timed out, replaced by a newer connection.
    Policy = 1008,
    /// A frame or message over the limit.
    TooBig = 1009,
    /// A fault of ours.
    Internal = 1011,
    /// The server restarts.
    Restart = 1012,
    /// The server has too much to do; also for a peer that does not read what it is sent.
    TryLater = 1013,
}

impl CloseReason {
    /// The number on the wire.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Whether the same client, unchanged, should connect again (after a random pause). If not, the next attempt would end in the same way.
    pub const fn come_back(self) -> bool {
        match self {
            CloseReason::Away | CloseReason::Internal | CloseReason::Restart | CloseReason::TryLater => true,
            CloseReason::Normal
            | CloseReason::Protocol
            | CloseReason::Unsupported
            | CloseReason::NotUtf8
            | CloseReason::Policy
            | CloseReason::TooBig => false,
        }
    }

    /// A name for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            CloseReason::Normal => "normal",
            CloseReason::Away => "away",
            CloseReason::Protocol => "protocol",
            CloseReason::Unsupported => "unsupported",
            CloseReason::NotUtf8 => "not_utf8",
            CloseReason::Policy => "policy",
            CloseReason::TooBig => "too_big",
            CloseReason::Internal => "internal",
            CloseReason::Restart => "restart",
            CloseReason::TryLater => "try_later",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::protocol::frame::coding::CloseCode;

    #[test]
    fn every_code_may_be_sent() {
        use CloseReason::*;
        let all = [Normal, Away, Protocol, Unsupported, NotUtf8, Policy, TooBig, Internal, Restart, TryLater];
        assert!(all.iter().all(|reason| CloseCode::from(reason.code()).is_allowed()));
        let back: Vec<_> = all.iter().filter(|reason| reason.come_back()).map(|reason| reason.code()).collect();
        assert_eq!(back, [1001, 1011, 1012, 1013]);
    }
}
