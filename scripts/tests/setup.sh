#!/bin/sh
# shellcheck disable=SC2016 # what child shells are to expand
# Finding Rust under an empty HOME, naming what only root can install, and noticing what a command leaves running.
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

# Rust, with nothing in the environment but PATH.
mkdir "$scratch/home"
check "an empty HOME finds the Rust of PATH" \
    env -i PATH="$PATH" HOME="$scratch/home" scripts/with-rust cargo --version
check "and nothing is written there" [ -z "$(ls -A "$scratch/home")" ]
check "so does an unset HOME" env -i PATH="$PATH" scripts/with-rust cargo --version
check "so does a HOME that is the empty string" env -i PATH="$PATH" HOME= scripts/with-rust cargo --version
check "rustc, rustfmt and clippy are of the same place" env -i PATH="$PATH" HOME="$scratch/home" \
    scripts/with-rust sh -c 'rustc --version && cargo fmt --version && cargo clippy --version'

mkdir "$scratch/old"
for tool in cargo rustc; do
    printf '#!/bin/sh\necho "%s 1.63.0"\n' $tool >"$scratch/old/$tool"
    chmod +x "$scratch/old/$tool"
done
check "a Rust that is too old is passed over" \
    sh -c '! PATH="$1:$PATH" scripts/with-rust cargo --version | grep 1.63' sh "$scratch/old"

# A machine with nothing but the base system, as far as PATH can tell; its home, too, is an empty one.
mkdir "$scratch/bare"
for tool in apt-get awk basename cat cut date dirname getent grep head id mktemp readlink rm sed sh tr uname; do
    ln -s "$(command -v $tool || echo /bin/false)" "$scratch/bare/$tool"
done
status=0
env -i PATH="$scratch/bare" HOME="$scratch/home" scripts/setup demo >"$scratch/said" 2>&1 || status=$?
check "setup for the demo refuses a machine without a compiler" [ "$status" = 1 ]
check "and names what is missing in words" says "$scratch/said" "a C compiler and linker (cc), git"
check "and in one line for apt" [ "$(grep -c 'apt-get install -y gcc libc6-dev git' "$scratch/said")" = 1 ]
check "and installs nothing" sh -c '! grep -q "^Installing" "$1"' sh "$scratch/said"
status=0
env -i PATH="$scratch/bare" HOME="$scratch/home" scripts/setup live >"$scratch/said" 2>&1 || status=$?
check "setup for the live demo names clang too" says "$scratch/said" "git clang"

# The same machine with a compiler and git, no Rust anywhere, and a curl that brings an installer. None of it is real.
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
    env -i PATH="$scratch/bare" HOME="$scratch/home" scripts/setup demo >"$scratch/said" 2>&1
    check "without any Rust, rustup brings it" [ $? = 0 ]
    check "no more of it than is needed, and no shell's profile touched" \
        says "$scratch/said" "with: -y --profile minimal --default-toolchain $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) --no-modify-path"
    check "and it is then found, though not on PATH" says "$scratch/said" "cargo 1.99.0 at $scratch/home/.cargo/bin/cargo"
    rm -rf "$scratch/home/.cargo"
    echo 'exit 6' | fake curl
    env -i PATH="$scratch/bare" HOME="$scratch/home" scripts/setup demo >"$scratch/said" 2>&1
    check "without a network either, it fails" [ $? = 1 ]
    check "and says what to install" says "$scratch/said" "Install Rust >= "
else
    echo "SKIPPED installing Rust by rustup: /usr/local/cargo has one, which is always found" |
        tee -a "${FORETELL_SKIPS:-/dev/null}"
fi
echo 'echo git version 2.34.1' | fake git
env -i PATH="$scratch/bare" HOME="$scratch/home" scripts/setup demo >"$scratch/said" 2>&1
check "a git that cannot merge without a checkout is refused" says "$scratch/said" "git 2.34.1 is too old"

# Processes that outlive their command.
scripts/leaves-nothing sh -c 'exit 7' 2>/dev/null
check "a command that leaves nothing keeps its status" [ $? = 7 ]
scripts/leaves-nothing true 2>/dev/null
check "success among them" [ $? = 0 ]
scripts/leaves-nothing sh -c 'setsid sleep 300 >/dev/null 2>&1 & echo $! >"$1"' sh "$scratch/pid" 2>"$scratch/said"
check "a command that leaves a process fails" [ $? = 1 ]
check "which is named" says "$scratch/said" "sleep 300"
check "and ended" [ -z "$(tr -d "\0" <"/proc/$(cat "$scratch/pid")/cmdline" 2>/dev/null)" ]

exit $bad
