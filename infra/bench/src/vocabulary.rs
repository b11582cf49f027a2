//! The words of descriptions: a few thousand stems, some in a quarter of all records, some in a few
//! of ten thousand.
//!
//! The most frequent words are English; the long tail is made of syllables that no stemmer touches,
//! so that every engine counts the same matches.

use std::ops::Range;

use crate::random::Random;

/// How many stems there are.
pub const STEMS: usize = 4_500;

/// Ranks of words that are each in 10 to 20 % of all records, 14 % in the middle.
pub const COMMON: Range<usize> = 10..55;
/// Ranks of words that are each in 11 to 23 %, 17 % in the middle.
pub const FREQUENT: Range<usize> = 4..50;
/// Ranks of words that are each in 2 to 4 %.
pub const MIDDLING: Range<usize> = 150..290;
/// Ranks of words that are each in about 0.03 %.
pub const RARE: Range<usize> = 3_700..4_300;

/// Flattens the head of the distribution.
const SHIFT: usize = 85;

/// The most frequent words, by rank. No two have one stem, and none is in a name or a tag.
const HEAD: [&str; 80] = [
    "industrial",
    "quality",
    "reliable",
    "machine",
    "surface",
    "designed",
    "assembly",
    "durable",
    "performance",
    "temperature",
    "resistant",
    "corrosion",
    "pressure",
    "maintenance",
    "operation",
    "environment",
    "application",
    "tolerance",
    "installation",
    "safety",
    "heavy",
    "smooth",
    "compact",
    "finish",
    "coating",
    "torque",
    "vibration",
    "noise",
    "lubricant",
    "moisture",
    "outdoor",
    "marine",
    "chemical",
    "hygienic",
    "production",
    "workshop",
    "service",
    "lifetime",
    "replacement",
    "package",
    "delivery",
    "certificate",
    "tested",
    "manufacturer",
    "customer",
    "engineer",
    "construction",
    "automotive",
    "agricultural",
    "electrical",
    "mechanical",
    "friction",
    "strength",
    "weight",
    "diameter",
    "thickness",
    "rotation",
    "accuracy",
    "efficient",
    "economical",
    "universal",
    "flexible",
    "rigid",
    "modular",
    "portable",
    "adjustable",
    "removable",
    "washable",
    "odourless",
    "insulated",
    "grounded",
    "shielded",
    "polished",
    "brushed",
    "anodised",
    "painted",
    "welded",
    "forged",
    "machined",
    "moulded",
];

/// Words that a search leaves out.
const SMALL: [&str; 8] = ["for", "and", "with", "of", "in", "the", "to", "from"];

const ONSETS: [char; 17] = [
    'b', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'w', 'z',
];
const VOWELS: [char; 5] = ['a', 'e', 'i', 'o', 'u'];
/// Endings that are no suffix of English.
const ENDS: [char; 4] = ['k', 'm', 'p', 'x'];

/// All words and how often each is drawn.
#[derive(Debug)]
pub struct Vocabulary {
    words: Vec<String>,
    /// For each word, the sum of its weight and those of all before it.
    sums: Vec<u64>,
}

impl Default for Vocabulary {
    fn default() -> Self {
        let words = (0..STEMS).map(word).collect();
        let sums = (0..STEMS).scan(0, |sum, rank| {
            *sum += weight(rank);
            Some(*sum)
        });
        Self {
            words,
            sums: sums.collect(),
        }
    }
}

impl Vocabulary {
    /// The word of a rank, the most frequent first.
    #[must_use]
    pub fn word(&self, rank: usize) -> &str {
        &self.words[rank]
    }

    /// Draws a word and returns its rank.
    pub fn draw(&self, random: &mut Random) -> usize {
        let whole = self.sums.last().copied().unwrap_or(1);
        let at = random.below(whole);
        self.sums.partition_point(|sum| *sum <= at)
    }

    /// Draws a small word.
    pub(crate) fn small(random: &mut Random) -> &'static str {
        SMALL[random.place(SMALL.len())]
    }
}

/// Zipf's law with a flat head and a steep tail: (rank + 85)^-1.75, in whole numbers, so that every
/// machine draws the same words.
fn weight(rank: usize) -> u64 {
    let x = (rank + SHIFT) as u128;
    let hundredfold = (x.pow(7) * 100_000_000).isqrt().isqrt();
    u64::try_from(10_000_000_000_000 / hundredfold).unwrap_or(u64::MAX)
}

fn word(rank: usize) -> String {
    if let Some(word) = HEAD.get(rank) {
        return (*word).to_owned();
    }
    // Two syllables by a walk that visits each pair once, so that no two words are the same.
    let pairs = ONSETS.len() * VOWELS.len();
    let mut at = (rank * 3_571) % (pairs * pairs);
    let mut word = String::with_capacity(5);
    for _ in 0..2 {
        word.push(ONSETS[at % ONSETS.len()]);
        at /= ONSETS.len();
        word.push(VOWELS[at % VOWELS.len()]);
        at /= VOWELS.len();
    }
    word.push(ENDS[rank % ENDS.len()]);
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_word_comes_twice() {
        let vocabulary = Vocabulary::default();
        let words: HashSet<&String> = vocabulary.words.iter().collect();
        assert_eq!(words.len(), STEMS);
    }

    #[test]
    fn frequencies_are_as_promised() {
        let vocabulary = Vocabulary::default();
        let whole = u128::from(*vocabulary.sums.last().unwrap());
        // Millionths of all draws; a description has about 28.
        let share = |rank| u128::from(weight(rank)) * 1_000_000 / whole;
        assert!((3_500..8_000).contains(&share(COMMON.start)));
        assert!((3_500..8_000).contains(&share(COMMON.end)));
        assert!((8..14).contains(&share(RARE.start)));
        assert!((8..14).contains(&share(RARE.end)));
    }
}
