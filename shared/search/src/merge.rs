//! Which segments are to become one: many small ones cost every search, and so does what is
//! deleted.

use model::index::Segment;

use crate::Effort;

/// Segments are merged with others of their size: up to so many live documents, so many of them.
const TIERS: [(u32, usize); 3] = [(10_000, 8), (100_000, 8), (1_000_000, 4)];

/// A segment is rewritten when so many per cent of it are deleted.
const WASTE: u64 = 30;

/// Whether segments should be merged by who does so much.
#[must_use]
pub fn is_due(segments: &[Segment], effort: Effort) -> bool {
    next(segments, effort.most_merged(), effort.crowds()).is_some()
}

fn live(segment: &Segment) -> u32 {
    segment.docs - segment.deleted
}

/// The next segments to make one of, by their places; no more than `most` documents together. So many
/// `crowds` have to be there.
pub(crate) fn next(segments: &[Segment], most: u32, crowds: usize) -> Option<Vec<usize>> {
    let most = u64::from(most);
    let wasteful = segments.iter().position(|segment| {
        let (docs, deleted) = (u64::from(segment.docs), u64::from(segment.deleted));
        deleted * 100 > docs * WASTE && docs - deleted <= most
    });
    if let Some(wasteful) = wasteful {
        return Some(vec![wasteful]);
    }
    let mut above = 0;
    for (tier, crowded) in TIERS {
        let mut crowd: Vec<usize> = (0..segments.len())
            .filter(|at| (above..=tier).contains(&live(&segments[*at])))
            .collect();
        above = tier + 1;
        if crowd.len() < crowded * crowds {
            continue;
        }
        // The smallest first, as many as fit.
        crowd.sort_by_key(|at| live(&segments[*at]));
        let mut sum = 0;
        crowd.retain(|at| {
            sum += u64::from(live(&segments[*at]));
            sum <= most.min(u64::from(TIERS[TIERS.len() - 1].0))
        });
        if crowd.len() > 1 {
            return Some(crowd);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(sizes: &[(u32, u32)]) -> Vec<Segment> {
        let segment = |(docs, deleted): &(u32, u32)| Segment {
            id: String::new(),
            docs: *docs,
            deleted: *deleted,
            deleted_by: 0,
        };
        sizes.iter().map(segment).collect()
    }

    #[test]
    fn eight_of_a_size_become_one() {
        let few = segments(&[(1, 0); 7]);
        assert_eq!(next(&few, u32::MAX, 1), None);
        let mut many = segments(&[(300_000, 0)]);
        many.extend(segments(&[(1, 0); 8]));
        assert_eq!(next(&many, u32::MAX, 1), Some((1..=8).collect()));
    }

    #[test]
    fn a_busy_index_waits_for_several_crowds() {
        let two = segments(&[(1, 0); 16]);
        assert_eq!(next(&two[..15], u32::MAX, 2), None);
        assert_eq!(next(&two, u32::MAX, 2), Some((0..16).collect()));
    }

    #[test]
    fn beside_an_upload_only_small_merges_that_are_long_due_are_made() {
        let packs = |count| segments(&vec![(15_000, 0); count]);
        let large = segments(&[(200_000, 0); 4]);
        assert!(is_due(&packs(8), Effort::Background));
        assert!(!is_due(&packs(31), Effort::Beside));
        assert!(is_due(&packs(32), Effort::Beside));
        assert!(is_due(&large, Effort::Background));
        assert!(!is_due(&large, Effort::Beside));
    }

    #[test]
    fn what_is_mostly_deleted_is_rewritten() {
        let half = segments(&[(10, 0), (100, 50), (100, 10)]);
        assert_eq!(next(&half, u32::MAX, 1), Some(vec![1]));
        assert_eq!(next(&half, 40, 1), None);
    }

    #[test]
    fn a_merge_stays_within_what_there_is_time_for() {
        let tier = segments(&[(4_000, 0); 8]);
        assert_eq!(next(&tier, 10_000, 1), Some(vec![0, 1]));
        assert_eq!(next(&tier, 4_000, 1), None);
        let large = segments(&[(250_000, 0); 4]);
        assert_eq!(next(&large, u32::MAX, 1), Some(vec![0, 1, 2, 3]));
        let huge = segments(&[(600_000, 0); 4]);
        assert_eq!(next(&huge, u32::MAX, 1), None, "a million is enough");
    }
}
