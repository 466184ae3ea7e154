//! What is to be said of the certificates that listeners would show, and of who encrypts.

use super::verdicts::{Finding, fault, ok, warning};
use crate::{house::CERTIFICATE_SOON, tls::Certificate};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A finding for each certificate, and one for who encrypts; nothing where no listener speaks TLS. `wall` is the time since 1970.
pub(super) fn all(
    certificates: &[(String, Result<Certificate, String>)],
    wall: Duration,
    kernel_tls: Option<bool>,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = certificates.iter().map(|(listener, read)| certificate(listener, read, wall)).collect();
    if !findings.is_empty() {
        let kernel = if kernel_tls == Some(true) {
            "this kernel could do it too (kernel TLS), and is not asked"
        } else {
            "no kernel TLS is needed"
        };
        findings.push(ok("encryption", format!("by homeroom itself; {kernel}")));
    }
    findings
}

fn certificate(listener: &str, read: &Result<Certificate, String>, wall: Duration) -> Finding {
    let certificate = match read {
        Ok(certificate) => certificate,
        Err(why) => {
            return fault("certificate", format!("{listener}: {why}"), "mend the files that [tls] or the listener's tls names");
        }
    };
    let (subject, until) = (certificate.subject(), certificate.until());
    let days = until.saturating_sub(wall).as_secs() / DAY.as_secs();
    let renew = "put a new one in its place and send SIGHUP to homeroom: nobody is disconnected";
    if until <= wall {
        let since = wall.saturating_sub(until).as_secs() / DAY.as_secs();
        return warning("certificate", format!("{listener}: that of {subject} ran out {since} days ago"), renew);
    }
    if certificate.from() > wall {
        return warning("certificate", format!("{listener}: that of {subject} is not good yet"), "is the clock right?");
    }
    let found = format!("{listener}: that of {subject} is good for {days} days");
    if until <= wall + CERTIFICATE_SOON { warning("certificate", found, renew) } else { ok("certificate", found) }
}

#[cfg(test)]
mod tests {
    use super::{super::verdicts::Verdict, *};
    use crate::tls::tests::Pair;
    use std::time::SystemTime;

    #[test]
    fn what_has_run_out_or_will_soon_is_told() {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let of_days = |days| {
            let pair = Pair::of_days(days);
            Certificate::read(pair.chain.as_bytes(), pair.key.as_bytes()).map_err(|flaw| flaw.to_string())
        };
        let all_of = |read, wall| all(&[("quiz".to_owned(), read)], wall, Some(false));
        let rows = [
            (of_days(100), wall, Verdict::Ok, "is good for "),
            (of_days(10), wall, Verdict::Warning, "is good for "),
            // The pair is made after `wall` was read, and ends at a whole second.
            (of_days(-3), wall + DAY / 2, Verdict::Warning, "ran out 3 days ago"),
            (of_days(10), wall - DAY * 200, Verdict::Warning, "is not good yet"),
            (Err("c.pem cannot be read".to_owned()), wall, Verdict::Fault, "quiz: c.pem cannot be read"),
        ];
        for (read, wall, verdict, part) in rows {
            let findings = all_of(read, wall);
            assert_eq!((findings.len(), findings[0].verdict), (2, verdict), "{findings:?}");
            assert!(findings[0].found.contains(part), "{findings:?}");
        }
        assert!(all(&[], wall, Some(true)).is_empty());
    }
}
