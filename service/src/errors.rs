//! An error as one line of text. The texts of libraries often say only that something failed; the cause is in their sources.

use std::error::Error;
use std::iter;

/// The error and its sources, from the outermost to the root: `error sending request: connection refused`. A source whose
/// text an earlier one contains is left out.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = String::new();
    for cause in causes(error) {
        let line = first_line(cause);
        if text.is_empty() {
            text = line;
        } else if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
    }
    text
}

/// The root of the error alone, for libraries whose outer errors tell a user nothing.
#[must_use]
pub fn root(error: &dyn Error) -> String {
    causes(error).last().map(first_line).unwrap_or_default()
}

fn causes<'a>(error: &'a (dyn Error + 'a)) -> impl Iterator<Item = &'a (dyn Error + 'a)> {
    iter::successors(Some(error), |&cause| cause.source().map(|source| source as _))
}

/// Some libraries add a backtrace below the first line.
fn first_line(error: &dyn Error) -> String {
    error.to_string().lines().next().unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|layer| layer as _)
        }
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let mut layers = texts.iter().rev();
        let root = Layer(layers.next().unwrap(), None);
        layers.fold(root, |source, text| Layer(text, Some(Box::new(source))))
    }

    #[test]
    fn a_chain_names_every_cause_once_and_stays_on_one_line() {
        for (texts, expected) in [
            (&["refused"][..], "refused"),
            (&["cannot send", "refused"], "cannot send: refused"),
            (&["cannot send: refused", "refused"], "cannot send: refused"),
            (&["a", "b", "c"], "a: b: c"),
            (&["a\n\nFound at\n 0: main", "b"], "a: b"),
        ] {
            assert_eq!(chain(&layers(texts)), expected);
        }
    }

    #[test]
    fn the_root_is_the_innermost_cause_alone() {
        assert_eq!(root(&layers(&["cannot send", "connect", "refused\nat main"])), "refused");
        assert_eq!(root(&layers(&["refused"])), "refused");
    }
}
