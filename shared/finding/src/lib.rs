//! What searches have in common, whoever makes them: what is asked, and how it is answered.

mod answer;
mod ask;
mod format;

pub use answer::{Answer, Course, Row};
pub use ask::Ask;
pub use format::Format;
