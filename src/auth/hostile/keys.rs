//! Keys that are none, or not of what they are said to be.

use super::*;

#[test]
fn only_private_keys_of_the_algorithm_sign() {
    for algorithm in Algorithm::ALL {
        for other in Algorithm::ALL {
            let made = SigningKey::new(algorithm, &pair(other).private).map(drop);
            let expected = match (algorithm, other) {
                (a, b) if a == b => Ok(()),
                // One key of RSA has two uses.
                (Algorithm::RS256, Algorithm::PS256) | (Algorithm::PS256, Algorithm::RS256) => Ok(()),
                (Algorithm::HS256, _) => Err(KeyFlaw::PemAsSecret),
                _ => Err(KeyFlaw::Private(algorithm)),
            };
            assert_eq!(made, expected, "{algorithm} from {other}");
        }
        if algorithm != Algorithm::HS256 {
            let public = SigningKey::new(algorithm, &pair(algorithm).public).map(drop);
            assert_eq!(public, Err(KeyFlaw::Private(algorithm)));
        }
    }
}

#[test]
fn all_faults_are_told_at_once_and_none_shows_a_key() {
    let issuer = |name: &str, audiences: &[&str], algorithm, key: &Secret| Issuer {
        name: name.into(),
        audiences: audiences.iter().map(|audience| (*audience).into()).collect(),
        algorithm,
        key: key.clone(),
    };
    let fault = |issuer: &str, flaw| KeyFault { issuer: issuer.into(), flaw };
    let es256 = &pair(Algorithm::ES256).public;
    let secret = Secret::new("a marker, too short to sign");
    let issuers = [
        issuer("fine", &["a"], Algorithm::ES256, es256),
        issuer("", &[], Algorithm::ES256, es256),
        issuer("fine", &["a:b", ""], Algorithm::HS256, &secret),
        issuer("wrong", &["a"], Algorithm::EdDSA, es256),
        issuer("curve", &["a"], Algorithm::ES256, &p384_public()),
        issuer("private", &["a"], Algorithm::RS256, &pair(Algorithm::RS256).private),
        issuer("private", &["a"], Algorithm::ES256, &pair(Algorithm::ES256).private),
        issuer("short", &["a"], Algorithm::RS256, &rsa_1024_public()),
        issuer("rubbish", &["a"], Algorithm::RS256, &secret),
        issuer("pem", &["a"], Algorithm::HS256, es256),
    ];
    let shown = format!("{issuers:?}");
    let faults = Authority::new(issuers).unwrap_err();
    let expected = [
        fault("", KeyFlaw::NoName),
        fault("", KeyFlaw::NoAudience),
        fault("fine", KeyFlaw::Audience("a:b".into())),
        fault("fine", KeyFlaw::Audience(String::new())),
        fault("fine", KeyFlaw::Duplicate),
        fault("fine", KeyFlaw::ShortSecret(27)),
        fault("wrong", KeyFlaw::Public(Algorithm::EdDSA)),
        fault("curve", KeyFlaw::Public(Algorithm::ES256)),
        fault("private", KeyFlaw::Public(Algorithm::RS256)),
        fault("private", KeyFlaw::Duplicate),
        fault("private", KeyFlaw::Public(Algorithm::ES256)),
        fault("short", KeyFlaw::ShortRsa(1024)),
        fault("rubbish", KeyFlaw::Public(Algorithm::RS256)),
        fault("pem", KeyFlaw::PemAsSecret),
    ];
    assert_eq!(faults, expected);
    let told: String = faults.iter().map(|fault| format!("{fault} {fault:?}\n")).collect();
    for text in [shown, told] {
        assert!(!text.contains("marker") && !text.contains("BEGIN") && !text.contains("109, 97, 114"), "{text}");
    }
}

#[test]
fn an_authority_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Authority>();
    shared::<Permissions>();
    shared::<SigningKey>();
}
