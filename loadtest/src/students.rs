//! Who signs in: one distinct token each, and the whole `connect_request` frame made before any clock starts.

use crate::{
    contract,
    order::{Credentials, Fate, Order, classroom, mix},
    wire::frames,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// A worker whose connections come and go makes at least this many identities, and uses them in turn.
const CHURN_IDENTITIES: u64 = 16_384;

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    exp: u64,
}

/// The `connect_request` frames of a worker, one after the other in one allocation.
pub(crate) struct Students {
    frames: Vec<u8>,
    ends: Vec<usize>,
}

impl Students {
    /// Makes every token and frame of this worker.
    ///
    /// # Errors
    /// A sentence for the user: too few tokens, or a key that does not sign.
    pub(crate) fn enrol(order: &Order) -> Result<Students, String> {
        let identities = identities(order);
        let mut students = Students { frames: Vec::new(), ends: Vec::with_capacity(identities as usize) };
        for own in 0..identities {
            let number = order.number(own);
            let token = token(&order.credentials, order.seed, own, number)?;
            let text = contract::connect_request(classroom(order.seed, order.room(number)), &token);
            let mask = (mix(order.seed ^ number) as u32).to_be_bytes();
            frames::put_text(&mut students.frames, text.as_bytes(), mask);
            students.ends.push(students.frames.len());
        }
        Ok(students)
    }

    /// The frame of one of the worker's own students.
    pub(crate) fn frame(&self, own: usize) -> &[u8] {
        let start = own.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.frames[start..self.ends[own]]
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }
}

/// How many identities a worker needs: one for each sign-in, or where they come and go, several for each place.
fn identities(order: &Order) -> u64 {
    let share = order.share(order.sign_ins);
    match (order.fate, &order.credentials) {
        (Fate::Stay, _) => share,
        (Fate::Leave, Credentials::Tokens(tokens)) => share.min(tokens.len() as u64),
        (Fate::Leave, Credentials::Key { .. }) => share.min(CHURN_IDENTITIES.max(2 * u64::from(order.in_flight))),
    }
}

fn token(credentials: &Credentials, seed: u64, own: u64, number: u64) -> Result<String, String> {
    match credentials {
        Credentials::Tokens(tokens) => tokens.get(own as usize).cloned().ok_or_else(|| "fewer tokens than students".to_owned()),
        Credentials::Key { secret, issuer, audience, expires } => {
            sign(secret, issuer, audience, format!("load-{seed}-{number}"), *expires)
        }
    }
}

/// Makes an HS256 token.
///
/// # Errors
/// A sentence for the user: a key that does not sign.
pub(crate) fn sign(secret: &[u8], issuer: &str, audience: &str, sub: String, expires: u64) -> Result<String, String> {
    let claims = Claims { iss: issuer, aud: audience, sub, exp: expires };
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret))
        .map_err(|fault| format!("the key does not sign: {fault}"))
}
