//! Golden files: text that a test compares with a file in `tests/golden`.

use std::{env, fs};

use crate::machine;

/// Compares text with a golden file, named from `tests/golden`. With `FORETELL_UPDATE_GOLDEN` the file is written first.
///
/// # Panics
/// If they differ.
pub fn compare(name: &str, text: &str) {
    let path = machine::root().join("tests/golden").join(name);
    if env::var_os("FORETELL_UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{} differs; `make golden` writes it. It is now:\n{text}", path.display());
}
