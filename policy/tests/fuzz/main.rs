//! Fuzz tests of all parsers.
//!
//! Each target starts with the files of its folder in `corpus` and changes them at random: bytes, keywords, pieces of other
//! files. The property that must hold is documented at each target. The fuzzer is not guided by coverage, which would need a
//! nightly compiler; it runs wherever the tests run, and each finding is added to the corpus as a file.
//!
//! `FORETELL_FUZZ_CASES` sets how many inputs each target gets (2,000 by default), `FORETELL_FUZZ_SEED` repeats a run. A
//! failing input is minimised and printed.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests panic rather than return errors")]

mod mutation;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use mutation::Mutation;

#[test]
fn manifests() {
    fuzz("manifests", targets::manifests);
}

#[test]
fn flows() {
    fuzz("flows", targets::flows);
}

#[test]
fn snapshots() {
    fuzz("snapshots", targets::snapshots);
}

#[test]
fn settings() {
    fuzz("settings", targets::settings);
}

fn fuzz(target: &str, holds: fn(&[u8])) {
    let cases: u64 = from_environment("FORETELL_FUZZ_CASES").unwrap_or(2_000);
    let seed: u64 = from_environment("FORETELL_FUZZ_SEED")
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap_or(0));
    println!("{target}: FORETELL_FUZZ_SEED={seed}");
    let corpus = corpus(target);
    for (name, input) in &corpus {
        assert!(passes(holds, input), "corpus/{target}/{name}");
    }
    let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|(_, input)| input).collect();
    let mut mutation = Mutation::new(seed);
    for case in 0..cases {
        let input = mutation.of(&inputs, targets::WORDS);
        if !passes(holds, &input) {
            // Minimising causes many failures, of which only the last one is useful.
            let hook = std::panic::take_hook();
            std::panic::set_hook(Box::new(|_| {}));
            let input = smallest(holds, input);
            std::panic::set_hook(hook);
            passes(holds, &input);
            panic!("{target}, case {case} of seed {seed}: {:?}", String::from_utf8_lossy(&input));
        }
    }
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

fn passes(holds: fn(&[u8]), input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| holds(input))).is_ok()
}

/// The smallest input found that still fails.
fn smallest(holds: fn(&[u8]), mut input: Vec<u8>) -> Vec<u8> {
    let mut length = input.len() / 2;
    while length > 0 {
        let mut start = 0;
        while start < input.len() {
            let mut shorter = input.clone();
            shorter.drain(start..input.len().min(start + length));
            if passes(holds, &shorter) {
                start += length;
            } else {
                input = shorter;
            }
        }
        length /= 2;
    }
    input
}
