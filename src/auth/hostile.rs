//! Good and hostile tokens, each under all algorithms, with what is to be found wrong in each.

mod key_sets;
mod keys;

use super::*;
use crate::realtime::UnixMicros;
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{EncodingKey, crypto};
use std::sync::LazyLock;

const NOW: UnixMicros = UnixMicros(1_700_000_000_000_000);

/// A key pair as files would hold it; for HS256 both are the secret.
struct Pair {
    private: Secret,
    public: Secret,
}

fn pem(label: &str, der: &[u8]) -> Secret {
    Secret::new(format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der)))
}

fn generate(algorithm: Algorithm) -> Pair {
    let rng = aws_lc_rs::rand::SystemRandom::new();
    let (private, public) = match algorithm {
        Algorithm::HS256 => {
            let mut bytes = [0; 32];
            aws_lc_rs::rand::fill(&mut bytes).unwrap();
            return Pair { private: Secret::new(bytes), public: Secret::new(bytes) };
        }
        Algorithm::ES256 => {
            let private = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private.as_ref()).unwrap();
            let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
            (private.as_ref().to_vec(), public.as_ref().to_vec())
        }
        Algorithm::RS256 | Algorithm::PS256 => rsa_der(),
        Algorithm::EdDSA => {
            let private = Ed25519KeyPair::generate_pkcs8v1(&rng).unwrap();
            let pair = Ed25519KeyPair::from_pkcs8(private.as_ref()).unwrap();
            let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
            (private.as_ref().to_vec(), public.as_ref().to_vec())
        }
    };
    Pair { private: pem("PRIVATE KEY", &private), public: pem("PUBLIC KEY", &public) }
}

fn rsa_der() -> (Vec<u8>, Vec<u8>) {
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    (private.as_ref().to_vec(), public.as_ref().to_vec())
}

/// A well-formed PKCS#1 public key (RFC 8017, appendix A.1.1) whose modulus has 1024 bits.
fn rsa_1024_public() -> Secret {
    let der = [&[0x30, 0x81, 0x89, 0x02, 0x81, 0x81, 0x00][..], &[0xdb; 128], &[0x02, 0x03, 0x01, 0x00, 0x01]].concat();
    pem("RSA PUBLIC KEY", &der)
}

fn p384_public() -> Secret {
    let rng = aws_lc_rs::rand::SystemRandom::new();
    let private = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &rng).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, private.as_ref()).unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    pem("PUBLIC KEY", public.as_ref())
}

/// The key pairs of the issuers, made once.
static PAIRS: LazyLock<[Pair; 5]> = LazyLock::new(|| Algorithm::ALL.map(generate));

fn pair(algorithm: Algorithm) -> &'static Pair {
    &PAIRS[Algorithm::ALL.iter().position(|known| *known == algorithm).unwrap()]
}

fn other_than(algorithm: Algorithm) -> Algorithm {
    if algorithm == Algorithm::HS256 { Algorithm::RS256 } else { Algorithm::HS256 }
}

/// Issuer `school` under the algorithm in question, and `neighbour` with a key, an algorithm and an audience of its own.
fn authority(algorithm: Algorithm) -> Authority {
    let issuer = |name: &str, audiences: &[&str], algorithm| Issuer {
        name: name.into(),
        audiences: audiences.iter().map(|audience| (*audience).into()).collect(),
        algorithm,
        key: pair(algorithm).public.clone(),
    };
    Authority::new([
        issuer("school", &["usr.example.org", "svc.example.org", "школа"], algorithm),
        issuer("neighbour", &["nbr.example.org"], other_than(algorithm)),
    ])
    .unwrap()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signature(message: &str, algorithm: Algorithm, key: &Secret) -> String {
    let key = match algorithm {
        Algorithm::HS256 => EncodingKey::from_secret(key.expose()),
        Algorithm::ES256 => EncodingKey::from_ec_pem(key.expose()).unwrap(),
        Algorithm::RS256 | Algorithm::PS256 => EncodingKey::from_rsa_pem(key.expose()).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(key.expose()).unwrap(),
    };
    crypto::sign(message.as_bytes(), &key, algorithm.in_jsonwebtoken()).unwrap()
}

/// Signs any two texts as header and payload with the right key of `algorithm`.
fn signed(algorithm: Algorithm, header: &str, payload: &str) -> String {
    let message = format!("{}.{}", b64(header), b64(payload));
    let signature = signature(&message, algorithm, &pair(algorithm).private);
    format!("{message}.{signature}")
}

fn header(algorithm: Algorithm) -> String {
    format!(r#"{{"typ":"JWT","alg":"{algorithm}"}}"#)
}

const GOOD: &str = r#"{"iss":"school","aud":"usr.example.org","sub":"u1"}"#;

/// What `examine` is to say: subject and audience, or the flaw.
type Expected = Result<(&'static str, &'static str), Flaw>;

const OK: Expected = Ok(("u1", "usr.example.org"));

/// Tokens whose payload is all that differs from a good one.
fn payloads() -> Vec<(&'static str, &'static str, Expected)> {
    vec![
        ("good, no end", GOOD, OK),
        ("spaces and unknown claims", " {\"x\":[{}], \"iss\":\"school\" ,\"aud\":\"usr.example.org\",\"sub\":\"u1\"}\n", OK),
        ("nested claims are not claims", r#"{"iss":"school","aud":"usr.example.org","sub":"u1","x":{"sub":"root"}}"#, OK),
        ("ends in a second", r#"{"iss":"school","aud":"usr.example.org","sub":"u1","exp":1700000001}"#, OK),
        ("ends this second", r#"{"iss":"school","aud":"usr.example.org","sub":"u1","exp":1700000000}"#, Err(Flaw::Expired)),
        ("ended a second ago", r#"{"iss":"school","aud":"usr.example.org","sub":"u1","exp":1699999999}"#, Err(Flaw::Expired)),
        ("ends in half a second", r#"{"iss":"school","aud":"usr.example.org","sub":"u1","exp":1700000000.5}"#, OK),
        ("ended before 1970", r#"{"iss":"school","aud":"usr.example.org","sub":"u1","exp":-1}"#, Err(Flaw::Expired)),
        ("ends at the end of time", r#"{"iss":"school","aud":"usr.example.org","sub":"u1","exp":18446744073709551615}"#, OK),
        ("ends beyond numbers", r#"{"iss":"school","aud":"usr.example.org","sub":"u1","exp":1e999}"#, Err(Flaw::Claims)),
        ("exp as text", r#"{"iss":"school","aud":"usr.example.org","sub":"u1","exp":"1700000001"}"#, Err(Flaw::Claims)),
        ("exp null", r#"{"iss":"school","aud":"usr.example.org","sub":"u1","exp":null}"#, Err(Flaw::Claims)),
        ("exp twice", r#"{"exp":1,"iss":"school","aud":"usr.example.org","sub":"u1","exp":1700000001}"#, Err(Flaw::Claims)),
        ("begins now", r#"{"iss":"school","aud":"usr.example.org","sub":"u1","nbf":1700000000}"#, OK),
        ("begins in a second", r#"{"iss":"school","aud":"usr.example.org","sub":"u1","nbf":1700000001}"#, Err(Flaw::TooEarly)),
        ("nbf list", r#"{"iss":"school","aud":"usr.example.org","sub":"u1","nbf":[0]}"#, Err(Flaw::Claims)),
        ("no iss", r#"{"aud":"usr.example.org","sub":"u1"}"#, Err(Flaw::Claims)),
        ("no aud", r#"{"iss":"school","sub":"u1"}"#, Err(Flaw::Claims)),
        ("no sub", r#"{"iss":"school","aud":"usr.example.org"}"#, Err(Flaw::Claims)),
        ("empty sub", r#"{"iss":"school","aud":"usr.example.org","sub":""}"#, Err(Flaw::Subject)),
        ("sub null", r#"{"iss":"school","aud":"usr.example.org","sub":null}"#, Err(Flaw::Claims)),
        ("sub a number", r#"{"iss":"school","aud":"usr.example.org","sub":1}"#, Err(Flaw::Claims)),
        ("sub twice", r#"{"iss":"school","aud":"usr.example.org","sub":"u1","sub":"u2"}"#, Err(Flaw::Claims)),
        ("sub twice, one escaped", r#"{"iss":"school","aud":"usr.example.org","sub":"u1","s\u0075b":"u2"}"#, Err(Flaw::Claims)),
        ("iss twice", r#"{"iss":"neighbour","iss":"school","aud":"usr.example.org","sub":"u1"}"#, Err(Flaw::Claims)),
        ("iss a list", r#"{"iss":["school"],"aud":"usr.example.org","sub":"u1"}"#, Err(Flaw::Claims)),
        ("iss unknown", r#"{"iss":"School","aud":"usr.example.org","sub":"u1"}"#, Err(Flaw::Issuer)),
        ("iss empty", r#"{"iss":"","aud":"usr.example.org","sub":"u1"}"#, Err(Flaw::Issuer)),
        ("aud a list of one", r#"{"iss":"school","aud":["usr.example.org"],"sub":"u1"}"#, Err(Flaw::Claims)),
        ("aud a list of two", r#"{"iss":"school","aud":["usr.example.org","svc.example.org"],"sub":"u1"}"#, Err(Flaw::Claims)),
        ("aud of the neighbour", r#"{"iss":"school","aud":"nbr.example.org","sub":"u1"}"#, Err(Flaw::Audience)),
        ("aud longer than one listed", r#"{"iss":"school","aud":"usr.example.org.evil","sub":"u1"}"#, Err(Flaw::Audience)),
        ("aud in capitals", r#"{"iss":"school","aud":"USR.example.org","sub":"u1"}"#, Err(Flaw::Audience)),
        ("aud empty", r#"{"iss":"school","aud":"","sub":"u1"}"#, Err(Flaw::Audience)),
        ("second listed aud", r#"{"iss":"school","aud":"svc.example.org","sub":"u1"}"#, Ok(("u1", "svc.example.org"))),
        ("aud in two parts", r#"{"iss":"school","aud":"usr.example.org:mon","sub":"u1"}"#, Ok(("u1", "usr.example.org:mon"))),
        ("aud in three parts", r#"{"iss":"school","aud":"usr.example.org:a:b","sub":"u1"}"#, Ok(("u1", "usr.example.org:a:b"))),
        ("only the second part listed", r#"{"iss":"school","aud":"x:usr.example.org","sub":"u1"}"#, Err(Flaw::Audience)),
        ("first part empty", r#"{"iss":"school","aud":":usr.example.org","sub":"u1"}"#, Err(Flaw::Audience)),
        ("unicode", r#"{"iss":"school","aud":"школа","sub":"Жёлудь 🌰"}"#, Ok(("Жёлудь 🌰", "школа"))),
        ("unicode escaped", r#"{"iss":"school","aud":"usr.example.org","sub":"\ud83c\udf30"}"#, Ok(("🌰", "usr.example.org"))),
        ("half a surrogate", r#"{"iss":"school","aud":"usr.example.org","sub":"\ud83c"}"#, Err(Flaw::Claims)),
        (
            "trailing garbage in the payload",
            "{\"iss\":\"school\",\"aud\":\"usr.example.org\",\"sub\":\"u1\"}x",
            Err(Flaw::Claims),
        ),
        ("claims in order as an array", r#"["school","usr.example.org","u1"]"#, Err(Flaw::Claims)),
        ("payload a string", r#""school""#, Err(Flaw::Claims)),
        ("payload empty", "", Err(Flaw::Claims)),
    ]
}

/// Tokens whose header is all that differs from a good one, signed with the right key all the same.
fn headers(alg: &str) -> Vec<(&'static str, String, Expected)> {
    vec![
        ("no typ", format!(r#"{{"alg":"{alg}"}}"#), OK),
        ("other typ", format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#), OK),
        ("kid a path", format!(r#"{{"alg":"{alg}","kid":"../../../../dev/null"}}"#), OK),
        ("kid not even text", format!(r#"{{"alg":"{alg}","kid":[1]}}"#), OK),
        ("jku and x5u", format!(r#"{{"alg":"{alg}","jku":"http://127.0.0.1/k","x5u":"file:///etc/passwd"}}"#), OK),
        ("kid SQL", format!(r#"{{"alg":"{alg}","kid":"x' OR 1=1; DROP TABLE keys; --"}}"#), OK),
        ("kid a command", format!(r#"{{"alg":"{alg}","kid":"|touch /tmp/x `id`"}}"#), OK),
        ("kid empty", format!(r#"{{"alg":"{alg}","kid":""}}"#), OK),
        ("kid large", format!(r#"{{"alg":"{alg}","kid":"{}"}}"#, "k".repeat(2_000)), OK),
        ("kid beyond the longest token", format!(r#"{{"alg":"{alg}","kid":"{}"}}"#, "k".repeat(4_000)), Err(Flaw::TooLong)),
        ("x5t, x5c and jwk that are nonsense", format!(r#"{{"alg":"{alg}","x5t":"?","x5c":[1],"jwk":"none"}}"#), OK),
        ("zip and enc, as if it were packed", format!(r#"{{"alg":"{alg}","zip":"DEF","enc":"A256GCM"}}"#), OK),
        ("cty JWT, as if there were one in it", format!(r#"{{"alg":"{alg}","cty":"JWT"}}"#), OK),
        ("typ of another thing", format!(r#"{{"alg":"{alg}","typ":"../JWT\u0000"}}"#), OK),
        ("alg with an end of text", format!(r#"{{"alg":"{alg}\u0000"}}"#), Err(Flaw::Algorithm)),
        ("alg escaped, and the same", format!(r#"{{"\u0061lg":"{alg}"}}"#), OK),
        ("alg twice, one escaped", format!(r#"{{"alg":"{alg}","\u0061lg":"none"}}"#), Err(Flaw::Header)),
        ("alg a number", r#"{"alg":0}"#.into(), Err(Flaw::Header)),
        ("crit empty", format!(r#"{{"alg":"{alg}","crit":[]}}"#), Err(Flaw::Algorithm)),
        ("crit twice", format!(r#"{{"alg":"{alg}","crit":[],"crit":[]}}"#), Err(Flaw::Header)),
        ("two headers", format!(r#"{{"alg":"{alg}"}}{{"alg":"none"}}"#), Err(Flaw::Header)),
        ("alg none", r#"{"alg":"none"}"#.into(), Err(Flaw::Algorithm)),
        ("alg None", r#"{"alg":"None"}"#.into(), Err(Flaw::Algorithm)),
        ("alg NONE", r#"{"alg":"NONE"}"#.into(), Err(Flaw::Algorithm)),
        ("alg nOnE", r#"{"alg":"nOnE"}"#.into(), Err(Flaw::Algorithm)),
        ("alg none, spaced", r#"{"alg":" none "}"#.into(), Err(Flaw::Algorithm)),
        ("alg none, in fullwidth letters", r#"{"alg":"ｎｏｎｅ"}"#.into(), Err(Flaw::Algorithm)),
        ("alg NoNe", r#"{"alg":"NoNe"}"#.into(), Err(Flaw::Algorithm)),
        ("alg empty", r#"{"alg":""}"#.into(), Err(Flaw::Algorithm)),
        ("alg in lower case", format!(r#"{{"alg":"{}"}}"#, alg.to_lowercase()), Err(Flaw::Algorithm)),
        ("alg of the family", format!(r#"{{"alg":"{}"}}"#, alg.replace("256", "512") + " "), Err(Flaw::Algorithm)),
        ("alg missing", r#"{"typ":"JWT"}"#.into(), Err(Flaw::Header)),
        ("alg null", r#"{"alg":null}"#.into(), Err(Flaw::Header)),
        ("alg a list", format!(r#"{{"alg":["{alg}"]}}"#), Err(Flaw::Header)),
        ("alg twice", format!(r#"{{"alg":"none","alg":"{alg}"}}"#), Err(Flaw::Header)),
        ("crit", format!(r#"{{"alg":"{alg}","crit":["b64"],"b64":false}}"#), Err(Flaw::Algorithm)),
        ("crit null", format!(r#"{{"alg":"{alg}","crit":null}}"#), Err(Flaw::Algorithm)),
        ("alg PS384", r#"{"alg":"PS384"}"#.into(), Err(Flaw::Algorithm)),
        ("kid twice", format!(r#"{{"alg":"{alg}","kid":"a","kid":"b"}}"#), Err(Flaw::Header)),
        ("alg RS1", r#"{"alg":"RS1"}"#.into(), Err(Flaw::Algorithm)),
        ("alg ES256K", r#"{"alg":"ES256K"}"#.into(), Err(Flaw::Algorithm)),
        ("alg ES384", r#"{"alg":"ES384"}"#.into(), Err(Flaw::Algorithm)),
        ("alg Ed448", r#"{"alg":"Ed448"}"#.into(), Err(Flaw::Algorithm)),
        ("alg HS1", r#"{"alg":"HS1"}"#.into(), Err(Flaw::Algorithm)),
        ("alg A128KW", r#"{"alg":"A128KW"}"#.into(), Err(Flaw::Algorithm)),
        ("header an array", format!(r#"["{alg}"]"#), Err(Flaw::Header)),
        ("header empty", String::new(), Err(Flaw::Header)),
        ("header not JSON", "alg".into(), Err(Flaw::Header)),
    ]
}

/// Tokens broken as text, or signed with what must not sign.
fn forgeries(algorithm: Algorithm) -> Vec<(&'static str, String, Expected)> {
    let good = signed(algorithm, &header(algorithm), GOOD);
    let (message, right) = good.rsplit_once('.').unwrap();
    let (head, payload) = message.split_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(right).unwrap();
    let own = pair(algorithm);
    let other = other_than(algorithm);
    let with = |signature: &[u8]| format!("{message}.{}", b64(signature));
    let by = |header: &str, algorithm, key: &Secret| {
        let message = format!("{}.{}", b64(header), b64(GOOD));
        format!("{message}.{}", signature(&message, algorithm, key))
    };
    let neighbours_audience = r#"{"iss":"school","aud":"nbr.example.org","sub":"u1"}"#;
    let another_subject = b64(GOOD.replace("u1", "u2"));
    let mut flipped = raw.clone();
    flipped[0] ^= 1;
    let jwk = format!(
        r#"{{"alg":"{algorithm}","jwk":{{"kty":"oct","k":"{}"}},"x5c":["{}"]}}"#,
        b64([1; 32]),
        STANDARD.encode(own.public.expose())
    );
    vec![
        ("its own jwk, signed by that", by(&jwk, algorithm, &generate(algorithm).private), Err(Flaw::Signature)),
        ("a stranger's key", by(&header(algorithm), algorithm, &generate(algorithm).private), Err(Flaw::Signature)),
        ("the neighbour's key and alg", by(&header(other), other, &pair(other).private), Err(Flaw::Algorithm)),
        ("the neighbour's key, our alg", by(&header(algorithm), other, &pair(other).private), Err(Flaw::Signature)),
        ("HMAC by an empty key", by(&header(algorithm), Algorithm::HS256, &Secret::new([])), Err(Flaw::Signature)),
        ("the neighbour's audience", signed(algorithm, &header(algorithm), neighbours_audience), Err(Flaw::Audience)),
        ("another subject under the same signature", format!("{head}.{another_subject}.{right}"), Err(Flaw::Signature)),
        ("alg none, no signature", format!("{}.{payload}.", b64(r#"{"alg":"none"}"#)), Err(Flaw::Algorithm)),
        ("no signature", format!("{message}."), Err(Flaw::Signature)),
        ("a bit of the signature changed", with(&flipped), Err(Flaw::Signature)),
        ("signature cut", with(&raw[..raw.len() - 1]), Err(Flaw::Signature)),
        ("signature longer", with(&[&raw[..], &[0]].concat()), Err(Flaw::Signature)),
        ("signature of zeros", with(&vec![0; raw.len()]), Err(Flaw::Signature)),
        ("signature of 0xff", with(&vec![255; raw.len()]), Err(Flaw::Signature)),
        ("signature not base64", format!("{message}.*"), Err(Flaw::Signature)),
        ("signature padded", format!("{message}.{}=", URL_SAFE.encode(&raw).trim_end_matches('=')), Err(Flaw::Signature)),
        ("signature with bits behind its end", format!("{message}.{}", loosened(right)), Err(Flaw::Signature)),
        ("a signature twice as long", with(&[&raw[..], &raw[..]].concat()), Err(Flaw::Signature)),
        ("no signature, and another part", format!("{message}..{right}"), Err(Flaw::Parts)),
        ("parts in another order", format!("{payload}.{head}.{right}"), Err(Flaw::Claims)),
        ("dots behind", format!("{good}.."), Err(Flaw::Parts)),
        ("a dot before", format!(".{good}"), Err(Flaw::Parts)),
        ("wrapped as MIME does", format!("{head}.{}\r\n.{right}", payload), Err(Flaw::Claims)),
        ("a dot in fullwidth", format!("{head}．{payload}．{right}"), Err(Flaw::Parts)),
        ("in JSON, as RFC 7515 has it too", format!(r#"{{"payload":"{payload}","signature":"{right}"}}"#), Err(Flaw::Parts)),
        ("payload padded", format!("{head}.{payload}=.{right}"), Err(Flaw::Claims)),
        ("header padded", format!("{head}=.{payload}.{right}"), Err(Flaw::Header)),
        ("payload in the other base64", format!("{head}.{}.{right}", STANDARD.encode("{\"?\":\"???>>>\"}")), Err(Flaw::Claims)),
        ("payload not UTF-8", format!("{head}.{}.{right}", b64(b"{\"iss\":\"\xff\"}")), Err(Flaw::Claims)),
        ("empty", String::new(), Err(Flaw::Parts)),
        ("one part", head.into(), Err(Flaw::Parts)),
        ("two parts", message.into(), Err(Flaw::Parts)),
        ("four parts", format!("{good}.{right}"), Err(Flaw::Parts)),
        ("five parts, as if encrypted", format!("{head}.{payload}.{payload}.{payload}.{right}"), Err(Flaw::Parts)),
        ("only dots", "..".into(), Err(Flaw::Claims)),
        ("trailing dot", format!("{good}."), Err(Flaw::Parts)),
        ("trailing line break", format!("{good}\n"), Err(Flaw::Signature)),
        ("leading space", format!(" {good}"), Err(Flaw::Header)),
        ("Bearer left on", format!("Bearer {good}"), Err(Flaw::Header)),
        ("zero byte", format!("{good}\0"), Err(Flaw::Signature)),
        ("letters beyond ASCII", format!("{head}.ключ.{right}"), Err(Flaw::Claims)),
        ("huge", "a".repeat(MAX_TOKEN_BYTES + 1), Err(Flaw::TooLong)),
        ("huge and good", signed(algorithm, &header(algorithm), &sized(4096)), Err(Flaw::TooLong)),
        ("large and good", signed(algorithm, &header(algorithm), &sized(2500)), OK),
        ("nested a thousand deep", signed(algorithm, &header(algorithm), &"[".repeat(1000)), Err(Flaw::Claims)),
        ("nested in a claim that is not read", signed(algorithm, &header(algorithm), &nested()), OK),
        ("a token in a token", signed(algorithm, &header(algorithm), &good), Err(Flaw::Claims)),
    ]
}

/// The same bytes by another text: the last letter of base64 has bits that stand for nothing where the length is no multiple of three.
fn loosened(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = text.split_at(text.len() - 1);
    let place = LETTERS.iter().position(|letter| last.as_bytes()[0] == *letter).unwrap();
    assert_ne!(text.len() % 4, 0, "no such bits");
    format!("{rest}{}", char::from(LETTERS[place | 1]))
}

fn sized(bytes: usize) -> String {
    GOOD.replace('}', &format!(r#","x":"{}"}}"#, "y".repeat(bytes - GOOD.len())))
}

fn nested() -> String {
    GOOD.replace('}', &format!(r#","x":{}{}}}"#, "[".repeat(500), "]".repeat(500)))
}

/// The secret of a symmetric algorithm is what an attacker has of the asymmetric one: its public key, in every form.
fn confusions(algorithm: Algorithm) -> Vec<(&'static str, String, Expected)> {
    let text = pair(algorithm).public.expose();
    let body: String = String::from_utf8_lossy(text).lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).unwrap_or_default();
    // The point of P-256 or Ed25519, which ends the DER.
    let bare = if algorithm == Algorithm::EdDSA { 32 } else { 65 };
    let forms = [
        ("PEM", text.to_vec()),
        ("PEM, trimmed", text.trim_ascii().to_vec()),
        ("DER", der.clone()),
        ("bare", der[der.len().saturating_sub(bare)..].to_vec()),
    ];
    let claim = |alg: Algorithm, key: &[u8]| {
        let message = format!("{}.{}", b64(header(alg)), b64(GOOD));
        format!("{message}.{}", signature(&message, Algorithm::HS256, &Secret::new(key)))
    };
    let rows = forms.into_iter().flat_map(|(form, key)| {
        [(form, claim(Algorithm::HS256, &key), Err(Flaw::Algorithm)), (form, claim(algorithm, &key), Err(Flaw::Signature))]
    });
    rows.collect()
}

#[test]
fn each_token_is_taken_for_what_it_is() {
    for algorithm in Algorithm::ALL {
        let authority = authority(algorithm);
        let mut rows: Vec<(&str, String, Expected)> = Vec::new();
        let with_payload = |(name, payload, expected)| (name, signed(algorithm, &header(algorithm), payload), expected);
        rows.extend(payloads().into_iter().map(with_payload));
        let with_header = |(name, header, expected): (_, String, _)| (name, signed(algorithm, &header, GOOD), expected);
        rows.extend(headers(algorithm.name()).into_iter().map(with_header));
        rows.extend(forgeries(algorithm));
        if algorithm != Algorithm::HS256 {
            rows.extend(confusions(algorithm));
        }
        assert!(rows.len() >= 100);
        for (name, token, expected) in rows {
            let found = authority.examine(&token, NOW);
            let found = found.as_ref().map(|account| (&*account.subject, &*account.audience)).map_err(|flaw| *flaw);
            assert_eq!(found, expected, "{algorithm}: {name}");
            let answer = authority.verify(&token, NOW).map(drop);
            assert_eq!(answer, expected.map(drop).map_err(|_| Refusal::Unauthenticated), "{algorithm}: {name}");
        }
    }
}

/// ES256 signatures are the two numbers side by side (RFC 7518, section 3.4), never in DER, in which one signature has many forms.
#[test]
fn es256_in_der_is_refused() {
    let private = String::from_utf8_lossy(pair(Algorithm::ES256).private.expose()).into_owned();
    let body: String = private.lines().filter(|line| !line.starts_with('-')).collect();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &STANDARD.decode(body).unwrap()).unwrap();
    let message = format!("{}.{}", b64(header(Algorithm::ES256)), b64(GOOD));
    let der = key.sign(&aws_lc_rs::rand::SystemRandom::new(), message.as_bytes()).unwrap();
    let token = format!("{message}.{}", b64(der));
    assert_eq!(authority(Algorithm::ES256).examine(&token, NOW), Err(Flaw::Signature));
}

#[test]
fn every_changed_letter_is_noticed() {
    for algorithm in [Algorithm::HS256, Algorithm::EdDSA] {
        let authority = authority(algorithm);
        let good = signed(algorithm, &header(algorithm), GOOD);
        for at in 0..good.len() {
            let letter = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
            let changed = [&good[..at], letter, &good[at + 1..]].concat();
            assert!(authority.verify(&changed, NOW).is_err(), "{algorithm} at {at}");
            assert!(authority.verify(&good[..at], NOW).is_err(), "{algorithm} cut at {at}");
        }
    }
}

#[test]
fn expiry_is_exact_to_the_microsecond() {
    let authority = authority(Algorithm::HS256);
    let token = |claims: &str| signed(Algorithm::HS256, &header(Algorithm::HS256), &GOOD.replace('}', claims));
    let examine = |token: &str, micros| authority.examine(token, UnixMicros(micros)).map(drop);
    let ends = token(r#","exp":1700000001}"#);
    assert_eq!(examine(&ends, 1_700_000_000_999_999), Ok(()));
    assert_eq!(examine(&ends, 1_700_000_001_000_000), Err(Flaw::Expired));
    let begins = token(r#","nbf":1700000001}"#);
    assert_eq!(examine(&begins, 1_700_000_000_999_999), Err(Flaw::TooEarly));
    assert_eq!(examine(&begins, 1_700_000_001_000_000), Ok(()));
}

#[test]
fn what_a_signing_key_issues_is_good() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::new(algorithm, &pair(algorithm).private).unwrap();
        let claims = Claims { issuer: "school", audience: "usr.example.org:x", subject: "u1", lifetime: None };
        let account = authority(algorithm).verify(&key.issue(&claims, NOW).unwrap(), NOW).unwrap();
        assert_eq!(account.id(), "u1.usr.example.org:x");
        assert_eq!(account.agent_id("web.x"), "web.x.u1.usr.example.org:x");
        assert_eq!(account.first_audience(), "usr.example.org");
    }
}
