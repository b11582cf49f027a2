//! The delimiter and the header of a CSV file.

use model::Fault;
use serde::{Deserialize, Serialize};

use crate::csv_records::{Next, check_quotes, next};
use crate::csv_scan::{Field, Scan, blank, scan};
use crate::draft::OWN;
use crate::encoding::Sample;
use crate::window::Window;
use crate::{Error, invalid};

/// The delimiters that are looked for.
const DELIMITERS: [u8; 4] = *b",;\t|";

/// How many records of a file tell its delimiter.
const SAMPLE: usize = 20;

/// How many bytes of it are looked at for that, at most.
const SAMPLE_BYTES: usize = 256 * 1024;

/// The longest name of a column, in characters.
const MAX_COLUMN_NAME: usize = 200;

/// How a CSV file is read. Its header is read each time anew, as it may be large.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CsvLayout {
    pub(crate) delimiter: u8,
    name_column: String,
}

impl CsvLayout {
    pub(crate) fn find(sample: &Sample, name_column: &str) -> Result<Self, Error> {
        let layout = Self {
            delimiter: delimiter(&sample.text),
            name_column: name_column.to_owned(),
        };
        layout.plan(&mut Window::over(sample.text.clone()))?;
        Ok(layout)
    }

    pub(crate) fn delimiter(&self) -> char {
        char::from(self.delimiter)
    }

    /// Reads the header.
    pub(crate) fn plan(&self, window: &mut Window) -> Result<Plan, Error> {
        let mut fields = Vec::new();
        let length = match next(window, self.delimiter, &mut fields)? {
            Next::Record(length) => length,
            Next::Large => return Err(invalid("header_too_long", "The header has more than 1 MB")),
            Next::End => return Err(invalid("file_empty", "The file is empty")),
        };
        check_quotes(window, &fields)?;
        let columns = columns(window.rest(), &fields)?;
        window.consume(length);
        let Some(name) = columns.iter().position(|name| *name == self.name_column) else {
            let listed: Vec<&str> = columns.iter().take(20).map(String::as_str).collect();
            let message = format!(
                "The file has no column '{}'; its columns are {}",
                self.name_column,
                listed.join(", ")
            );
            return Err(Error::Invalid(
                "name_column",
                Fault::new("missing", message),
            ));
        };
        Ok(Plan::new(columns, name))
    }
}

/// The delimiter under which most of the first records have the columns of the first one; of
/// several, the one with most columns. A file of one column has a comma.
fn delimiter(text: &str) -> u8 {
    let text = &text.as_bytes()[..text.len().min(SAMPLE_BYTES)];
    let quality = |delimiter: &u8| {
        let lengths = lengths(text, *delimiter);
        let columns = lengths.first().copied().unwrap_or(0);
        let alike = lengths.iter().filter(|length| **length == columns).count();
        (columns > 1).then_some((alike * 1_000 / lengths.len().max(1), columns))
    };
    DELIMITERS
        .into_iter()
        .rev()
        .max_by_key(quality)
        .filter(|delimiter| quality(delimiter).is_some())
        .unwrap_or(b',')
}

/// How many columns the first records have.
fn lengths(mut text: &[u8], delimiter: u8) -> Vec<usize> {
    let mut fields = Vec::new();
    let mut lengths = Vec::new();
    while lengths.len() < SAMPLE {
        text = &text[blank(text)..];
        if text.is_empty() {
            break;
        }
        let scanned = scan(text, delimiter, true, &mut fields);
        lengths.push(fields.len());
        let Scan::Record(length) = scanned else { break };
        text = &text[length..];
    }
    lengths
}

/// The names of the columns.
fn columns(header: &str, fields: &[Field]) -> Result<Vec<String>, Error> {
    let names = fields.iter().map(|field| field.text(header));
    let columns: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
    for (index, column) in columns.iter().enumerate() {
        let number = index + 1;
        if column.is_empty() {
            let message = format!("Column {number} has no name in the header");
            return Err(invalid("header_blank", message));
        }
        if column.chars().count() > MAX_COLUMN_NAME {
            let message =
                format!("The name of column {number} has more than {MAX_COLUMN_NAME} characters");
            return Err(invalid("header_too_long", message));
        }
        if columns[..index].contains(column) {
            let message = format!("The header has the column '{column}' more than once");
            return Err(invalid("header_duplicate", message));
        }
    }
    Ok(columns)
}

/// What becomes of each column.
pub(crate) struct Plan {
    /// How many there are.
    pub(crate) columns: usize,
    /// What their names take in a record, in bytes, with the signs around them.
    pub(crate) names: usize,
    /// The columns of [`OWN`], in its order.
    pub(crate) own: [Option<usize>; 4],
    /// The other columns, in order of their names.
    pub(crate) data: Vec<(String, usize)>,
}

impl Plan {
    fn new(columns: Vec<String>, name: usize) -> Self {
        let mut plan = Self {
            columns: columns.len(),
            names: columns.iter().map(|column| column.len() + 8).sum(),
            own: [Some(name), None, None, None],
            data: Vec::with_capacity(columns.len()),
        };
        for (index, column) in columns.into_iter().enumerate() {
            if index == name {
                continue;
            }
            match OWN.iter().skip(1).position(|own| *own == column) {
                Some(own) => plan.own[own + 1] = Some(index),
                None => plan.data.push((column, index)),
            }
        }
        plan.data.sort_unstable();
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_one_that_fits() {
        for (expected, text) in [
            (b',', "name,price\na,1\nb,2"),
            (b';', "name;price\na;1,5\nb;2,5"),
            (b'\t', "name\tprice\na\t1\n"),
            (b'|', "name|price|x\na|1|y\n"),
            (b',', "name\na\nb"),
            (b';', "name;note\na;\"x,y\"\nb;\"z,w,v\""),
            (b',', "name,a;b\nx,1;2\ny,\"3;4\""),
        ] {
            assert_eq!(delimiter(text), expected, "{text}");
        }
    }

    #[test]
    fn each_column_has_its_place() {
        let columns = ["z", "source_id", "title", "name", "a"].map(str::to_owned);
        let plan = Plan::new(columns.to_vec(), 2);
        assert_eq!(plan.own, [Some(2), None, Some(1), None]);
        let data = [("a", 4), ("name", 3), ("z", 0)];
        let data: Vec<_> = data.map(|(name, at)| (name.to_owned(), at)).into();
        assert_eq!(plan.data, data);
    }
}
