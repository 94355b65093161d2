//! Everything that parses, fed with what nobody would write.
//!
//! Each target begins with the files of its folder in `corpus` and changes them at random: bytes, words that mean something to
//! it, pieces of one file in another. What it must hold is written at the target. This is no coverage-guided fuzzer, as those
//! need a nightly compiler; in return it runs wherever the tests do, and a finding is a file for the corpus.
//!
//! `FORETELL_FUZZ_CASES` sets how many inputs each target gets (2,000 by default), `FORETELL_FUZZ_SEED` repeats a run. An
//! input that fails is cut down and printed.
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
            // Of the many failures on the way only the last one is worth reading.
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

/// The input with all taken out that the failure does not need.
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
