//! Times as several of the contracts write them: `2025-12-24T10:00:00Z`, UTC, whole seconds.

use crate::realtime::UnixMicros;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// A time as it is written.
#[derive(Clone, Copy, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub(super) struct Iso(pub(super) UnixMicros);

impl Serialize for Iso {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Timestamp::from_second(self.0.seconds()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_whole_and_the_zone_is_z() {
        let written = |micros| serde_json::to_value(Iso(UnixMicros(micros))).unwrap();
        assert_eq!(written(1_766_570_400_999_999), "2025-12-24T10:00:00Z");
        assert_eq!(written(-1), "1969-12-31T23:59:59Z");
        assert_eq!(written(i64::MAX), "1970-01-01T00:00:00Z");
    }
}
