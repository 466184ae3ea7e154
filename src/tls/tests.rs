//! The server's side against rustls' own client, over memory.

use super::*;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    io::{Read, Write},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// A certificate of its own and its key, as PEM.
pub(crate) struct Pair {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Pair {
    /// Good for so many days from now; negative: no longer.
    pub(crate) fn of_days(days: i64) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let now = rcgen::date_time_ymd(1970, 1, 1) + SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let day = Duration::from_secs(24 * 3600);
        params.not_before = now - day * 100;
        let distance = day * u32::try_from(days.unsigned_abs()).unwrap();
        params.not_after = if days < 0 { now - distance } else { now + distance };
        Pair { chain: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }

    pub(crate) fn certificate(&self) -> Certificate {
        Certificate::read(self.chain.as_bytes(), self.key.as_bytes()).unwrap()
    }
}

/// A listener, and what its clients trust and remember.
struct House {
    server: Server,
    client: Arc<ClientConfig>,
}

fn house(pair: &Pair, oldest: Version, versions: &[&'static rustls::SupportedProtocolVersion]) -> House {
    house_with(pair, oldest, versions, &TicketKeys::random().unwrap())
}

fn house_with(pair: &Pair, oldest: Version, versions: &[&'static rustls::SupportedProtocolVersion], keys: &TicketKeys) -> House {
    let server = Server::new(&pair.certificate(), oldest, 0, keys, &Arc::default()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pair.chain.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut client = client.with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    House { server, client: Arc::new(client) }
}

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];

/// One connection, and what is on its way.
struct Call {
    session: Session,
    client: ClientConnection,
    unread: Vec<u8>,
    heard: Vec<u8>,
    /// Bytes that go to the server at a time.
    at_once: usize,
}

impl Call {
    fn new(house: &House) -> Call {
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(house.client.clone(), name).unwrap();
        let session = Session::new(&house.server).unwrap();
        Call { session, client, unread: Vec::new(), heard: Vec::new(), at_once: usize::MAX }
    }

    /// Lets both speak until neither has anything to say.
    fn settle(&mut self) -> Result<(), Fault> {
        loop {
            let mut said = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut said).unwrap();
            }
            if said.is_empty() {
                return Ok(());
            }
            for piece in said.chunks(self.at_once.min(said.len())) {
                self.unread.extend_from_slice(piece);
                let mut out = Vec::new();
                let read = self.session.read(&mut self.unread, &mut self.heard, &mut out);
                hears(&mut self.client, &out);
                self.unread.drain(..read?);
            }
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        let mut out = Vec::new();
        self.session.write(&mut self.unread, bytes, &mut out).unwrap();
        hears(&mut self.client, &out);
    }

    fn said(&mut self, bytes: usize) -> Vec<u8> {
        let mut all = vec![0; bytes];
        self.client.reader().read_exact(&mut all).unwrap();
        all
    }
}

fn hears<T>(client: &mut ConnectionCommon<T>, mut out: &[u8]) -> String
where
    T: rustls::SideData,
{
    let mut said = Ok(());
    while !out.is_empty() {
        client.read_tls(&mut out).unwrap();
        said = said.and(client.process_new_packets().map(|_| ()));
    }
    said.err().map(|fault| fault.to_string()).unwrap_or_default()
}

#[test]
fn both_versions_speak_and_choose_http_1_1() {
    let pair = Pair::of_days(1);
    for (version, is_newest) in [(&rustls::version::TLS12, false), (&rustls::version::TLS13, true)] {
        let mut call = Call::new(&house(&pair, Version::Tls12, &[version]));
        assert!(!call.session.is_open());
        call.settle().unwrap();
        assert!(call.session.is_open() && !call.session.is_resumed() && !call.client.is_handshaking());
        assert_eq!((call.session.is_newest(), call.client.alpn_protocol()), (Some(is_newest), Some(&b"http/1.1"[..])));
        call.client.writer().write_all(b"hello").unwrap();
        call.settle().unwrap();
        assert_eq!(call.heard, b"hello");
        call.say(b"good day");
        assert_eq!(call.said(8), b"good day");
    }
}

#[test]
fn an_older_version_than_wanted_is_told_so() {
    let pair = Pair::of_days(1);
    let mut call = Call::new(&house(&pair, Version::Tls13, &[&rustls::version::TLS12]));
    let fault = call.settle().unwrap_err();
    assert!(fault.to_string().contains("peer is incompatible"), "{fault}");
    assert!(!call.session.is_open());
}

#[test]
fn whoever_offers_only_other_protocols_is_told_so() {
    let mut house = house(&Pair::of_days(1), Version::Tls12, BOTH);
    Arc::get_mut(&mut house.client).unwrap().alpn_protocols = vec![b"h2".to_vec()];
    let fault = Call::new(&house).settle().unwrap_err();
    assert!(fault.to_string().contains("support any known protocol"), "{fault}");
}

#[test]
fn it_does_not_matter_how_bytes_are_cut() {
    let pair = Pair::of_days(1);
    for (version, at_once) in [(&rustls::version::TLS12, 1), (&rustls::version::TLS13, 1), (&rustls::version::TLS13, 1000)] {
        let mut call = Call::new(&house(&pair, Version::Tls12, &[version]));
        call.at_once = at_once;
        call.settle().unwrap();
        let large: Vec<u8> = (0..40_000_u32).map(|number| (number % 251) as u8).collect();
        let mut rest = &large[..];
        while !rest.is_empty() {
            let written = call.client.writer().write(rest).unwrap();
            rest = &rest[written..];
            call.settle().unwrap();
        }
        assert!(call.heard == large && call.unread.is_empty());
        call.say(&large[..12_000]);
        assert_eq!(call.said(12_000), &large[..12_000]);
    }
}

#[test]
fn what_is_large_leaves_in_many_records_at_once() {
    let mut call = Call::new(&house(&Pair::of_days(1), Version::Tls12, BOTH));
    call.settle().unwrap();
    let large = vec![7; 1 << 20];
    let mut out = Vec::new();
    call.session.write(&mut [], &large, &mut out).unwrap();
    assert!((1 << 20..(1 << 20) + 65 * 64).contains(&out.len()), "{}", out.len());
    let mut heard = Vec::new();
    let mut rest = &out[..];
    while !rest.is_empty() {
        call.client.read_tls(&mut rest).unwrap();
        call.client.process_new_packets().unwrap();
        let mut some = vec![0; 64 << 10];
        while let Ok(read @ 1..) = call.client.reader().read(&mut some) {
            heard.extend_from_slice(&some[..read]);
        }
    }
    assert!(heard == large);
}

#[test]
fn an_earlier_session_is_taken_up_by_ticket() {
    let pair = Pair::of_days(1);
    for version in BOTH {
        let keys = TicketKeys::random().unwrap();
        let first = house_with(&pair, Version::Tls12, &[version], &keys);
        let mut call = Call::new(&first);
        call.settle().unwrap();
        assert!(!call.session.is_resumed());
        // After a renewal, and with another certificate read.
        let renewed = house_with(&Pair::of_days(2), Version::Tls12, &[version], &keys.renewed().unwrap());
        let mut again = Call::new(&House { server: renewed.server, client: first.client.clone() });
        again.settle().unwrap();
        assert!(again.session.is_resumed(), "{version:?}");
        again.say(b"again");
        assert_eq!(again.said(5), b"again");
        let other = house(&pair, Version::Tls12, &[version]);
        let mut stranger = Call::new(&House { server: other.server, client: first.client });
        stranger.settle().unwrap();
        assert!(!stranger.session.is_resumed(), "{version:?}");
    }
}

#[test]
fn the_last_is_said_once_and_heard() {
    let mut call = Call::new(&house(&Pair::of_days(1), Version::Tls12, BOTH));
    call.settle().unwrap();
    call.client.writer().write_all(b"bye").unwrap();
    call.client.send_close_notify();
    call.settle().unwrap();
    assert!(call.session.has_heard_all() && call.heard == b"bye");
    let mut out = Vec::new();
    call.session.write(&mut [], b"bye!", &mut out).unwrap();
    call.session.finish(&mut [], &mut out).unwrap();
    let length = out.len();
    call.session.finish(&mut [], &mut out).unwrap();
    assert_eq!(out.len(), length);
    hears(&mut call.client, &out);
    assert_eq!(call.said(4), b"bye!");
    assert_eq!(call.client.reader().read(&mut [0; 8]).unwrap(), 0, "a clean end");
}

#[test]
fn what_is_no_tls_ends_with_an_alert() {
    let house = house(&Pair::of_days(1), Version::Tls12, BOTH);
    for bytes in
        [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], &[22, 3, 1, 0, 4, 9, 9, 9, 9], &[22, 3, 1, 0xff, 0xff, 1], &[0x80; 64]]
    {
        let (mut plain, mut out) = (Vec::new(), Vec::new());
        let mut session = Session::new(&house.server).unwrap();
        session.read(&mut bytes.to_vec(), &mut plain, &mut out).unwrap_err();
        assert!(plain.is_empty() && (out.is_empty() || out.first() == Some(&21) && out.len() == 7), "{bytes:?}: {out:?}");
    }
    let mut call = Call::new(&house);
    call.settle().unwrap();
    let mut out = Vec::new();
    // A record of the right form that nobody has sealed.
    let fault = call.session.read(&mut [vec![23, 3, 3, 0, 40], vec![5; 40]].concat(), &mut Vec::new(), &mut out).unwrap_err();
    assert!(fault.to_string().contains("decrypt"), "{fault}");
    assert!(hears(&mut call.client, &out).contains("BadRecordMac"));
    call.session.write(&mut [], b"more", &mut out).unwrap_err();
    call.session.read(&mut [23], &mut Vec::new(), &mut out).unwrap_err();
}

/// A client that cuts a message after the handshake into records of one byte each, which only one with the keys can: the server must bear
/// to speak in between.
#[test]
fn whoever_leaves_a_message_in_the_middle_is_spoken_to_all_the_same() {
    let house = house(&Pair::of_days(1), Version::Tls13, &[&rustls::version::TLS13]);
    let mut config = ClientConfig::clone(&house.client);
    config.enable_secret_extraction = true;
    let mut call = Call::new(&House { server: house.server, client: Arc::new(config) });
    call.settle().unwrap();
    let Call { mut session, client, .. } = call;
    let secrets = client.dangerous_extract_secrets().unwrap();
    let half_of_a_key_update = sealed_record(secrets.tx, &[24, 0], 22);
    let (mut unread, mut plain, mut out) = (half_of_a_key_update, Vec::new(), Vec::new());
    let used = session.read(&mut unread, &mut plain, &mut out).unwrap();
    unread.drain(..used);
    session.write(&mut unread, b"hello", &mut out).unwrap();
    session.finish(&mut unread, &mut out).unwrap();
    assert!(!out.is_empty() && plain.is_empty());
}

/// A record of TLS 1.3 with this content and type, sealed as the client would (RFC 8446, 5.2).
fn sealed_record((sequence, secrets): (u64, rustls::ConnectionTrafficSecrets), content: &[u8], kind: u8) -> Vec<u8> {
    use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
    use rustls::ConnectionTrafficSecrets::{Aes128Gcm, Aes256Gcm, Chacha20Poly1305};
    let (algorithm, key, iv) = match &secrets {
        Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
        Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
        Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
        _ => panic!("another suite"),
    };
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).unwrap());
    let mut nonce: [u8; 12] = iv.as_ref().try_into().unwrap();
    nonce[4..].iter_mut().zip(sequence.to_be_bytes()).for_each(|(byte, other)| *byte ^= other);
    let mut body = [content, &[kind]].concat();
    let header = [23, 3, 3, 0, (body.len() + 16) as u8];
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(header), &mut body).unwrap();
    [&header[..], &body].concat()
}

#[test]
fn files_that_cannot_be_served_with() {
    let (pair, other) = (Pair::of_days(30), Pair::of_days(-3));
    let read = |chain: &str, key: &str| Certificate::read(chain.as_bytes(), key.as_bytes()).map(|_| ());
    assert_eq!(read("", &pair.key), Err(Flaw::NoCertificate));
    assert_eq!(read(&pair.key, &pair.key), Err(Flaw::NoCertificate));
    assert_eq!(read(&pair.chain.replace("MII", "AII"), &pair.key), Err(Flaw::BadCertificate));
    assert_eq!(read(&pair.chain, ""), Err(Flaw::NoKey));
    assert_eq!(read(&pair.chain, &pair.chain), Err(Flaw::NoKey));
    assert_eq!(read(&pair.chain, &pair.key.replace("MIG", "MIH")), Err(Flaw::BadKey));
    assert_eq!(read(&pair.chain, &other.key), Err(Flaw::OtherKey));
    assert_eq!(read(&pair.chain, &pair.key), Ok(()));
    // The first to run out in the chain counts, and one that has run out is read all the same.
    let chain = format!("{}{}", pair.chain, other.chain);
    let certificate = Certificate::read(chain.as_bytes(), pair.key.as_bytes()).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert!(certificate.until() < now && certificate.from() < now);
    assert!(certificate.subject().starts_with("CN="));
}
