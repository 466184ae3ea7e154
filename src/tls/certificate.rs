//! A certificate with those above it and its key, as files of PEM hold them, checked before anybody is shown it.

use rustls::{
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use std::{fmt, sync::Arc, time::Duration};
use x509_cert::{Certificate as X509, der::Decode};

/// Why files cannot be served with. It names no byte of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// The file of certificates holds none.
    NoCertificate,
    /// One of them cannot be read.
    BadCertificate,
    /// The file of the key holds none that is not under a password.
    NoKey,
    /// The key is of a kind that is not served with.
    BadKey,
    /// The key is of another certificate.
    OtherKey,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flaw::NoCertificate => "the certificate file holds no certificate (expected PEM: -----BEGIN CERTIFICATE-----)",
            Flaw::BadCertificate => "the certificate file holds a certificate that cannot be read",
            Flaw::NoKey => "the key file holds no private key (expected PEM, not encrypted: -----BEGIN PRIVATE KEY-----)",
            Flaw::BadKey => {
                "the key file holds a key that cannot be used (expected ECDSA on P-256, P-384 or P-521, Ed25519 or RSA)"
            }
            Flaw::OtherKey => "the key is not that of the first certificate in the certificate file",
        })
    }
}

/// See the file.
#[derive(Clone)]
pub struct Certificate {
    certified: Arc<CertifiedKey>,
    /// From when to when it is good, since 1970: of the whole chain.
    from: Duration,
    until: Duration,
    subject: String,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("subject", &self.subject).field("until", &self.until).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads `chain`, the server's certificate first, and its `key`. Not by when it is good: a server whose certificate has run out is
    /// better than none.
    ///
    /// # Errors
    /// A [`Flaw`].
    pub fn read(chain: &[u8], key: &[u8]) -> Result<Certificate, Flaw> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|_| Flaw::BadCertificate)?;
        let read: Vec<X509> =
            chain.iter().map(|one| X509::from_der(one)).collect::<Result<_, _>>().map_err(|_| Flaw::BadCertificate)?;
        let first = read.first().ok_or(Flaw::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| Flaw::NoKey)?;
        let certified = CertifiedKey::new(chain, any_supported_type(&key).map_err(|_| Flaw::BadKey)?);
        // A key that cannot tell its public half is none of aws-lc's.
        certified.keys_match().map_err(|_| Flaw::OtherKey)?;
        let times = |time: fn(&X509) -> Duration| read.iter().map(time);
        Ok(Certificate {
            certified: Arc::new(certified),
            from: times(|one| one.tbs_certificate.validity.not_before.to_unix_duration()).max().unwrap_or_default(),
            until: times(|one| one.tbs_certificate.validity.not_after.to_unix_duration()).min().unwrap_or_default(),
            subject: first.tbs_certificate.subject.to_string(),
        })
    }

    /// From when it is good, since 1970.
    pub fn from(&self) -> Duration {
        self.from
    }

    /// Until when, since 1970: the first end in the chain.
    pub fn until(&self) -> Duration {
        self.until
    }

    /// Whose it is, as `CN=…`; may be empty.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }
}
