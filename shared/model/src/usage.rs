//! What usage costs. Money is counted in whole cents and never in binary fractions.

use serde::{Serialize, Serializer};

use crate::plan::SearchTerms;

/// Euros, in whole cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money {
    cents: u64,
}

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self { cents: 0 };

    /// So many cents.
    #[must_use]
    pub fn from_cents(cents: u64) -> Self {
        Self { cents }
    }
}

impl Serialize for Money {
    /// A JSON number of euros. The division is rounded to the double nearest to the decimal,
    /// which is the one that prints as that decimal.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact up to 2^53 cents, 90,000 billion euros"
        )]
        serializer.serialize_f64(self.cents as f64 / 100.0)
    }
}

/// One line of the bill: how much was used, what of it is included and what the rest costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// So many this period, or now.
    pub used: u64,
    /// So many are free of charge; null where the plan has no such number.
    pub included: Option<u64>,
    /// So many beyond that.
    pub overage: u64,
    /// What those cost.
    pub overage_cost: Money,
}

impl Usage {
    /// Live records: capped or unlimited, never charged.
    #[must_use]
    pub fn of_records(used: u64, limit: Option<u64>) -> Self {
        Self {
            used,
            included: limit,
            overage: limit.map_or(0, |limit| used.saturating_sub(limit)),
            overage_cost: Money::ZERO,
        }
    }

    /// Searches of a month.
    #[must_use]
    pub fn of_searches(used: u64, terms: SearchTerms) -> Self {
        let (included, overage, overage_cost) = match terms {
            SearchTerms::Capped(cap) => (Some(cap), used.saturating_sub(cap), Money::ZERO),
            SearchTerms::Charged {
                included,
                cents_per_thousand,
            } => {
                let overage = used.saturating_sub(included.unwrap_or(0));
                (included, overage, charge(overage, cents_per_thousand))
            }
            SearchTerms::Unlimited => (None, 0, Money::ZERO),
        };
        Self {
            used,
            included,
            overage,
            overage_cost,
        }
    }
}

/// Half a cent is rounded up.
fn charge(count: u64, cents_per_thousand: u64) -> Money {
    let thousandths = u128::from(count) * u128::from(cents_per_thousand);
    let cents = (thousandths + 500) / 1000;
    Money::from_cents(u64::try_from(cents).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    fn searches(plan: Plan, used: u64) -> String {
        let usage = Usage::of_searches(used, plan.limits().searches);
        serde_json::to_string(&usage).unwrap()
    }

    #[test]
    fn each_search_on_pro_costs() {
        assert_eq!(
            searches(Plan::Pro, 8_200),
            r#"{"used":8200,"included":null,"overage":8200,"overage_cost":12.3}"#
        );
        assert_eq!(
            searches(Plan::Pro, 0),
            r#"{"used":0,"included":null,"overage":0,"overage_cost":0.0}"#
        );
    }

    #[test]
    fn half_a_cent_is_rounded_up() {
        // 3 searches cost 0.45 cents, 4 cost 0.6, 7 cost 1.05, 10 cost 1.5.
        let cost = |used| Usage::of_searches(used, Plan::Pro.limits().searches).overage_cost;
        assert_eq!(cost(3), Money::from_cents(0));
        assert_eq!(cost(4), Money::from_cents(1));
        assert_eq!(cost(7), Money::from_cents(1));
        assert_eq!(cost(10), Money::from_cents(2));
    }

    #[test]
    fn scale_charges_beyond_what_is_included() {
        assert_eq!(
            searches(Plan::Scale, 500_000),
            r#"{"used":500000,"included":500000,"overage":0,"overage_cost":0.0}"#
        );
        assert_eq!(
            searches(Plan::Scale, 501_000),
            r#"{"used":501000,"included":500000,"overage":1000,"overage_cost":1.0}"#
        );
    }

    #[test]
    fn free_and_enterprise_are_never_charged() {
        assert_eq!(
            searches(Plan::Free, 50),
            r#"{"used":50,"included":50,"overage":0,"overage_cost":0.0}"#
        );
        assert_eq!(
            searches(Plan::Enterprise, 1_000_000_000_000),
            r#"{"used":1000000000000,"included":null,"overage":0,"overage_cost":0.0}"#
        );
    }

    #[test]
    fn large_sums_stay_exact() {
        assert_eq!(
            searches(Plan::Pro, 1_000_000_000_000),
            r#"{"used":1000000000000,"included":null,"overage":1000000000000,"overage_cost":1500000000.0}"#
        );
    }

    #[test]
    fn records_are_never_charged() {
        assert_eq!(Usage::of_records(120, Some(100)).overage, 20);
        assert_eq!(Usage::of_records(120, Some(100)).overage_cost, Money::ZERO);
        assert_eq!(Usage::of_records(120, None).overage, 0);
    }
}
