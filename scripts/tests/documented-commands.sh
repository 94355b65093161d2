#!/bin/sh
# shellcheck disable=SC2016 # backquotes of Markdown
# scripts/documented-commands: on made-up documents, and on those of this checkout.
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
file() {
    mkdir -p "$(dirname "$scratch/tree/$1")"
    cat >"$scratch/tree/$1"
}
# Runs it on the tree; leaves `status` and its output.
run() {
    status=0
    scripts/documented-commands "$scratch/tree" >"$scratch/output" 2>&1 || status=$?
}

printf '%s\n' "images='foretell foretell-demo'" | file scripts/images
printf 'demo: ## a demo\n' | file Makefile
file docs/good.md <<'FILE'
See [the other](../README.md#part) and [the web](https://example.com).
<!-- run -->
```console
$ echo a b; foretell --version
a
b foretell
...
```
<!-- run, exit status 3 -->
```sh
cat docs/good.md >/dev/null
exit 3
```
<!-- not run: needs a cluster -->
```sh
sudo make demo STAY=1 && target/images/foretell-demo --from=docs/good.md
kubectl apply -k elsewhere/manifests
```
FILE
echo 'Nothing.' | file README.md
run
check "commands that name what there is pass" [ "$status" = 0 ]
check "and it says how many were run" says "; 3 of them were run"

file docs/bad.md <<'FILE'
[gone](gone.md)
```sh
make dmeo
foretell check --snapshot docs/gone.yaml
target/release/foretell-nothing
```
<!-- run -->
```console
$ echo a
b
```
<!-- run -->
```sh
exit 4
```
FILE
run
check "others fail" [ "$status" = 1 ]
check "a link that leads nowhere" says 'docs/bad.md:1: the link to `gone.md` leads nowhere'
check "a make target that is not there" says 'docs/bad.md:3: the Makefile has no target `dmeo`'
check "a path that is not there" says 'docs/bad.md:4: `docs/gone.yaml` does not exist'
check "a program that nothing builds" says 'docs/bad.md:5: `target/release/foretell-nothing` does not exist'
check "a block that says neither that it is run nor why not" says 'docs/bad.md:3: write <!-- run -->'
check "other output than is shown" says 'docs/bad.md:9: this block prints something else than it shows:'
check "another exit status" says 'docs/bad.md:14: this block ends with exit status: 4, not with 0'

status=0
scripts/documented-commands >"$scratch/output" 2>&1 || status=$?
check "the documents of this checkout are right" [ "$status" = 0 ]
exit $bad
