//! The check of a token, as each sign-in pays for it; beside it `jsonwebtoken::decode` on the same token, and the issuing of one.

mod brisk;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use criterion::{Criterion, criterion_group, criterion_main};
use homeroom::{
    auth::{Algorithm, Authority, Claims, Issuer, Secret, SigningKey, subjects},
    realtime::UnixMicros,
};
use jsonwebtoken::{DecodingKey, Validation};
use std::{hint::black_box, time::Duration};

const NOW: UnixMicros = UnixMicros(1_700_000_000_000_000);
const CLAIMS: Claims<'static> = Claims {
    issuer: "iam.example.org",
    audience: "dev.usr.example.org",
    subject: "student-12345",
    lifetime: Some(Duration::from_secs(3600)),
};

fn authority(algorithm: Algorithm, key: &Secret) -> Authority {
    let audiences = vec![CLAIMS.audience.to_owned()];
    let issuer = Issuer { name: CLAIMS.issuer.to_owned(), audiences, algorithm, key: key.clone() };
    Authority::new([issuer]).expect("a key made here is good")
}

fn lenient(algorithm: jsonwebtoken::Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.set_audience(&[CLAIMS.audience]);
    validation
}

fn hs256(c: &mut Criterion) {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).expect("the kernel has randomness");
    let secret = Secret::new(bytes);
    let signing = SigningKey::new(Algorithm::HS256, &secret).expect("32 bytes are enough");
    let token = signing.issue(&CLAIMS, NOW).expect("HMAC cannot fail");
    let authority = authority(Algorithm::HS256, &secret);
    c.bench_function("verify HS256", |b| b.iter(|| authority.verify(black_box(&token), NOW).expect("good")));
    let (key, validation) = (DecodingKey::from_secret(&bytes), lenient(jsonwebtoken::Algorithm::HS256));
    c.bench_function("verify HS256, jsonwebtoken::decode", |b| {
        b.iter(|| jsonwebtoken::decode::<serde_json::Value>(black_box(&token), &key, &validation).expect("good"))
    });
    c.bench_function("issue 1,000 HS256", |b| {
        b.iter(|| {
            for subject in subjects("student-{n}", 1000) {
                black_box(signing.issue(&Claims { subject: &subject, ..CLAIMS }, NOW));
            }
        })
    });
}

fn es256(c: &mut Criterion) {
    let pem = |label: &str, der: &[u8]| {
        Secret::new(format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der)))
    };
    let private = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).expect("randomness");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private.as_ref()).expect("just made");
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("a parsed key can be written");
    let public = pem("PUBLIC KEY", public.as_ref());
    let signing = SigningKey::new(Algorithm::ES256, &pem("PRIVATE KEY", private.as_ref())).expect("PKCS#8");
    let token = signing.issue(&CLAIMS, NOW).expect("a good key signs");
    let authority = authority(Algorithm::ES256, &public);
    c.bench_function("verify ES256", |b| b.iter(|| authority.verify(black_box(&token), NOW).expect("good")));
    let key = DecodingKey::from_ec_pem(public.expose()).expect("the same key");
    let validation = lenient(jsonwebtoken::Algorithm::ES256);
    c.bench_function("verify ES256, jsonwebtoken::decode", |b| {
        b.iter(|| jsonwebtoken::decode::<serde_json::Value>(black_box(&token), &key, &validation).expect("good"))
    });
}

criterion_group! { name = benches; config = brisk::brisk(); targets = hs256, es256 }
criterion_main!(benches);
