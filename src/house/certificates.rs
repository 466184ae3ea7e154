//! The certificates that listeners show: read at the start, and again when somebody says so.

use super::Fault;
use crate::{
    config::{Listener, TlsFiles},
    http::rooms,
    realtime::UnixMicros,
    runtime::Servers,
    tls::{Certificate, Server, SessionMemory, TicketKeys},
};
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// So long before its end a certificate is worth a warning.
pub const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// Certificates that were read, and are not shown yet.
pub(super) struct Again(Vec<Option<Option<Certificate>>>);

/// What one listener has of TLS.
#[derive(Clone, Debug)]
struct Shown {
    files: TlsFiles,
    certificate: Certificate,
    memory: Arc<SessionMemory>,
    /// When it runs out, in seconds since 1970, for those who watch.
    until_s: Arc<AtomicU64>,
}

/// What all listeners have of TLS, in their order.
#[derive(Clone, Debug)]
pub(super) struct Certificates {
    shown: Vec<Option<Shown>>,
    keys: TicketKeys,
    /// The name of each listener in the settings, for whoever reads of it.
    names: Vec<String>,
}

impl Certificates {
    /// Reads the files of each listener. `None`: there are faults, which were told.
    pub(super) fn read(listeners: &[Listener], faults: &mut Vec<Fault>) -> Option<Certificates> {
        let known = faults.len();
        let Some(keys) = TicketKeys::random() else {
            faults.push(Fault::new("the system has no randomness for TLS tickets".to_owned()));
            return None;
        };
        let shown = listeners.iter().map(|listener| {
            let files = listener.tls.clone()?;
            let certificate = read(&files).map_err(|fault| faults.push(fault)).ok()?;
            let until_s = Arc::new(AtomicU64::new(certificate.until().as_secs()));
            Some(Shown { files, certificate, memory: Arc::default(), until_s })
        });
        let shown = shown.collect();
        let names = listeners.iter().map(|listener| listener.serves[0].0.to_string()).collect();
        (faults.len() == known).then_some(Certificates { shown, keys, names })
    }

    /// What shards serve with.
    pub(super) fn servers(&self) -> Result<Servers, Fault> {
        let server = |(place, shown): (usize, &Option<Shown>)| {
            let Some(Shown { files, certificate, memory, .. }) = shown else { return Ok(None) };
            Server::new(certificate, files.min_version, place as u8, &self.keys, memory)
                .map(Some)
                .map_err(|fault| Fault::new(format!("TLS with {}: {fault}", files.certificate.display())))
        };
        self.shown.iter().enumerate().map(server).collect()
    }

    /// Reads all files again, for [`Certificates::show`].
    pub(super) fn read_again(&self) -> Result<Again, Vec<Fault>> {
        let mut faults = Vec::new();
        let read =
            |shown: &Option<Shown>| shown.as_ref().map(|shown| read(&shown.files).map_err(|fault| faults.push(fault)).ok());
        let new: Vec<_> = self.shown.iter().map(read).collect();
        if faults.is_empty() { Ok(Again(new)) } else { Err(faults) }
    }

    /// From now on these are shown.
    pub(super) fn show(&mut self, Again(new): Again) {
        for (shown, certificate) in self.shown.iter_mut().zip(new) {
            if let (Some(shown), Some(Some(certificate))) = (shown, certificate) {
                shown.until_s.store(certificate.until().as_secs(), Ordering::Relaxed);
                shown.certificate = certificate;
            }
        }
    }

    pub(super) fn renew_keys(&mut self) {
        // Without randomness the old keys stay: better than none.
        self.keys = self.keys.renewed().unwrap_or_else(|| self.keys.clone());
        // What is remembered by its id would else stay until something newer takes its place, on a quiet listener for ever.
        self.shown.iter_mut().flatten().for_each(|shown| shown.memory = Arc::default());
    }

    /// Whether any listener speaks TLS.
    pub(super) fn are_none(&self) -> bool {
        self.shown.iter().all(Option::is_none)
    }

    /// When the certificate of each listener with TLS runs out, in seconds since 1970.
    pub(super) fn ends(&self) -> impl Iterator<Item = (&str, u64)> {
        let shown = self.names.iter().zip(&self.shown);
        shown.filter_map(|(name, shown)| Some((name.as_str(), shown.as_ref()?.until_s.load(Ordering::Relaxed))))
    }

    /// What listeners with TLS show, for operators.
    pub(super) fn shown(&self) -> Vec<rooms::Certificate> {
        let micros = |since: Duration| UnixMicros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
        let told = |(name, shown): (&String, &Option<Shown>)| {
            let Shown { certificate, .. } = shown.as_ref()?;
            Some(rooms::Certificate {
                listener: name.clone(),
                subject: certificate.subject().to_owned(),
                not_before: micros(certificate.from()),
                not_after: micros(certificate.until()),
            })
        };
        self.names.iter().zip(&self.shown).filter_map(told).collect()
    }

    /// Says which certificates are shown, and which of them not for long.
    pub(super) fn tell(&self, now: UnixMicros) {
        let now = Duration::from_micros(u64::try_from(now.0).unwrap_or(0));
        for (name, shown) in self.names.iter().zip(&self.shown) {
            let Some(Shown { certificate, files, .. }) = shown else { continue };
            let (subject, file) = (certificate.subject(), files.certificate.display());
            let days = certificate.until().saturating_sub(now).as_secs() / (24 * 3600);
            if certificate.until() <= now {
                tracing::warn!(listener = name, subject, %file, "the certificate has run out: clients will refuse it");
            } else if certificate.from() > now {
                tracing::warn!(listener = name, subject, %file, "the certificate is not good yet: clients will refuse it");
            } else if certificate.until() <= now + SOON {
                tracing::warn!(listener = name, subject, %file, days, "the certificate runs out soon");
            } else {
                tracing::info!(listener = name, subject, %file, days, "certificate");
            }
        }
    }
}

fn read(files: &TlsFiles) -> Result<Certificate, Fault> {
    let bytes =
        |path: &Path| fs::read(path).map_err(|error| Fault::new(format!("TLS: {} cannot be read: {error}", path.display())));
    let (chain, key) = (bytes(&files.certificate)?, bytes(&files.key)?);
    let of = || format!("{} and {}", files.certificate.display(), files.key.display());
    Certificate::read(&chain, &key).map_err(|flaw| Fault::new(format!("TLS: of {}: {flaw}", of())))
}

/// The certificates of the settings with what is wrong with each, for those who look before a start.
pub fn look(listeners: &[Listener]) -> Vec<(String, Result<Certificate, String>)> {
    let with_tls = listeners.iter().filter_map(|listener| Some((listener.serves[0].0.to_string(), listener.tls.as_ref()?)));
    with_tls.map(|(name, files)| (name, read(files).map_err(|fault| fault.to_string()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Layers, Loaded},
        tls::tests::Pair,
    };
    use rustls::server::StoresServerSessions;

    fn write(folder: &Path, pair: &Pair) {
        fs::write(folder.join("c.pem"), &pair.chain).unwrap();
        fs::write(folder.join("k.pem"), &pair.key).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_used_changes_nothing_and_its_content_is_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let text = format!("[tls]\ncertificate = {:?}\nkey = {:?}\n[listen.quiz]\ntls = true\n", path("c.pem"), path("k.pem"));
        let listeners = Loaded::of(&Layers::default().file("homeroom.toml", &text)).unwrap().settings.listeners();
        let mut faults = Vec::new();
        assert!(Certificates::read(&listeners, &mut faults).is_none());
        assert!(faults[0].to_string().contains("c.pem cannot be read"), "{}", faults[0]);
        write(folder.path(), &Pair::of_days(10));
        let mut certificates = Certificates::read(&listeners, &mut Vec::new()).unwrap();
        let ends = |certificates: &Certificates| certificates.ends().map(|(_, end)| end).collect::<Vec<_>>();
        let (first, shown) = (ends(&certificates), certificates.servers().unwrap());
        assert_eq!(shown.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false, false]);
        let [told] = &certificates.shown()[..] else { panic!("one listener has TLS") };
        assert_eq!((&*told.listener, told.not_after.seconds().unsigned_abs()), ("quiz", first[0]));
        assert!(told.not_before < told.not_after);
        let other = Pair::of_days(20);
        fs::write(folder.path().join("k.pem"), &other.key).unwrap();
        let fault = certificates.read_again().err().unwrap()[0].to_string();
        assert!(fault.contains("k.pem: the key is not that of the first certificate"), "{fault}");
        assert!(!other.key.lines().any(|line| fault.contains(line)));
        fs::write(folder.path().join("k.pem"), "nothing").unwrap();
        assert!(certificates.read_again().err().unwrap()[0].to_string().contains("holds no private key"));
        assert_eq!(ends(&certificates), first);
        write(folder.path(), &other);
        let again = certificates.read_again().unwrap();
        assert_eq!(ends(&certificates), first, "read is not shown");
        certificates.show(again);
        assert!(ends(&certificates) > first);
    }

    #[test]
    fn sessions_are_forgotten_by_the_clock_as_tickets_are() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &Pair::of_days(10));
        let path = |name: &str| folder.path().join(name).display().to_string();
        let text = format!("[tls]\ncertificate = {:?}\nkey = {:?}\n[listen.quiz]\ntls = true\n", path("c.pem"), path("k.pem"));
        let listeners = Loaded::of(&Layers::default().file("homeroom.toml", &text)).unwrap().settings.listeners();
        let mut certificates = Certificates::read(&listeners, &mut Vec::new()).unwrap();
        let memory = |certificates: &Certificates| certificates.shown.iter().flatten().next().unwrap().memory.clone();
        memory(&certificates).put(vec![7; 32], vec![1]);
        let again = certificates.read_again().unwrap();
        certificates.show(again);
        assert!(memory(&certificates).get(&[7; 32]).is_some(), "other certificates change nothing of it");
        certificates.renew_keys();
        assert!(memory(&certificates).get(&[7; 32]).is_none());
    }
}
