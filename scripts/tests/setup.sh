#!/bin/sh
# shellcheck disable=SC2016 # child shells expand these
# Tests of scripts/toolchain.sh, scripts/setup and scripts/leaves-nothing.
set -u
cd "$(dirname "$0")/../.." || exit 1

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bad=0
check() {
    name=$1
    shift
    if "$@" >/dev/null; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        bad=1
    fi
}
# shellcheck disable=SC2317 # called by check
says() { grep -qF -- "$2" "$1"; }

# Rust, with only PATH in the environment.
mkdir "$scratch/home"
check "with an empty HOME folder the Rust of PATH is found" \
    env -i PATH="$PATH" HOME="$scratch/home" scripts/with-rust cargo --version
check "nothing is written into an empty HOME folder" [ -z "$(ls -A "$scratch/home")" ]
check "without HOME the Rust of PATH is found" env -i PATH="$PATH" scripts/with-rust cargo --version
check "with HOME as the empty string the Rust of PATH is found" env -i PATH="$PATH" HOME= scripts/with-rust cargo --version
check "rustc, rustfmt and clippy are found as well" env -i PATH="$PATH" HOME="$scratch/home" \
    scripts/with-rust sh -c 'rustc --version && cargo fmt --version && cargo clippy --version'

mkdir "$scratch/old"
for tool in cargo rustc; do
    printf '#!/bin/sh\necho "%s 1.63.0"\n' $tool >"$scratch/old/$tool"
    chmod +x "$scratch/old/$tool"
done
check "a Rust that is too old is skipped" \
    sh -c '! PATH="$1:$PATH" scripts/with-rust cargo --version | grep 1.63' sh "$scratch/old"

# A PATH with the programs of a base system only, and an empty home.
mkdir "$scratch/bare"
for tool in apt-get awk basename cat cut date dirname getent grep head id mktemp readlink rm sed sh tr uname; do
    ln -s "$(command -v $tool || echo /bin/false)" "$scratch/bare/$tool"
done
status=0
env -i PATH="$scratch/bare" HOME="$scratch/home" scripts/setup demo >"$scratch/output" 2>&1 || status=$?
check "setup for the demo fails on a machine without a compiler" [ "$status" = 1 ]
check "setup describes what is missing" says "$scratch/output" "a C compiler and linker (cc), git"
check "setup prints one line for apt-get" [ "$(grep -c 'apt-get install -y gcc libc6-dev git' "$scratch/output")" = 1 ]
check "setup for the demo installs no packages" sh -c '! grep -q "^Installing" "$1"' sh "$scratch/output"
status=0
env -i PATH="$scratch/bare" HOME="$scratch/home" scripts/setup live >"$scratch/output" 2>&1 || status=$?
check "setup for the live demo also names clang" says "$scratch/output" "git clang"

# The same machine with a compiler and git, without Rust, and with a curl that downloads an installer. All are stand-ins.
fake() {
    rm -f "$scratch/bare/$1"
    { printf '#!/bin/sh\n' && cat; } >"$scratch/bare/$1"
    chmod +x "$scratch/bare/$1"
}
ln -s "$(command -v mkdir)" "$(command -v chmod)" "$scratch/bare/"
fake getent </dev/null
fake cc </dev/null
echo 'echo git version 2.43.0' | fake git
fake curl <<'FAKE'
while [ "$1" != -o ]; do shift; done
cat >"$2" <<'INSTALLER'
echo "installer called with: $*"
mkdir -p "$HOME/.cargo/bin"
for tool in cargo rustc; do
    printf '#!/bin/sh\necho "%s 1.99.0"\n' $tool >"$HOME/.cargo/bin/$tool"
    chmod +x "$HOME/.cargo/bin/$tool"
done
INSTALLER
FAKE
if [ ! -e /usr/local/cargo/bin/cargo ]; then
    env -i PATH="$scratch/bare" HOME="$scratch/home" scripts/setup demo >"$scratch/output" 2>&1
    check "without any Rust, rustup installs it" [ $? = 0 ]
    check "rustup installs the minimal profile and does not change a shell's profile" \
        says "$scratch/output" "with: -y --profile minimal --default-toolchain $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) --no-modify-path"
    check "the installed Rust is found, though it is not on PATH" says "$scratch/output" "cargo 1.99.0 at $scratch/home/.cargo/bin/cargo"
    rm -rf "$scratch/home/.cargo"
    echo 'exit 6' | fake curl
    env -i PATH="$scratch/bare" HOME="$scratch/home" scripts/setup demo >"$scratch/output" 2>&1
    check "without Rust and without a network, setup fails" [ $? = 1 ]
    check "setup says which Rust to install" says "$scratch/output" "Install Rust >= "
else
    echo "SKIPPED installing Rust with rustup: /usr/local/cargo has one, which is always found" |
        tee -a "${FORETELL_SKIPS:-/dev/null}"
fi
echo 'echo git version 2.34.1' | fake git
env -i PATH="$scratch/bare" HOME="$scratch/home" scripts/setup demo >"$scratch/output" 2>&1
check "a git that cannot merge without a checkout is too old" says "$scratch/output" "git 2.34.1 is too old"

# Processes that are left running.
scripts/leaves-nothing sh -c 'exit 7' 2>/dev/null
check "leaves-nothing exits with the status of the command" [ $? = 7 ]
scripts/leaves-nothing true 2>/dev/null
check "leaves-nothing exits with 0 if the command does" [ $? = 0 ]
scripts/leaves-nothing sh -c 'setsid sleep 300 >/dev/null 2>&1 & echo $! >"$1"' sh "$scratch/pid" 2>"$scratch/output"
check "leaves-nothing fails if a process is left running" [ $? = 1 ]
check "leaves-nothing prints the process" says "$scratch/output" "sleep 300"
check "leaves-nothing ends the process" [ -z "$(tr -d "\0" <"/proc/$(cat "$scratch/pid")/cmdline" 2>/dev/null)" ]

exit $bad
