//! A user's profile.

use serde_json::Value;

use crate::fault::{self, Fault, Faults, Fields};
use crate::id::UserId;
use crate::time::Moment;

/// The longest display name or company, in characters.
const MAX_TEXT: usize = 200;

/// A user of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The token's `sub`.
    pub id: UserId,
    /// As the first token said it.
    pub email: Option<String>,
    /// Seeded by the first token, then the user's own.
    pub display_name: Option<String>,
    /// Company or organization.
    pub company: Option<String>,
    /// When the user first called.
    pub created_at: Moment,
}

/// What a token says about its user; the seed of a new profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// `email`.
    pub email: Option<String>,
    /// `name`, else `user_metadata.full_name`.
    pub display_name: Option<String>,
}

impl User {
    /// A user at the first call. What a profile may not hold is cut, not refused: the token is
    /// good and its issuer knows other limits.
    #[must_use]
    pub fn first_seen(id: UserId, profile: &Profile, now: Moment) -> Self {
        let cut = |text: &String| text.chars().take(MAX_TEXT).collect();
        Self {
            id,
            email: profile.email.clone(),
            display_name: profile.display_name.as_ref().map(cut),
            company: None,
            created_at: now,
        }
    }
}

/// What `PATCH /portal/account` changes: `None` leaves a field, `Some(None)` clears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfilePatch {
    /// The display name.
    pub display_name: Option<Option<String>>,
    /// The company.
    pub company: Option<Option<String>>,
}

impl ProfilePatch {
    /// Parses the body.
    pub fn parse(body: &Value) -> Result<Self, Faults> {
        let mut fields = Fields::of(body)?;
        let display_name = fields.present("display_name", text);
        let company = fields.present("company", text);
        match (display_name, company) {
            (Some(display_name), Some(company)) => Ok(Self {
                display_name,
                company,
            }),
            _ => Err(fields.into_faults()),
        }
    }
}

fn text(value: &Value) -> Result<Option<String>, Fault> {
    if value.is_null() {
        return Ok(None);
    }
    let text = fault::string(value)?;
    fault::length(text, 0, MAX_TEXT)?;
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn absent_null_and_text_are_three_things() {
        let patch = ProfilePatch::parse(&json!({"company": null})).unwrap();
        assert_eq!(patch.display_name, None);
        assert_eq!(patch.company, Some(None));
        let patch = ProfilePatch::parse(&json!({"company": "Acme"})).unwrap();
        assert_eq!(patch.company, Some(Some("Acme".to_owned())));
    }

    #[test]
    fn both_fields_are_checked() {
        let long = "x".repeat(201);
        let faults = ProfilePatch::parse(&json!({"display_name": 1, "company": long})).unwrap_err();
        let kinds: Vec<_> = faults.iter().map(|fault| fault.kind).collect();
        assert_eq!(kinds, ["string_type", "string_too_long"]);
    }
}
