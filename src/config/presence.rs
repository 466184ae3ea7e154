//! Permissions: a table whose names are free.

use super::{
    fault::Fault,
    setting::{Fields, Place, Setting},
};
use std::time::Duration;
use toml::{Spanned, de::DeValue};

/// What the accounts of an audience may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Permission {
    /// Everything: nobody is asked.
    None,
    /// Everything, for these accounts (`sub`) alone.
    List {
        /// The accounts.
        accounts: Vec<String>,
    },
    /// What a service says, asked by POST.
    Http {
        /// Its address.
        url: String,
        /// How long it may take; then the answer is no.
        timeout: Duration,
    },
}

/// An HTTP address. It may hold a password, so a fault never shows it.
pub(super) struct Url(pub(super) String);

impl Setting for Url {
    const EXPECTED: &'static str = "an http or https address with a host, such as \"http://127.0.0.1:8070/…\"";
    fn scalar(value: &DeValue<'_>) -> Result<Url, &'static str> {
        let uri = value.as_str().and_then(|given| given.parse::<http::Uri>().ok()).ok_or(Self::EXPECTED)?;
        let right = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty());
        value.as_str().filter(|_| right).map(|given| Url(given.to_owned())).ok_or(Self::EXPECTED)
    }
}

/// The `type` of a permission.
enum Rule {
    None,
    List,
    Http,
}

impl Setting for Rule {
    const EXPECTED: &'static str = "\"none\", \"list\" or \"http\"";
    fn scalar(value: &DeValue<'_>) -> Result<Rule, &'static str> {
        match value.as_str() {
            Some("none") => Ok(Rule::None),
            Some("list") => Ok(Rule::List),
            Some("http") => Ok(Rule::Http),
            _ => Err(Self::EXPECTED),
        }
    }
}

impl Setting for Permission {
    const EXPECTED: &'static str = "a table with type and what that type needs";

    fn scalar(_: &DeValue<'_>) -> Result<Permission, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<Permission> {
        let mut fields = Fields::of(value, place, faults);
        let rule = fields.required::<Rule>("type", faults)?;
        let permission = match rule {
            Rule::None => Some(Permission::None),
            Rule::List => fields.required("accounts", faults).map(|accounts| Permission::List { accounts }),
            Rule::Http => {
                let url = fields.required::<Url>("url", faults);
                let timeout = fields.optional("timeout", faults).unwrap_or(Duration::from_secs(2));
                url.map(|Url(url)| Permission::Http { url, timeout })
            }
        };
        fields.refuse_others(faults);
        permission
    }
}
