//! The pages of several indexes as one: ordered as if their records lay in a single index.
//!
//! Each index is asked for its hits from the first to the last of the page that is wanted, so the
//! page is exact. What one index falls back to does not count where another has what was asked for.

use std::cmp::Ordering;

use crate::index::{Hit, Page};
use crate::rank::Rank;
use crate::request::Request;

/// One page, as it grows.
pub struct Together<T> {
    each: Request,
    /// How many of the hits come before the page.
    skip: usize,
    most: usize,
    page: Page,
    found: Vec<Found<T>>,
}

struct Found<T> {
    hit: Hit,
    rank: Rank,
    from: T,
}

impl<T> Found<T> {
    fn compare(&self, other: &Self) -> Ordering {
        let ids = || self.hit.id.cmp(&other.hit.id);
        self.rank.compare(&other.rank).then_with(ids)
    }
}

impl<T: Clone> Together<T> {
    /// The page of a request that so many indexes answer.
    #[must_use]
    pub fn new(request: &Request, indexes: usize) -> Self {
        let mut each = request.clone();
        // One alone knows which of its hits come before the page.
        if indexes != 1 {
            each.limit += each.offset;
            each.offset = 0;
        }
        Self {
            skip: (request.offset - each.offset) as usize,
            most: each.limit as usize,
            page: Page::nothing(request),
            found: Vec::new(),
            each,
        }
    }

    /// What each index is to be asked for.
    #[must_use]
    pub fn each(&self) -> &Request {
        &self.each
    }

    /// Takes in what an index has found; `from` goes with each of its hits.
    pub fn take(&mut self, page: Page, from: &T) {
        let all = &mut self.page;
        // That something was searched in which nothing may be found is not told either.
        if page.total == 0 {
            return;
        }
        all.kinds.extend(page.kinds);
        all.classify_time = all.classify_time.max(page.classify_time);
        all.search_time = all.search_time.max(page.search_time);
        if all.total > 0 && page.fit > all.fit {
            return;
        }
        if all.total == 0 || page.fit < all.fit {
            self.found.clear();
            all.total = 0;
            (all.mode, all.fit, all.fell_back) = (page.mode, page.fit, page.fell_back);
        }
        all.total += page.total;
        let hits = page.hits.into_iter().zip(page.ranks);
        self.found.extend(hits.map(|(hit, rank)| Found {
            hit,
            rank,
            from: from.clone(),
        }));
        self.found.sort_by(Found::compare);
        self.found.truncate(self.most);
    }

    /// The page, and where each of its hits is from.
    #[must_use]
    pub fn page(self) -> (Page, Vec<T>) {
        let (mut page, mut from) = (self.page, Vec::new());
        for found in self.found.into_iter().skip(self.skip) {
            page.hits.push(found.hit);
            page.ranks.push(found.rank);
            from.push(found.from);
        }
        (page, from)
    }
}
