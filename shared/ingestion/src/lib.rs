//! A file in, records out: the engine behind every upload, whatever way its file comes.
//!
//! It looks through the file (`look`), so that a file that is no good as a whole, or that a plan has no
//! room for, is refused before anything is written; and reserves what is new. More than that it never
//! adds, whatever others delete meanwhile. Then it writes the file in *parts* of 100,000 rows (`part`):
//! reads a part's rows in slices on a thread of its own (`input`, `window`) while others are written
//! (`write`), settles, and folds what it wrote into the search index. A part's counters, its marker, the
//! upload's own item with the place where the next part begins and that part's reservation change in one
//! transaction. So whatever ends the process, every part is counted once; and an upload whose file lies
//! on the store (`background`) goes on where the last settled part ended, under an id of another attempt,
//! and knows its own rows again.

pub mod background;
mod errors;
mod hashed;
mod input;
mod look;
mod part;
mod run;
mod window;
mod write;

pub use input::failure;
pub use run::{Outcome, Upload};
