#!/bin/sh
# Every make target builds what it needs: its script runs in a copy of this checkout that has no target folder.
#
# Nothing is compiled: `cargo` is a stand-in that makes an empty program of each name where the real one would build it, and
# where the real one would run a test, looks whether the programs are there that the test starts. So a script that counts on
# a build which another target has made fails here within seconds, not on a new machine after ten minutes.
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
        sed 's/^/    /' "$scratch/output"
        bad=1
    fi
}

mkdir "$scratch/bin" "$scratch/home"
program() {
    { printf '#!/bin/sh\n' && cat; } >"$1"
    chmod +x "$1"
}
program "$scratch/bin/rustc" <<'FAKE'
echo "rustc 1.99.0"
echo "host: x86_64-unknown-linux-gnu"
FAKE
program "$scratch/bin/cargo" <<'FAKE'
case $1 in
--version) echo "cargo 1.99.0" ;;
metadata) printf '{"target_directory":"%s/target"}\n' "$PWD" ;;
build | test)
    command=$1 folder=target/debug programs='' tests=''
    all='foretell foretell-capture foretell-demo foretell-evaluator foretell-webhook foretell-reporter documented-commands'
    while [ $# -gt 0 ]; do
        case $1 in
        --target) folder=target/$2/image && shift ;;
        --bins) programs=$all ;;
        --bin) programs="$programs $2" && shift ;;
        --test) tests="$tests $2" && shift ;;
        esac
        shift
    done
    if [ $command = build ]; then
        mkdir -p $folder
        for program in $programs; do printf '#!/bin/sh\n' >$folder/$program && chmod +x $folder/$program; done
        exit
    fi
    for test in $tests; do
        # A test in a cluster has the programs of the cluster and the images built before it, with messages.
        needed=$(grep -rhoE '(built|archive)\("[a-z-]+"\)' tests/tests/$test tests/tests/$test.rs 2>/dev/null | sort -u |
            sed -n -e 's,built("\(.*\)"),target/debug/\1,p' -e 's,archive("\(.*\)"),target/images/\1.tar,p')
        for file in $needed; do
            [ -e "$file" ] || { echo "test $test: $file is missing" >&2 && exit 101; }
        done
    done
    # What the test of the definitions writes.
    [ ! -e definitions ] || cp definitions/* manifests/crds/
    ;;
*) echo "the stand-in of cargo knows no $1" >&2 && exit 101 ;;
esac
FAKE
# These ask whether it is root who calls, and get no further otherwise.
program "$scratch/bin/id" <<'FAKE'
echo 0
FAKE

# fresh: a new copy, in which the programs of a cluster are stand-ins too, and what plays the demo looks for its programs.
fresh() {
    rm -rf "$scratch/copy"
    mkdir "$scratch/copy"
    tar --exclude=./target --exclude=./.git -cf - . | tar -xf - -C "$scratch/copy"
    cp -r manifests/crds "$scratch/copy/definitions"
    program "$scratch/copy/scripts/setup" </dev/null
    program "$scratch/copy/scripts/box" <<'FAKE'
mkdir -p target/box
printf '#!/bin/sh\n' >target/box/foretell-box
chmod +x target/box/foretell-box
echo "$PWD/target/box"
FAKE
    for play in run record; do
        program "$scratch/copy/demo/$play" <<'FAKE'
case ${FORETELL_BOX+live} in
live) files="$FORETELL_BOX/foretell-box $FORETELL_IMAGES/foretell-demo $FORETELL_IMAGES/foretell-capture.tar" ;;
*) files='' ;;
esac
for file in $FORETELL $files; do
    [ -e "$file" ] || { echo "$file is missing" >&2 && exit 101; }
done
FAKE
    done
}
# run COMMAND...: in the copy, with a home that is empty. Leaves `status` and its output.
run() {
    status=0
    (cd "$scratch/copy" && env -i PATH="$scratch/bin:$PATH" HOME="$scratch/home" "$@") >"$scratch/output" 2>&1 </dev/null || status=$?
}

for target in demo images demo-cluster golden check-golden record demo-live; do
    case $target in
    record | demo-live)
        if ! [ -r /sys/kernel/btf/vmlinux ] || ! grep -q ' cgroup2 ' /proc/mounts; then
            echo "SKIPPED make $target in a clean checkout: it needs a kernel with BTF and cgroup2" |
                tee -a "${FORETELL_SKIPS:-/dev/null}"
            continue
        fi
        ;;
    esac
    fresh
    run make "$target"
    check "make $target builds what it needs" [ "$status" = 0 ]
done

# That this test notices what is missing.
fresh
sed -i '/debug-programs/d' "$scratch/copy/scripts/demo-cluster"
run make demo-cluster
check "a script that does not build what its test starts fails" [ "$status" != 0 ]
check "and the program is named" grep -q 'target/debug/foretell is missing' "$scratch/output"

# Other scripts get them from scripts/debug-programs, which builds them.
users=$(grep -rlE 'target\}?/debug' "$root/scripts" "$root/demo" "$root/Makefile" |
    grep -vE '/scripts/(debug-programs|tests/clean-checkout.sh)$')
check "no script names target/debug itself" [ -z "$users" ]
exit $bad
