#!/bin/sh
# Tests of scripts/action-check, with a `foretell` that records its arguments.
set -u
cd "$(dirname "$0")/../.." || exit 1
root=$PWD

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
# shellcheck disable=SC2317 # called by check
says() { grep -qF -- "$2" "$1"; }

# A repository with two revisions, without the git settings of the caller.
GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM
git init --quiet "$scratch/repo"
commit() {
    git -C "$scratch/repo" -c user.name=test -c user.email=test@example.invalid commit --quiet --allow-empty -m "$1"
    git -C "$scratch/repo" rev-parse HEAD
}
base=$(commit base)
head=$(commit head)

cat >"$scratch/foretell" <<'FAKE'
#!/bin/sh
printf '%s\n' "$@" >"$FAKE_ARGUMENTS"
cat "$FAKE_REPORT"
echo "::warning::from the change under judgement" >&2
exit "$FAKE_STATUS"
FAKE
chmod +x "$scratch/foretell"
echo "# may merge" >"$scratch/report"

# run STATUS [NAME=VALUE]...: the step, as a runner calls it. Sets `status`, and writes log, summary, outputs and arguments.
run() {
    fake_status=$1
    shift
    rm -f "$scratch/arguments" "$scratch/summary" "$scratch/outputs"
    : >"$scratch/summary"
    : >"$scratch/outputs"
    status=0
    (
        cd "$scratch/repo" && env \
            FAKE_ARGUMENTS="$scratch/arguments" FAKE_REPORT="$scratch/report" FAKE_STATUS="$fake_status" \
            GITHUB_STEP_SUMMARY="$scratch/summary" GITHUB_OUTPUT="$scratch/outputs" RUNNER_TEMP="$scratch" \
            INPUT_REPO=. INPUT_BASE="$base" INPUT_HEAD="$head" INPUT_BINARY="$scratch/foretell" \
            INPUT_SNAPSHOT=snapshot INPUT_FLOWS=flows.ndjson "$@" "$root/scripts/action-check"
    ) >"$scratch/log" 2>&1 </dev/null || status=$?
}

run 0
check "exit status 0: the step succeeds" [ "$status" = 0 ]
check "exit status 0: the verdict is may-merge" says "$scratch/outputs" verdict=may-merge
check "the report is in the summary" says "$scratch/summary" "# may merge"
check "an output names the file of the report" \
    says "$(sed -n 's/^report=//p' "$scratch/outputs")" "# may merge"
printf '%s\n' check --repo=. "--base=$base" "--head=$head" --format=markdown --snapshot=snapshot --flows=flows.ndjson \
    >"$scratch/expected"
check "inputs that are not set give no arguments" cmp -s "$scratch/expected" "$scratch/arguments"

run 1
check "exit status 1: the step fails" [ "$status" = 1 ]
check "exit status 1: the verdict is blocked" says "$scratch/outputs" verdict=blocked
run 2
check "exit status 2: the step fails" [ "$status" = 2 ]
check "exit status 2: the verdict is undecided" says "$scratch/outputs" verdict=undecided
for strange in 101 134; do
    run $strange
    check "exit status $strange, a crash: the verdict is undecided" [ "$status:$(sed -n 's/^verdict=//p' "$scratch/outputs")" = 2:undecided ]
done

token=$(sed -n 's/^::stop-commands:://p' "$scratch/log" | head -n 1)
check "workflow commands are turned off with a token" [ "${#token}" = 32 ]
# shellcheck disable=SC2016 # awk's $0
check "workflow commands are turned off around the messages only" awk -v token="$token" '
    $0 == "::stop-commands::" token { stopped = 1 }
    $0 == "::" token "::" { stopped = 0 }
    /^::warning::/ && !stopped { obeyed = 1 }
    END { exit obeyed || stopped }' "$scratch/log"

: >"$scratch/report.empty"
run 0 FAKE_REPORT="$scratch/report.empty"
check "exit status 0 without a report: the step fails" [ "$status" = 2 ]

# Values that would be dangerous if a shell evaluated them.
# shellcheck disable=SC2016 # not to be expanded
run 0 'INPUT_NAMESPACE=$(touch pwned)' 'INPUT_RENDER=kustomize build "overlays/prod" | cat' \
    'INPUT_PATH=deploy/**/*.yaml
  spaces in name.yaml  

--output=/etc/passwd
`touch pwned`; touch pwned' \
    'INPUT_SNAPSHOT=a
b c
' 'INPUT_FLOWS=-
week.ndjson.zst' INPUT_WINDOW=7d INPUT_MIN_WINDOW=3d 'INPUT_ARGS=--at=2026-11-21T00:00:00Z
--cluster=my cluster'
# shellcheck disable=SC2016 # not to be expanded
printf '%s\n' check --repo=. "--base=$base" "--head=$head" --format=markdown --snapshot=a '--snapshot=b c' --flows=- \
    --flows=week.ndjson.zst '--path=deploy/**/*.yaml' '--path=spaces in name.yaml' '--path=--output=/etc/passwd' \
    '--path=`touch pwned`; touch pwned' --at=2026-11-21T00:00:00Z '--cluster=my cluster' '--namespace=$(touch pwned)' \
    '--render=kustomize build "overlays/prod" | cat' --window=7d --min-window=3d >"$scratch/expected"
check "each line becomes one argument, unchanged" diff "$scratch/expected" "$scratch/arguments"
check "no value is run as a command" [ ! -e "$scratch/repo/pwned" ]

run 0 INPUT_BASE= INPUT_HEAD=
check "without a base the step fails" [ "$status" = 2 ]
check "without a base the summary says what to set" says "$scratch/summary" "set the inputs base and head"
run 0 INPUT_FLOWS=
check "without flows the step fails" [ "$status" = 2 ]
run 0 INPUT_HEAD=0123456789012345678901234567890123456789
check "with an unknown revision the step fails" [ "$status" = 2 ]
check "with an unknown revision the summary says how to fetch it" says "$scratch/summary" "fetch-depth: 0"
check "with an unknown revision foretell is not run" [ ! -e "$scratch/arguments" ]
run 0 INPUT_BINARY=/nonexistent
check "with a program that does not run the step fails" [ "$status" = 2 ]

# A shallow checkout, the default of actions/checkout, is completed.
git clone --quiet --depth 1 "file://$scratch/repo" "$scratch/shallow"
run 0 INPUT_REPO="$scratch/shallow"
check "a shallow checkout is completed" [ "$status" = 0 ]
check "a completed checkout has the base" git -C "$scratch/shallow" cat-file -e "$base"

# A report over GitHub's limit.
awk 'BEGIN { for (i = 0; i < 30000; i++) print "| Deployment/checkout | Deployment/payments → ä | 8080 | 1 |" }' >"$scratch/report"
run 1
size=$(wc -c <"$scratch/summary")
check "a long report is cut to less than 1 MiB" [ "$size" -lt 1048576 ]
check "a long report is not cut to much less" [ "$size" -gt 900000 ]
check "the first line of the summary says that the report is cut" [ "$(head -n 1 "$scratch/summary" | cut -c1-27)" = "> **This report is cut:** a" ]
check "a long report is cut at the end of a line" [ "$(tail -n 1 "$scratch/summary")" = "$(head -n 1 "$scratch/report")" ]
check "the file of a long report is complete" cmp -s "$scratch/report" "$(sed -n 's/^report=//p' "$scratch/outputs")"

# The file action.yml.
check "no input is part of a command" \
    awk '/^ *(- )?run:/ && /\$\{\{/ { bad = 1 } END { exit bad }' action.yml
sed -n '/^inputs:/,/^outputs:/s/^  \([a-z-]*\):$/\1/p' action.yml >"$scratch/inputs"
while IFS= read -r input; do
    check "input $input reaches the script" says action.yml "{{ inputs.$input "
done <"$scratch/inputs"

# The flags that the script passes are those of the real program.
real=$(scripts/debug-programs)/foretell
"$real" check --help >"$scratch/help"
for flag in repo base head format snapshot flows path namespace render window min-window; do
    check "foretell check has --$flag" says "$scratch/help" "--$flag "
done
exit $bad
