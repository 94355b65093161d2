#!/bin/sh
# shellcheck disable=SC2317 # check calls the functions
# The names in .cargo/mutants.toml exist: a glob or an exclusion for a name that is gone has no effect, and cargo-mutants does not
# report it.
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
        bad=1
    fi
}
# shellcheck disable=SC2086 # a glob
matches_a_file() { ls $1 >/dev/null 2>&1; }
# has_method TYPE FUNCTION: whether a source has an impl of the type, and in the same file the function.
has_method() {
    grep -rlE "^impl\b.*\b$1\b" objects/src policy/src | xargs grep -lE "fn $2\b" >/dev/null
}
# has_operator FILE COLUMN OPERATOR: whether a line of a source of this name has the operator at the column.
has_operator() {
    find objects/src policy/src -name "$1" -exec awk -v column="$2" -v operator="$3" '
        substr($0, column, length(operator)) == operator { found = 1 }
        END { exit !found }' {} \; -print | grep -q .
}

# list NAME: the strings of a list in the file.
list() {
    sed -n "/^$1 = \[/,/^\]/s/^    ['\"]*\(.*[^'\",]\)['\",]*$/\1/p" .cargo/mutants.toml | grep -v '^ *#'
}

list examine_globs >"$scratch/globs"
while IFS= read -r glob; do
    check "$glob matches a file" matches_a_file "$glob"
done <"$scratch/globs"

# A pattern is [FILE\.rs:\d+:COLUMN: ]MUTATION[ in TYPE::FUNCTION], or a mutation of TYPE::FUNCTION itself.
list exclude_re >"$scratch/patterns"
check "there are exclusions" [ -s "$scratch/patterns" ]
while IFS= read -r pattern; do
    method=$(printf '%s\n' "$pattern" | sed -n "s/.* \([A-Za-z]*\)\(<[^>]*>\)*::\([a-z_][a-z_]*\).*/\1 \3/p")
    # shellcheck disable=SC2086 # two words
    [ -z "$method" ] || check "$method exists, for $pattern" has_method $method
    place=$(printf '%s\n' "$pattern" |
        sed -n 's/^\([a-z_]*\)\\\.rs:[^:]*:\([0-9]*\): [a-z]* \\*\([^ ]*\) .*/\1.rs \2 \3/p')
    # shellcheck disable=SC2086 # three words
    [ -z "$place" ] || check "$place is an operator, for $pattern" has_operator $place
done <"$scratch/patterns"
exit $bad
