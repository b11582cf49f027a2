//! A catalogue of made-up products: each is a function of the seed and its number, about 600 bytes
//! as JSON.

use std::ops::Range;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::products::{
    BRAND_ENDS, BRAND_STARTS, CATEGORIES, COLORS, DIAMETERS, GRADES, MATERIALS, MODIFIERS, SERIES,
    STANDARDS, TAGS,
};
use crate::random::Random;
use crate::vocabulary::Vocabulary;

/// The columns of the CSV form, whose nested values are spread out.
const COLUMNS: [&str; 18] = [
    "source_id",
    "name",
    "description",
    "sku",
    "ean",
    "part_number",
    "standard",
    "category",
    "material",
    "brand",
    "price_eur",
    "stock",
    "in_stock",
    "weight_kg",
    "length_mm",
    "width_mm",
    "tags",
    "color",
];

/// EANs are numbered in this many.
const EANS: u64 = 1_000_000_000;
/// Spreads neighbours; odd and no multiple of five, so that every number is met once.
const EAN_STEP: u64 = 618_033_989;

/// Streams of one seed that must not meet: of words and of all else.
const WORDS: u64 = 0x7f4a_7c15_0000_0000;
const REST: u64 = 0x51ed_270b_0000_0000;

/// A catalogue of so many products.
#[derive(Debug)]
pub struct Catalogue {
    seed: u64,
    count: u64,
    vocabulary: Vocabulary,
}

/// A product.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// Unique in the catalogue.
    pub source_id: String,
    /// Three to seven words.
    pub name: String,
    /// One or two sentences.
    pub description: String,
    /// Unique in the catalogue.
    pub sku: String,
    /// 13 digits, the last of which checks the others; unique in the catalogue.
    pub ean: String,
    /// The maker's number.
    pub part_number: String,
    /// Three in five have one.
    pub standard: Option<&'static str>,
    /// One of 20.
    pub category: &'static str,
    /// One of 15.
    pub material: &'static str,
    /// One of 200.
    pub brand: String,
    /// The price in cents.
    pub price_cents: u64,
    /// Pieces; none in three of ten.
    pub stock: u64,
    /// The weight in grams.
    pub weight_g: u64,
    /// The length in millimetres.
    pub length_mm: u64,
    /// The width in millimetres.
    pub width_mm: u64,
    /// Two to four.
    pub tags: Vec<&'static str>,
    /// Half have one.
    pub color: Option<&'static str>,
}

impl Catalogue {
    /// A catalogue. Its first products are those of a smaller one of the same seed.
    #[must_use]
    pub fn new(seed: u64, count: u64) -> Self {
        Self {
            seed,
            count,
            vocabulary: Vocabulary::default(),
        }
    }

    /// What determines it.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How many products there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The words of descriptions.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// All products in order.
    pub fn products(&self) -> impl Iterator<Item = Product> {
        (0..self.count).map(|n| self.product(n))
    }

    /// All products in order, as JSON.
    pub fn rows(&self) -> impl Iterator<Item = Value> {
        (0..self.count).map(|n| self.row(n))
    }

    /// The product of a number, as JSON for an upload.
    #[must_use]
    pub fn row(&self, n: u64) -> Value {
        self.product(n).to_json()
    }

    /// The product of a number.
    #[must_use]
    pub fn product(&self, n: u64) -> Product {
        let mut random = Random::stream(self.seed ^ REST, n);
        let category = random.pick(&CATEGORIES);
        let material = random.pick(&MATERIALS);
        let grade = *random.pick(&GRADES);
        let diameter = *random.pick(&DIAMETERS);
        let length = 5 * random.between(1, 60);
        let start = *random.pick(&BRAND_STARTS);
        let brand = format!("{start}{}", random.pick(&BRAND_ENDS));
        let mut name = material.word.to_owned();
        if random.chance(1, 3) {
            name += &format!(" {}", random.pick(&MODIFIERS));
        }
        name += &format!(" {} M{diameter}x{length}", random.pick(&category.nouns));
        if random.chance(1, 2) {
            name += &format!(" {grade}");
        }
        if random.chance(1, 8) {
            name += &format!(" {}", random.pick(&SERIES));
        }
        // Octaves, so that there are as many prices from 1 to 2 as from 100 to 200.
        let octave = 20 << random.below(12);
        Product {
            source_id: format!("p-{n:07}"),
            name,
            description: self.description(n),
            sku: format!("{}-M{diameter}-{length}-{grade}-{n:06}", material.code),
            ean: self.ean(n),
            part_number: format!(
                "{}{:05}.{:03}",
                &brand[..2].to_uppercase(),
                random.below(100_000),
                random.below(1_000)
            ),
            standard: random.chance(3, 5).then(|| *random.pick(&STANDARDS)),
            category: category.name,
            material: material.name,
            brand,
            price_cents: octave + random.below(octave),
            stock: if random.chance(7, 10) {
                random.between(1, 5_000)
            } else {
                0
            },
            weight_g: random.between(2, 25_000),
            length_mm: length,
            width_mm: 2 * diameter + random.below(20),
            tags: tags(&mut random),
            color: random.chance(1, 2).then(|| *random.pick(&COLORS)),
        }
    }

    /// The words of a product's description that are searched, by rank, as they follow each other.
    #[must_use]
    pub fn words(&self, n: u64) -> Vec<usize> {
        self.tokens(n).into_iter().flatten().collect()
    }

    /// Ranks of words, and `None` where a small word stands.
    fn tokens(&self, n: u64) -> Vec<Option<usize>> {
        let mut random = Random::stream(self.seed ^ WORDS, n);
        let length = random.between(24, 40);
        (0..length)
            .map(|at| {
                let small = at > 0 && random.chance(1, 9);
                (!small).then(|| self.vocabulary.draw(&mut random))
            })
            .collect()
    }

    fn description(&self, n: u64) -> String {
        let tokens = self.tokens(n);
        let mut random = Random::stream(self.seed ^ WORDS ^ REST, n);
        // Where the second sentence begins, if there is one.
        let split = random
            .chance(2, 3)
            .then(|| tokens.len() / 3 + random.place(tokens.len() / 3));
        let mut text = String::with_capacity(256);
        for (at, token) in tokens.into_iter().enumerate() {
            if Some(at) == split {
                text.push('.');
            }
            if at > 0 {
                text.push(' ');
            }
            let word = match token {
                Some(rank) => self.vocabulary.word(rank),
                None => Vocabulary::small(&mut random),
            };
            if at == 0 || Some(at) == split {
                text.push_str(&word[..1].to_uppercase());
                text.push_str(&word[1..]);
            } else {
                text.push_str(word);
            }
        }
        text.push('.');
        text
    }

    fn ean(&self, n: u64) -> String {
        let shift = Random::new(self.seed).below(EANS);
        let number = (n % EANS * EAN_STEP + shift) % EANS;
        let digits = format!("400{number:09}");
        let sum: u32 = digits
            .bytes()
            .zip([1, 3].into_iter().cycle())
            .map(|(digit, weight)| u32::from(digit - b'0') * weight)
            .sum();
        format!("{digits}{}", (10 - sum % 10) % 10)
    }

    /// Products as a CSV file with a header.
    pub fn csv(&self, range: Range<u64>) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(COLUMNS)?;
        for n in range {
            writer.write_record(self.product(n).to_cells())?;
        }
        let bytes = writer.into_inner().context("cannot end the CSV")?;
        String::from_utf8(bytes).context("the CSV is not UTF-8")
    }

    /// Products as a file of a JSON object a line.
    #[must_use]
    pub fn ndjson(&self, range: Range<u64>) -> String {
        let mut text = String::new();
        for n in range {
            text += &self.row(n).to_string();
            text.push('\n');
        }
        text
    }
}

impl Product {
    /// The product as a row of an upload: its own fields, and the data beside them.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut row = self.data();
        row.insert("source_id".to_owned(), json!(self.source_id));
        row.insert("name".to_owned(), json!(self.name));
        row.insert("description".to_owned(), json!(self.description));
        Value::Object(row)
    }

    /// What becomes `collection_data`.
    #[must_use]
    pub fn data(&self) -> Map<String, Value> {
        let mut data = Map::new();
        let mut put = |key: &str, value: Value| data.insert(key.to_owned(), value);
        put("sku", json!(self.sku));
        put("ean", json!(self.ean));
        put("part_number", json!(self.part_number));
        if let Some(standard) = self.standard {
            put("standard", json!(standard));
        }
        put("category", json!(self.category));
        put("material", json!(self.material));
        put("brand", json!(self.brand));
        put("price_eur", decimal(self.price_cents, 100));
        put("stock", json!(self.stock));
        put("in_stock", json!(self.stock > 0));
        put("weight_kg", decimal(self.weight_g, 1_000));
        put(
            "dimensions",
            json!({"length_mm": self.length_mm, "width_mm": self.width_mm}),
        );
        put("tags", json!(self.tags));
        if let Some(color) = self.color {
            put("color", json!(color));
        }
        data
    }

    fn to_cells(&self) -> [String; 18] {
        [
            self.source_id.clone(),
            self.name.clone(),
            self.description.clone(),
            self.sku.clone(),
            self.ean.clone(),
            self.part_number.clone(),
            self.standard.unwrap_or_default().to_owned(),
            self.category.to_owned(),
            self.material.to_owned(),
            self.brand.clone(),
            decimal(self.price_cents, 100).to_string(),
            self.stock.to_string(),
            (self.stock > 0).to_string(),
            decimal(self.weight_g, 1_000).to_string(),
            self.length_mm.to_string(),
            self.width_mm.to_string(),
            self.tags.join(" "),
            self.color.unwrap_or_default().to_owned(),
        ]
    }

    /// What identifies the product, in lower case and without separators.
    #[must_use]
    pub fn identifiers(&self) -> Vec<String> {
        let standard = self.standard.unwrap_or_default();
        [&self.sku, &self.ean, &self.part_number, standard]
            .into_iter()
            .map(bare)
            .filter(|bare| !bare.is_empty())
            .collect()
    }
}

/// An identifier without case and separators.
#[must_use]
pub fn bare(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

fn tags(random: &mut Random) -> Vec<&'static str> {
    let count = random.between(2, 4);
    let first = random.place(TAGS.len());
    // Steps that no two of which lead to the same tag.
    let step = 1 + random.place(7);
    (0..count)
        .scan(first, |at, _| {
            let tag = TAGS[*at % TAGS.len()];
            *at += step;
            Some(tag)
        })
        .collect()
}

/// An amount in parts of a unit, as a JSON number of that unit.
#[expect(clippy::cast_precision_loss, reason = "amounts are small")]
fn decimal(parts: u64, unit: u64) -> Value {
    json!(parts as f64 / unit as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_product_depends_on_seed_and_number_alone() {
        let small = Catalogue::new(1, 10);
        let large = Catalogue::new(1, 1_000_000);
        assert_eq!(small.row(7), large.row(7));
        assert_ne!(small.row(7), small.row(8));
        assert_ne!(small.row(7), Catalogue::new(2, 10).row(7));
    }

    #[test]
    fn what_is_unique_is_unique() {
        let catalogue = Catalogue::new(3, 20_000);
        let mut seen = HashSet::new();
        for product in catalogue.products() {
            for value in [product.source_id, product.sku, product.ean] {
                assert!(seen.insert(value.clone()), "{value}");
            }
        }
    }

    #[test]
    fn products_are_as_large_and_as_full_as_promised() {
        let catalogue = Catalogue::new(1, 5_000);
        let (mut bytes, mut with_standard) = (0, 0);
        for product in catalogue.products() {
            bytes += product.to_json().to_string().len();
            with_standard += u32::from(product.standard.is_some());
            let words = product.name.split_whitespace().count();
            assert!((3..=7).contains(&words), "{}", product.name);
            let words = product.description.split_whitespace().count();
            assert!((20..=40).contains(&words), "{}", product.description);
            let distinct: HashSet<_> = product.tags.iter().collect();
            assert_eq!(distinct.len(), product.tags.len());
        }
        assert!((540..660).contains(&(bytes / 5_000)), "{}", bytes / 5_000);
        assert!((2_800..3_200).contains(&with_standard));
    }

    #[test]
    fn eans_check() {
        let ean = Catalogue::new(1, 1).product(0).ean;
        let sum: u32 = ean
            .bytes()
            .zip([1, 3].into_iter().cycle())
            .map(|(digit, weight)| u32::from(digit - b'0') * weight)
            .sum();
        assert_eq!((ean.len(), sum % 10), (13, 0));
    }

    #[test]
    fn the_files_have_a_row_each() {
        let catalogue = Catalogue::new(1, 10);
        assert_eq!(catalogue.csv(2..7).unwrap().lines().count(), 6);
        assert_eq!(catalogue.ndjson(2..7).lines().count(), 5);
    }
}
