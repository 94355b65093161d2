#!/bin/sh
# scripts/retired-words and scripts/unused-dependencies, on small trees.
set -u
cd "$(dirname "$0")/../.." || exit 1

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bad=0
check() {
    name=$1
    shift
    if "$@"; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        sed 's/^/    /' "$scratch/output"
        bad=1
    fi
}
# shellcheck disable=SC2317 # called by check
says() { grep -qF -- "$1" "$scratch/output"; }
# shellcheck disable=SC2317 # called by check
says_nothing_of() { ! says "$1"; }
file() {
    mkdir -p "$(dirname "$scratch/tree/$1")"
    cat >"$scratch/tree/$1"
}
# run SCRIPT: on the tree. Leaves `status` and its output.
run() {
    status=0
    "scripts/$1" "$scratch/tree" >"$scratch/output" 2>&1 || status=$?
}

file scripts/retired-words.txt <<'FILE'
mend, mends | fix
lets * pass | allows
allow docs/history.md | mend | quotes an old release
FILE
file cli/src/run.rs <<'FILE'
/// mend: a name in a comment is for programmers
fn mend() { println!("a {mend} that lets it\n pass: Mends"); }
#[cfg(test)]
mod tests { const TEXT: &str = "mend"; }
FILE
file cli/src/args.rs <<'FILE'
/// What mends it
mend: bool,
FILE
echo '"mend"' | file cli/tests/run.rs
echo 'It does not mend, nor recommend, anything.' | file README.md
echo 'It did mend. Mends.' | file docs/history.md
printf 'kind: Pod # mend\n' | file manifests/pod.yaml
run retired-words
check "retired words fail" [ "$status" = 1 ]
check "in messages, in any case" says 'cli/src/run.rs:2: "Mends": write fix'
check "over a line's end" says 'cli/src/run.rs:2: "lets it pass": write allows'
check "in help" says 'cli/src/args.rs:1: "mends": write fix'
check "in documents" says 'README.md:1: "mend": write fix'
check "in manifests" says 'manifests/pod.yaml:1: "mend": write fix'
check "but not in placeholders, code and tests" says "cli 3,"
check "nor where it is allowed" says_nothing_of 'docs/history.md:1: "mend"'
check "which is for that phrase alone" says 'docs/history.md:1: "Mends"'

rm -rf "$scratch/tree"
echo 'mend | fix' | file scripts/retired-words.txt
echo 'Fix it.' | file README.md
run retired-words
check "a tree without them passes" [ "$status" = 0 ]
echo 'allow README.md | mend |' | file scripts/retired-words.txt
run retired-words
check "an exception without a reason is an error" [ "$status" = 2 ]

rm -rf "$scratch/tree"
file Cargo.toml <<'FILE'
[workspace]
members = ["one"]
[workspace.dependencies]
used-here = "1"
used-nowhere = "1"
FILE
file one/Cargo.toml <<'FILE'
[dependencies]
used-here.workspace = true
forgotten = "1"
silent = "1" # for its features: turns on what `used-here` needs
[dev-dependencies]
for-tests = "1"
FILE
echo 'use used_here::Thing; // forgotten::Thing' | file one/src/lib.rs
echo '#[for_tests::test] fn f() {}' | file one/tests/one.rs
run unused-dependencies
check "an unused dependency fails" says "one/Cargo.toml:3: no source uses forgotten: remove it"
check "one of the workspace, too" says "Cargo.toml:5: no member depends on used-nowhere: remove it"
check "and no other" [ "$(wc -l <"$scratch/output")" = 2 ]
exit $bad
