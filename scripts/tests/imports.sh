#!/bin/sh
# shellcheck disable=SC2016 # backquotes of messages
# scripts/imports, on small trees.
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

# file PATH: a file of the tree, from standard input.
file() {
    mkdir -p "$(dirname "$scratch/tree/$1")"
    cat >"$scratch/tree/$1"
}
# Runs it on the tree; leaves `status` and its output.
run() {
    status=0
    scripts/imports "$scratch/tree" >"$scratch/output" 2>&1 || status=$?
}
# A tree that keeps every rule.
good_tree() {
    rm -rf "$scratch/tree"
    file scripts/import-order.txt <<'FILE'
[policy/src]
model
policy
snapshot    not policy
engine
[cli/src]
FILE
    echo 'pub mod model { pub mod flow; } // use crate::engine::world::World;' | file policy/src/lib.rs
    echo 'use std::fmt;' | file policy/src/model/flow.rs
    echo 'use crate::model::flow::Flow;' | file policy/src/policy/peer.rs
    echo 'use crate::model::flow::Flow;' | file policy/src/snapshot/text.rs
    file policy/src/engine/world.rs <<'FILE'
mod pair;
use crate::{model::flow, policy::{peer::{Peer, Side}}};
pub struct World(pair::Pair, flow::Flow);
#[cfg(test)]
mod tests { use super::World; }
FILE
    # A child uses what its parent declares.
    echo 'use super::World; use super::super::super::model::flow::Flow;' | file policy/src/engine/world/pair.rs
    echo 'use crate::run;' | file cli/src/check.rs
    echo 'use foretell_policy::engine::world::World;' | file cli/src/run.rs
}

good_tree
run
check "a tree in order passes" [ "$status" = 0 ]
check "and says how much was read" says "8 files in 2 crates"

good_tree
printf '\nfn f() {\n    crate::engine::world::g();\n}\n' | file policy/src/model/flow.rs
run
check "a backward import fails" [ "$status" = 1 ]
check "and is named with file, line and path" says "policy/src/model/flow.rs:3: crate::engine::world::g: "
check "and with its rule" says '`model` is before `engine` in the order'

good_tree
file policy/src/policy/peer.rs <<'FILE'
use crate::{
    model::flow::Flow,
    engine::{
        world::{self, World},
    },
};
FILE
run
check "it is found in braces over several lines" says "policy/src/policy/peer.rs:4: crate::engine::world::World: "
check "next to which the others are right" says_nothing_of "model::flow"

good_tree
echo 'pub(super) use super::super::engine::world::World;' | file policy/src/model/flow.rs
run
check "it is found behind super" says "policy/src/model/flow.rs:1: super::super::engine::world::World: "

good_tree
echo 'use crate::policy::peer::Peer;' | file policy/src/snapshot/text.rs
run
check "an import of a folder that is excepted fails" says '`snapshot` uses the folders before it except `policy`'

good_tree
echo '' | file policy/src/stray.rs
run
check "a file in no folder fails" says "policy/src/stray.rs: the file is in no folder of the order"

good_tree
echo 'use crate::check;' | file cli/src/run.rs
run
check "a circle of two files fails" [ "$status" = 1 ]
check "and names the modules" says '`check`, `run` are modules of one parent and use each other in a circle'
check "and each import of it" says "    cli/src/check.rs:1: crate::run"
check "one by one" says "    cli/src/run.rs:1: crate::check"

echo 'circle run check because a test says so' >>"$scratch/tree/scripts/import-order.txt"
run
check "a circle that the table allows passes" [ "$status" = 0 ]
good_tree
echo 'circle run check because a test says so' >>"$scratch/tree/scripts/import-order.txt"
run
check "an exception for a circle that is gone fails" says '`run`, `check` are not a circle: remove the exception'

good_tree
echo 'mod view; fn f() { super::world::g() }' | file policy/src/engine/index.rs
echo 'use crate::engine::index::view::View;' | file policy/src/engine/world/pair.rs
run
check "a circle through children of two files fails" says '`engine::index`, `engine::world` are modules of one parent'

good_tree
echo 'members = ["policy", "cli", "capture"]' | file Cargo.toml
run
check "a crate that the table forgets fails" says "capture/src is not in scripts/import-order.txt"

good_tree
echo 'model' | file scripts/import-order.txt
run
check "a table that makes no sense is an error" [ "$status" = 2 ]
exit $bad
