//! Tokens of issuers that publish their keys, and sets that are none or not to be gone by.

use super::*;
use crate::auth::{KeySet, KeySource, SetFlaw, SetIssuer};
use std::sync::Arc;

const HOUR: UnixMicros = UnixMicros(NOW.0 + 3_600_000_000);

/// The DER of a public key.
fn der(public: &Secret) -> Vec<u8> {
    let text = String::from_utf8_lossy(public.expose()).into_owned();
    STANDARD.decode(text.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap()
}

/// The members of a JWK that are the key itself.
fn members(algorithm: Algorithm, public: &Secret) -> String {
    let last = |bytes: usize| {
        let der = der(public);
        der[der.len() - bytes..].to_vec()
    };
    match algorithm {
        // The modulus stands before the exponent, which is 02 03 01 00 01.
        Algorithm::RS256 | Algorithm::PS256 => format!(r#""kty":"RSA","e":"AQAB","n":"{}""#, b64(&last(261)[..256])),
        Algorithm::ES256 => format!(r#""kty":"EC","crv":"P-256","x":"{}","y":"{}""#, b64(&last(64)[..32]), b64(last(32))),
        Algorithm::EdDSA => format!(r#""kty":"OKP","crv":"Ed25519","x":"{}""#, b64(last(32))),
        Algorithm::HS256 => format!(r#""kty":"oct","k":"{}""#, b64(public.expose())),
    }
}

fn jwk(algorithm: Algorithm, public: &Secret, more: &str) -> String {
    format!("{{{}{more}}}", members(algorithm, public))
}

fn own(algorithm: Algorithm, more: &str) -> String {
    jwk(algorithm, &pair(algorithm).public, more)
}

fn set(keys: &[String]) -> Vec<u8> {
    format!(r#"{{"keys":[{}]}}"#, keys.join(",")).into_bytes()
}

fn read(keys: &[String]) -> KeySet {
    KeySet::read(&set(keys), None).unwrap()
}

/// Issuer `school` by this source.
fn publishing(source: &Arc<KeySource>) -> Authority {
    let (name, audiences) = ("school".to_owned(), vec!["usr.example.org".to_owned()]);
    Authority::with_sets([], [SetIssuer { name, audiences, source: source.clone() }]).unwrap()
}

fn holding(keys: &[String]) -> Arc<KeySource> {
    let source = Arc::new(KeySource::new("there"));
    source.take(read(keys), NOW, NOW);
    source
}

/// A token of GOOD with this header, signed with a key of ours under the algorithm.
fn token(header: &str, algorithm: Algorithm) -> String {
    signed(algorithm, header, GOOD)
}

fn named(algorithm: Algorithm, kid: &str) -> String {
    token(&format!(r#"{{"alg":"{algorithm}","kid":{kid}}}"#), algorithm)
}

#[test]
fn the_key_that_is_named_decides_and_nothing_else_in_the_header() {
    let source = holding(&[
        own(Algorithm::RS256, r#","kid":"rsa","alg":"RS256","use":"sig""#),
        own(Algorithm::PS256, r#","kid":"pss","key_ops":["verify"]"#),
        own(Algorithm::ES256, r#","kid":"ec","x5u":"http://127.0.0.1/","x5c":["nonsense"]"#),
        own(Algorithm::EdDSA, r#","kid":"ed""#),
        own(Algorithm::ES256, r#","kid":"../../../../etc/passwd""#),
    ]);
    let authority = publishing(&source);
    let stranger = generate(Algorithm::ES256);
    let by = |header: &str, algorithm: Algorithm, key: &Secret| {
        let message = format!("{}.{}", b64(header), b64(GOOD));
        format!("{message}.{}", signature(&message, algorithm, key))
    };
    let public = &pair(Algorithm::RS256).public;
    let bare = der(public);
    let hmac = |alg: &str, kid: &str, key: &[u8]| {
        let header = format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#);
        let message = format!("{}.{}", b64(header), b64(GOOD));
        format!("{message}.{}", signature(&message, Algorithm::HS256, &Secret::new(key)))
    };
    let jwk_of_stranger = jwk(Algorithm::ES256, &stranger.public, r#","kid":"ec""#);
    let rows: Vec<(&str, String, Result<(), Flaw>)> = vec![
        ("RS256", named(Algorithm::RS256, r#""rsa""#), Ok(())),
        ("PS256 by a key that says nothing of it", named(Algorithm::PS256, r#""pss""#), Ok(())),
        ("ES256", named(Algorithm::ES256, r#""ec""#), Ok(())),
        ("EdDSA", named(Algorithm::EdDSA, r#""ed""#), Ok(())),
        ("kid escaped", named(Algorithm::EdDSA, r#""\u0065d""#), Ok(())),
        ("kid that is a path, and is the name of a key", named(Algorithm::ES256, r#""../../../../etc/passwd""#), Ok(())),
        ("no kid", token(r#"{"alg":"EdDSA"}"#, Algorithm::EdDSA), Ok(())),
        ("kid null", named(Algorithm::EdDSA, "null"), Ok(())),
        ("kid that is a path to a file of nothing", named(Algorithm::ES256, r#""../../../../dev/null""#), Err(Flaw::UnknownKey)),
        ("kid SQL", named(Algorithm::ES256, r#""ec' OR '1'='1""#), Err(Flaw::UnknownKey)),
        ("kid empty", named(Algorithm::ES256, r#""""#), Err(Flaw::UnknownKey)),
        ("kid with an end of text", named(Algorithm::ES256, r#""ec\u0000""#), Err(Flaw::UnknownKey)),
        ("kid in capitals", named(Algorithm::ES256, r#""EC""#), Err(Flaw::UnknownKey)),
        ("kid a number", named(Algorithm::ES256, "1"), Err(Flaw::Header)),
        ("kid a list", named(Algorithm::ES256, r#"["ec"]"#), Err(Flaw::Header)),
        ("kid of a key of another kind", named(Algorithm::ES256, r#""ed""#), Err(Flaw::Algorithm)),
        ("a key for RS256 alone, for PS256", named(Algorithm::PS256, r#""rsa""#), Err(Flaw::Algorithm)),
        (
            "kid of one key, signed by another",
            by(r#"{"alg":"ES256","kid":"ec"}"#, Algorithm::ES256, &stranger.private),
            Err(Flaw::Signature),
        ),
        (
            "its own jwk",
            by(&format!(r#"{{"alg":"ES256","kid":"ec","jwk":{jwk_of_stranger}}}"#), Algorithm::ES256, &stranger.private),
            Err(Flaw::Signature),
        ),
        (
            "its own jwk and no name",
            by(&format!(r#"{{"alg":"ES256","jwk":{jwk_of_stranger}}}"#), Algorithm::ES256, &stranger.private),
            Err(Flaw::Signature),
        ),
        (
            "its own place of keys",
            by(
                r#"{"alg":"ES256","kid":"new","jku":"http://127.0.0.1/jwks","x5u":"file:///x"}"#,
                Algorithm::ES256,
                &stranger.private,
            ),
            Err(Flaw::UnknownKey),
        ),
        (
            "jku and x5u that nobody asks",
            token(r#"{"alg":"ES256","kid":"ec","jku":"http://127.0.0.1:1/"}"#, Algorithm::ES256),
            Ok(()),
        ),
        ("HS256 by the public PEM", hmac("HS256", "rsa", public.expose()), Err(Flaw::Algorithm)),
        ("HS256 by the public DER", hmac("HS256", "rsa", &bare), Err(Flaw::Algorithm)),
        ("HS256 by the modulus", hmac("HS256", "rsa", &bare[bare.len() - 261..bare.len() - 5]), Err(Flaw::Algorithm)),
        ("HS256 by the set", hmac("HS256", "pss", &set(&[own(Algorithm::RS256, "")])), Err(Flaw::Algorithm)),
        ("RS256 that is an HMAC", hmac("RS256", "rsa", public.expose()), Err(Flaw::Signature)),
        (
            "HS256 and no name",
            hmac("HS256", "", b"").replace(&b64(r#"{"alg":"HS256","kid":""}"#), &b64(r#"{"alg":"HS256"}"#)),
            Err(Flaw::Algorithm),
        ),
        ("alg none", format!("{}.{}.", b64(r#"{"alg":"none","kid":"ec"}"#), b64(GOOD)), Err(Flaw::Algorithm)),
        ("crit", token(r#"{"alg":"ES256","kid":"ec","crit":["b64"]}"#, Algorithm::ES256), Err(Flaw::Algorithm)),
    ];
    for (name, token, expected) in rows {
        assert!(!source.was_wanted());
        assert_eq!(authority.examine(&token, NOW).map(drop), expected, "{name}");
        assert_eq!(source.was_wanted(), expected == Err(Flaw::UnknownKey), "{name}: has the set read again");
    }
}

#[test]
fn only_a_token_that_could_be_good_has_the_set_read_again() {
    let source = holding(&[own(Algorithm::EdDSA, r#","kid":"ed""#)]);
    let authority = publishing(&source);
    let header = r#"{"alg":"EdDSA","kid":"new"}"#;
    for (payload, expected) in [
        (r#"{"iss":"school","aud":"usr.example.org","sub":"u1","exp":1}"#, Flaw::Expired),
        (r#"{"iss":"school","aud":"nbr.example.org","sub":"u1"}"#, Flaw::Audience),
        (r#"{"iss":"school","aud":"usr.example.org","sub":""}"#, Flaw::Subject),
        (r#"{"iss":"another","aud":"usr.example.org","sub":"u1"}"#, Flaw::Issuer),
    ] {
        assert_eq!(authority.examine(&signed(Algorithm::EdDSA, header, payload), NOW), Err(expected));
        assert!(!source.was_wanted(), "{payload}");
    }
    assert_eq!(authority.examine(&signed(Algorithm::EdDSA, header, GOOD), NOW), Err(Flaw::UnknownKey));
    assert!(source.was_wanted() && !source.was_wanted(), "once");
    // Before the first read every key is unknown.
    let unread = Arc::new(KeySource::new("there"));
    let token = token(r#"{"alg":"EdDSA"}"#, Algorithm::EdDSA);
    assert_eq!(publishing(&unread).examine(&token, NOW), Err(Flaw::UnknownKey));
    assert!(unread.was_wanted());
    unread.fail("not reached");
    assert_eq!((unread.standing().keys, unread.standing().failures, unread.standing().read_at), (0, 1, None));
}

#[test]
fn a_key_that_was_taken_out_stays_good_for_its_time_and_a_failure_changes_nothing() {
    let (old, new) = (own(Algorithm::ES256, r#","kid":"a""#), own(Algorithm::EdDSA, r#","kid":"b""#));
    let source = holding(std::slice::from_ref(&old));
    let authority = publishing(&source);
    let (first, second) = (named(Algorithm::ES256, r#""a""#), named(Algorithm::EdDSA, r#""b""#));
    let good = |now| [&first, &second].map(|token| authority.verify(token, now).is_ok());
    assert_eq!(good(NOW), [true, false]);
    source.fail("answered 500");
    let standing = source.standing();
    assert_eq!((good(NOW), standing.keys, standing.fault.as_deref()), ([true, false], 1, Some("answered 500")));
    assert!(source.take(read(&[old.clone(), new.clone()]), NOW, HOUR), "another set");
    assert_eq!((good(NOW), source.standing().fault), ([true, true], None));
    assert!(!source.take(read(&[new.clone(), old.clone()]), NOW, HOUR), "the same in another order");
    assert!(source.take(read(std::slice::from_ref(&new)), NOW, HOUR));
    let last = UnixMicros(HOUR.0 - 1);
    assert_eq!((good(last), good(HOUR), source.standing().former), ([true, true], [false, true], 1));
    // Read again meanwhile: its time does not begin anew, and in the set once more it is none of the former.
    source.take(read(std::slice::from_ref(&new)), last, UnixMicros(HOUR.0 * 2));
    assert_eq!(good(HOUR), [false, true]);
    source.take(read(&[old, new.clone()]), HOUR, HOUR);
    assert_eq!((good(HOUR), source.standing().former), ([true, true], 0));
    // With no time at all it is gone at once.
    source.take(read(&[new]), HOUR, HOUR);
    assert_eq!((good(HOUR), source.standing().former), ([false, true], 0));
}

#[test]
fn other_settings_keep_what_was_good() {
    let (a, b) = (own(Algorithm::ES256, r#","kid":"a""#), own(Algorithm::EdDSA, r#","kid":"b""#));
    let (first, second) = (named(Algorithm::ES256, r#""a""#), named(Algorithm::EdDSA, r#""b""#));
    let good = |authority: &Authority, now| [&first, &second].map(|token| authority.verify(token, now).is_ok());
    let before = publishing(&holding(std::slice::from_ref(&a)));
    // The same place, asked later: the set that was read there.
    let source = Arc::new(KeySource::new("there"));
    let mut same = publishing(&source);
    assert_eq!(same.succeed(&before, NOW, HOUR), [""; 0]);
    assert_eq!((good(&same, HOUR), source.standing().keys), ([true, false], 1));
    // The same place, read already.
    let mut read_anew = publishing(&holding(std::slice::from_ref(&b)));
    assert_eq!(read_anew.succeed(&before, NOW, HOUR), ["school"]);
    assert_eq!((good(&read_anew, NOW), good(&read_anew, HOUR)), ([true, true], [false, true]));
    // Another place: what was good there is good for a while, and an unknown key has the new one read.
    let elsewhere = Arc::new(KeySource::new("elsewhere"));
    let mut moved = publishing(&elsewhere);
    assert_eq!(moved.succeed(&before, NOW, HOUR), ["school"]);
    assert_eq!((good(&moved, NOW), good(&moved, HOUR)), ([true, false], [false, false]));
    assert!(elsewhere.was_wanted());
    // From a set to one key and back.
    let issuer = Issuer {
        name: "school".into(),
        audiences: vec!["usr.example.org".into()],
        algorithm: Algorithm::EdDSA,
        key: pair(Algorithm::EdDSA).public.clone(),
    };
    let mut one = Authority::new([issuer]).unwrap();
    assert_eq!(one.succeed(&before, NOW, HOUR), ["school"]);
    assert_eq!((good(&one, NOW), good(&one, HOUR)), ([true, true], [false, true]));
    let mut back = publishing(&holding(&[a]));
    assert_eq!(back.succeed(&one, NOW, HOUR), ["school"]);
    assert_eq!((good(&back, NOW), good(&back, HOUR)), ([true, true], [true, false]));
}

#[test]
fn keys_without_a_name_are_tried_but_not_all_of_many() {
    let others = |count: usize| (0..count).map(|_| jwk(Algorithm::EdDSA, &generate(Algorithm::EdDSA).public, ""));
    let unnamed = token(r#"{"alg":"EdDSA"}"#, Algorithm::EdDSA);
    for (before, expected) in [(4, Ok(())), (5, Err(Flaw::Signature))] {
        let keys: Vec<String> = others(before).chain([own(Algorithm::EdDSA, "")]).collect();
        let authority = publishing(&holding(&keys));
        assert_eq!(authority.examine(&unnamed, NOW).map(drop), expected, "{before} before it");
        let with_name = named(Algorithm::EdDSA, r#""ed""#);
        assert_eq!(authority.examine(&with_name, NOW).map(drop), Err(Flaw::UnknownKey), "a name is that of a key");
    }
}

#[test]
fn a_set_is_taken_whole_or_not_at_all() {
    let fine = || own(Algorithm::EdDSA, r#","kid":"fine""#);
    let rsa_1024 = format!(r#"{{"kty":"RSA","e":"AQAB","n":"{}"}}"#, b64([0xdb; 128]));
    let rsa_8200 = format!(r#"{{"kty":"RSA","e":"AQAB","n":"{}"}}"#, b64([0xdb; 1025]));
    let with_e = |e: &[u8]| own(Algorithm::RS256, "").replace("AQAB", &b64(e));
    let with_member = |member: &str| own(Algorithm::RS256, &format!(r#","{member}":"AQAB""#));
    let mut rows: Vec<(&str, Vec<String>, Result<usize, SetFlaw>)> = vec![
        ("one", vec![fine()], Ok(1)),
        ("one of RSA has two algorithms and is one", vec![own(Algorithm::RS256, "")], Ok(1)),
        ("a modulus with zeros before", vec![own(Algorithm::RS256, "").replace(r#""n":""#, r#""n":"AAAA"#)], Ok(1)),
        ("none", vec![], Err(SetFlaw::Empty)),
        ("a secret", vec![fine(), own(Algorithm::HS256, "")], Err(SetFlaw::Symmetric(2))),
        ("a secret in a public key", vec![own(Algorithm::EdDSA, r#","k":"AQAB""#)], Err(SetFlaw::Symmetric(1))),
        ("a private part of null", vec![own(Algorithm::EdDSA, r#","d":null"#)], Err(SetFlaw::Private(1))),
        (
            "a private part of a key for encryption",
            vec![fine(), own(Algorithm::RS256, r#","use":"enc","d":"AQAB""#)],
            Err(SetFlaw::Private(2)),
        ),
        ("a private part of an unknown kind", vec![r#"{"kty":"AKP","priv":"AQAB"}"#.into()], Err(SetFlaw::Private(1))),
        ("RSA of 1024 bits", vec![fine(), rsa_1024.clone()], Err(SetFlaw::Bits(2, 1024))),
        ("RSA of 8200 bits", vec![rsa_8200], Err(SetFlaw::Bits(1, 8200))),
        ("RSA of 1024 bits for encryption", vec![fine(), rsa_1024.replace('{', r#"{"use":"enc","#)], Ok(1)),
        ("exponent 1", vec![with_e(&[1])], Err(SetFlaw::Malformed(1))),
        ("exponent 0", vec![with_e(&[0])], Err(SetFlaw::Malformed(1))),
        ("an even exponent", vec![with_e(&[4])], Err(SetFlaw::Malformed(1))),
        ("a long exponent", vec![with_e(&[1; 5])], Err(SetFlaw::Malformed(1))),
        ("no exponent", vec![own(Algorithm::RS256, "").replace(r#""e":"AQAB","#, "")], Err(SetFlaw::Malformed(1))),
        (
            "a point of no curve",
            vec![format!(r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#, b64([1; 32]), b64([1; 32]))],
            Err(SetFlaw::Malformed(1)),
        ),
        (
            "a short number of a point",
            vec![format!(r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#, b64([1; 31]), b64([1; 32]))],
            Err(SetFlaw::Malformed(1)),
        ),
        (
            "a long key of Ed25519",
            vec![format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, b64([1; 33]))],
            Err(SetFlaw::Malformed(1)),
        ),
        ("not base64url", vec![fine().replace(r#""x":""#, r#""x":"+"#)], Err(SetFlaw::Malformed(1))),
        ("padded", vec![own(Algorithm::RS256, "").replace("AQAB", "AQAB=")], Err(SetFlaw::Malformed(1))),
        ("a member twice", vec![own(Algorithm::EdDSA, r#","kid":"a","kid":"b""#)], Err(SetFlaw::Malformed(1))),
        ("no kind", vec![fine(), r#"{"crv":"Ed25519"}"#.into()], Err(SetFlaw::Malformed(2))),
        ("a key that is a list", vec![r#"["OKP"]"#.into()], Err(SetFlaw::Malformed(1))),
        ("kid a number", vec![own(Algorithm::EdDSA, r#","kid":1"#)], Err(SetFlaw::Malformed(1))),
        ("another curve beside", vec![fine(), r#"{"kty":"EC","crv":"P-384","x":"AQAB","y":"AQAB"}"#.into()], Ok(1)),
        ("another kind beside", vec![r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AQAB"}"#.into(), fine()], Ok(1)),
        ("another algorithm beside", vec![own(Algorithm::RS256, r#","alg":"RS512""#), fine()], Ok(1)),
        ("the algorithm of another kind", vec![own(Algorithm::RS256, r#","alg":"HS256""#)], Err(SetFlaw::Empty)),
        ("only for encryption", vec![own(Algorithm::RS256, r#","use":"enc""#)], Err(SetFlaw::Empty)),
        ("only to sign", vec![own(Algorithm::EdDSA, r#","key_ops":["sign"]"#)], Err(SetFlaw::Empty)),
        ("a hundred", (0..100).map(|_| fine()).collect(), Ok(100)),
        ("a hundred and one", (0..101).map(|_| fine()).collect(), Err(SetFlaw::TooMany(101))),
    ];
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        rows.push((member, vec![with_member(member)], Err(SetFlaw::Private(1))));
    }
    for (name, keys, expected) in rows {
        assert_eq!(KeySet::read(&set(&keys), None).map(|set| set.len()), expected, "{name}");
    }
    for text in ["", "keys", "[]", r#"[{"keys":[]}]"#, r#"{"keys":{}}"#, "{}", "<html>", "{\"keys\":[]", "\u{feff}{\"keys\":[]}"]
    {
        assert_eq!(KeySet::read(text.as_bytes(), None).map(drop), Err(SetFlaw::Shape), "{text}");
    }
    let long = [set(&[fine()]), vec![b' '; 1 << 20]].concat();
    assert_eq!(KeySet::read(&long, None).map(drop), Err(SetFlaw::TooLong));
    let deep = format!(r#"{{"keys":[{}{}]}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(KeySet::read(deep.as_bytes(), None).map(drop), Err(SetFlaw::Malformed(1)));
}

#[test]
fn an_issuer_may_be_bound_to_one_algorithm() {
    let keys = [own(Algorithm::PS256, r#","kid":"rsa""#), own(Algorithm::ES256, r#","kid":"ec""#)];
    let only = |algorithm| KeySet::read(&set(&keys), Some(algorithm)).map(|set| set.len());
    assert_eq!([Algorithm::RS256, Algorithm::PS256, Algorithm::ES256].map(only), [Ok(1), Ok(1), Ok(1)]);
    assert_eq!([Algorithm::EdDSA, Algorithm::HS256].map(only), [Err(SetFlaw::Empty), Err(SetFlaw::Empty)]);
    let source = Arc::new(KeySource::new("there"));
    source.take(KeySet::read(&set(&keys), Some(Algorithm::PS256)).unwrap(), NOW, NOW);
    let authority = publishing(&source);
    assert_eq!(authority.examine(&named(Algorithm::PS256, r#""rsa""#), NOW).map(drop), Ok(()));
    assert_eq!(authority.examine(&named(Algorithm::RS256, r#""rsa""#), NOW), Err(Flaw::Algorithm));
    assert_eq!(authority.examine(&named(Algorithm::ES256, r#""ec""#), NOW), Err(Flaw::UnknownKey));
}

#[test]
fn no_flaw_shows_what_was_read() {
    let marked = r#"{"keys":[{"kty":"oct","k":"marker","kid":"marker"}]}"#;
    let flaw = KeySet::read(marked.as_bytes(), None).unwrap_err();
    assert!(!format!("{flaw} {flaw:?}").contains("marker"), "{flaw}");
    let source = holding(&[own(Algorithm::EdDSA, r#","kid":"marker""#)]);
    let shown = format!("{source:?} {:?}", publishing(&source));
    assert!(!shown.contains(&b64(&der(&pair(Algorithm::EdDSA).public)[12..])), "{shown}");
}
