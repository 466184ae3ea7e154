//! How long to wait before the control plane is called again: longer each time, and not all agents at once.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// The wait after so many calls in vain: doubled each time from a second to half a minute, and of that anything from the half upwards, as
/// `random` has it.
pub fn wait(calls_in_vain: u32, random: u64) -> Duration {
    let whole = FIRST.saturating_mul(1 << calls_in_vain.min(16)).min(LONGEST);
    let half = whole / 2;
    let share = random as f64 / u64::MAX as f64;
    half + half.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute() {
        let longest: Vec<u64> = (0..8).map(|calls| wait(calls, u64::MAX).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(wait(u32::MAX, 0), LONGEST / 2);
    }

    #[test]
    fn chance_moves_them_within_their_upper_half() {
        assert_eq!(wait(2, 0), Duration::from_secs(2));
        let between = wait(2, u64::MAX / 2);
        assert!((Duration::from_millis(2990)..Duration::from_millis(3010)).contains(&between), "{between:?}");
    }
}
