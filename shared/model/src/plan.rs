//! The plans. Nothing else in the code knows a plan's name or number.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a tenant pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plan {
    /// For trying it out: small hard caps, no overage.
    Free,
    /// Records are capped, each search is charged.
    Pro,
    /// Records are unlimited, searches beyond the included ones are charged.
    Scale,
    /// No limits but the rate.
    Enterprise,
}

/// What a plan includes and allows.
#[derive(Debug, PartialEq, Eq)]
pub struct Limits {
    name: &'static str,
    /// The most collections; unlimited, if `None`.
    pub collections: Option<u32>,
    /// The most live records, a hard cap; unlimited, if `None`.
    pub records: Option<u64>,
    /// How searches are counted.
    pub searches: SearchTerms,
    /// Calls a minute, all callers of the tenant together.
    pub requests_per_minute: u32,
    /// Searches a minute, which count as calls too.
    pub searches_per_minute: u32,
    /// The largest file, in bytes.
    pub largest_upload: u64,
    /// Whether usage may go beyond what is included, for money.
    pub allows_overage: bool,
}

/// How a plan counts the searches of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchTerms {
    /// So many and no more.
    Capped(u64),
    /// Each search beyond the included ones costs.
    Charged {
        /// Free of charge; none, if `None`.
        included: Option<u64>,
        /// EUR cents for 1,000 searches.
        cents_per_thousand: u64,
    },
    /// As many as one likes.
    Unlimited,
}

const MB: u64 = 1024 * 1024;
const GB: u64 = 1024 * MB;

static FREE: Limits = Limits {
    name: "free",
    collections: Some(1),
    records: Some(50),
    searches: SearchTerms::Capped(50),
    requests_per_minute: 60,
    searches_per_minute: 20,
    largest_upload: 10 * MB,
    allows_overage: false,
};

static PRO: Limits = Limits {
    name: "pro",
    collections: None,
    records: Some(100_000),
    searches: SearchTerms::Charged {
        included: None,
        cents_per_thousand: 150,
    },
    requests_per_minute: 200,
    searches_per_minute: 100,
    largest_upload: GB,
    allows_overage: true,
};

static SCALE: Limits = Limits {
    name: "scale",
    collections: None,
    records: None,
    searches: SearchTerms::Charged {
        included: Some(500_000),
        cents_per_thousand: 100,
    },
    requests_per_minute: 2_000,
    searches_per_minute: 1_000,
    largest_upload: 5 * GB,
    allows_overage: true,
};

static ENTERPRISE: Limits = Limits {
    name: "enterprise",
    collections: None,
    records: None,
    searches: SearchTerms::Unlimited,
    requests_per_minute: 10_000,
    searches_per_minute: 10_000,
    largest_upload: 5 * GB,
    allows_overage: true,
};

impl Plan {
    /// Every plan, smallest first.
    pub const ALL: [Self; 4] = [Self::Free, Self::Pro, Self::Scale, Self::Enterprise];

    /// What the plan includes and allows.
    #[must_use]
    pub fn limits(self) -> &'static Limits {
        match self {
            Self::Free => &FREE,
            Self::Pro => &PRO,
            Self::Scale => &SCALE,
            Self::Enterprise => &ENTERPRISE,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.limits().name)
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|plan| plan.limits().name == text)
            .ok_or_else(|| {
                let names = Self::ALL.map(|plan| plan.limits().name).join(", ");
                format!("unknown plan, it is one of {names}")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_known_by_its_name() {
        for plan in Plan::ALL {
            assert_eq!(plan.to_string().parse::<Plan>().unwrap(), plan);
        }
        assert!("gold".parse::<Plan>().is_err());
        assert!("Free".parse::<Plan>().is_err());
    }
}
