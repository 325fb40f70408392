//! The tiers' rules: what evidence a record must carry, and what that evidence shows.

use crate::{
    error::VerifyError,
    report::{Line, Status},
};
use og_types::{Record, Tier};

/// What one tier asks of a record's evidence. A later tier is one more implementation.
pub trait TierRule {
    /// Checks the evidence and says what it shows about how the answer came about.
    ///
    /// # Errors
    /// [`VerifyError::Evidence`] if the evidence is missing, unasked for, or does not convince.
    fn check(&self, record: &Record, evidence: Option<&[u8]>) -> Result<Vec<Line>, VerifyError>;
}

/// The rule of a tier.
pub fn rule(tier: Tier) -> &'static dyn TierRule {
    match tier {
        Tier::Signed => &Signed,
    }
}

/// Tier `signed`: the node's signature is all there is.
struct Signed;

impl TierRule for Signed {
    fn check(&self, record: &Record, evidence: Option<&[u8]>) -> Result<Vec<Line>, VerifyError> {
        for (field, present) in [
            ("receipt.record.evidence", record.evidence.is_some()),
            ("receipt.evidence", evidence.is_some()),
        ] {
            if present {
                return Err(VerifyError::Evidence {
                    field: field.to_owned(),
                    reason: "tier `signed` has no evidence".to_owned(),
                });
            }
        }
        Ok(vec![Line {
            status: Status::Claimed,
            subject: "computation".to_owned(),
            detail: format!(
                "node {} says that it ran this model on this request; tier `signed` shows who said it, not that it is so",
                record.node
            ),
        }])
    }
}
