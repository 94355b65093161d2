//! Container images, built from this checkout.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::machine;

/// The archive of an image, for example `foretell-capture`. It is built now, from the sources as they are.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn archive(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let script = machine::root().join("scripts/images");
        let built = Command::new(&script).stdin(Stdio::null()).output().unwrap();
        assert!(built.status.success(), "{} failed:\n{}", script.display(), String::from_utf8_lossy(&built.stderr));
    });
    let archive = machine::root().join("target/images").join(format!("{name}.tar"));
    assert!(archive.is_file(), "{} was not built", archive.display());
    archive
}
