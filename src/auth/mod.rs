//! Who someone is and what they may do: tokens, the keys behind them, permissions. Pure.
//!
//! A token is a compact JWT (RFC 7519). `iss` chooses, from configuration alone, the key and the one algorithm that may have
//! signed it; nothing in the token's header can choose either, but among the keys that the issuer publishes itself. Whoever holds a
//! good token is an [`Account`], and [`Permissions`] says what the account may do in a classroom.

pub mod agent_key;
pub mod api_key;
pub mod authority;
pub mod caller;
pub mod guest;
pub mod key;
pub mod key_set;
pub mod key_source;
pub mod permission;
pub mod refresh;
pub mod session;
pub mod token;
pub mod user;
mod veil;

#[cfg(test)]
mod hostile;

pub use agent_key::{AgentKey, AgentKeyFault};
pub use authority::{Account, Authority, Flaw, Issuer, MAX_TOKEN_BYTES, Refusal, SetIssuer};
pub use caller::{CALLER_TOKEN_LIFETIME, CallerClaims, CallerKey};
pub use guest::{Guest, GuestKey, MAX_GUEST_BYTES};
pub use key::{Algorithm, KeyFault, KeyFlaw, Secret};
pub use key_set::{KeySet, MAX_SET_BYTES, MAX_SET_KEYS, SetFlaw};
pub use key_source::{KeySource, Standing};
pub use permission::{Action, Actions, Decision, Grants, PermissionQuestion, Permissions, Rule, ServiceId};
pub use refresh::{Refresh, RefreshTimes, max_age};
pub use session::{SESSION_TOKEN_CHARS, SessionKey};
pub use token::{Claims, SigningKey, subjects};
pub use user::{USER_TOKEN_LIFETIME, UserClaims, UserFlaw, UserKey};
pub use veil::veiled;
