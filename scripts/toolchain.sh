# shellcheck shell=sh disable=SC2030,SC2031 # variables that are set in a subshell are meant for that subshell
# Finds a Rust that can build this workspace. The scripts beside it source this file, from the root of the repository:
#
#     . scripts/toolchain.sh
#     use_rust || exit 1
#
# The Rust on PATH comes first. If it does not run or is too old (with an empty HOME a rustup proxy finds no toolchain, and a
# distribution may have an old one), the usual other places are tried, and RUSTUP_HOME or RUSTUP_TOOLCHAIN is set as needed.
# Nothing is installed here; `scripts/setup` does that.

# `make -j` would pass cargo a job server that it cannot use.
unset MAKEFLAGS MFLAGS MAKELEVEL

# If HOME is empty, cargo and git use the account's home; so do these scripts and the programs that they start.
if [ -z "${HOME:-}" ]; then
    HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
    [ -d "$HOME" ] || HOME=${TMPDIR:-/tmp}
    export HOME
fi

# The oldest Rust that can build this workspace, from Cargo.toml.
minimum_rust() {
    sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml
}

# at_least HAVE WANT: whether a version such as 1.95.0 is at least one such as 1.95.
at_least() {
    awk -v have="$1" -v want="$2" 'BEGIN {
        split(have, h, "."); split(want, w, ".")
        if (h[1] + 0 != w[1] + 0) exit !(h[1] + 0 > w[1] + 0)
        exit !(h[2] + 0 >= w[2] + 0)
    }'
}

# Homes that may contain a toolchain: HOME, the account's home, and that of the user who called sudo.
_homes() {
    printf '%s\n' "$HOME"
    getent passwd "$(id -u)" | cut -d: -f6
    [ -z "${SUDO_USER:-}" ] || getent passwd "$SUDO_USER" | cut -d: -f6
}

# Folders that contain cargo, those on PATH first.
_cargo_folders() {
    {
        printf '%s\n' "$PATH" | tr ':' '\n'
        [ -z "${CARGO_HOME:-}" ] || printf '%s\n' "$CARGO_HOME/bin"
        _homes | sed 's,$,/.cargo/bin,'
        printf '%s\n' /usr/local/cargo/bin
    } | awk 'NF && !seen[$0]++' | while IFS= read -r _folder; do
        [ ! -x "$_folder/cargo" ] || printf '%s\n' "$_folder"
    done
}

# Folders of toolchains for the rustup in FOLDER: RUSTUP_HOME, the one beside it, those in the homes.
_rustup_homes() {
    {
        [ -z "${RUSTUP_HOME:-}" ] || printf '%s\n' "$RUSTUP_HOME"
        printf '%s\n' "$HOME/.rustup"
        _real=$(dirname "$(dirname "$(readlink -f "$1/cargo")")")
        printf '%s\n' "$(dirname "$_real")/.rustup" "$(dirname "$_real")/rustup"
        _homes | sed 's,$,/.rustup,'
    } | awk 'NF && !seen[$0]++' | while IFS= read -r _home; do
        [ ! -d "$_home/toolchains" ] || printf '%s\n' "$_home"
    done
}

# Whether cargo and rustc, with FOLDER first on PATH, run and are new enough.
_runs_in() (
    PATH="$1:$PATH"
    RUSTUP_AUTO_INSTALL=0
    export PATH RUSTUP_AUTO_INSTALL
    for _tool in cargo rustc; do
        _version=$("$1/$_tool" --version 2>/dev/null | awk '{ print $2 }')
        [ -n "$_version" ] && at_least "$_version" "$(minimum_rust)" || exit 1
    done
)

# Prints "FOLDER<tab>RUSTUP_HOME<tab>TOOLCHAIN" if the cargo in FOLDER is new enough; the last two if they have to be set.
_try_folder() {
    case $(basename "$(readlink -f "$1/cargo")") in
    rustup*) ;;
    *)
        _runs_in "$1" && printf '%s\t\t\n' "$1"
        return
        ;;
    esac
    _rustup_homes "$1" | while IFS= read -r RUSTUP_HOME; do
        export RUSTUP_HOME
        _runs_in "$1" && printf '%s\t%s\t\n' "$1" "$RUSTUP_HOME" && break
        # The default toolchain is too old; another one may be new enough. Not a nightly one: its lints differ from day to day.
        for _toolchain in "$RUSTUP_HOME"/toolchains/stable* "$RUSTUP_HOME"/toolchains/[0-9]*; do
            RUSTUP_TOOLCHAIN=$(basename "$_toolchain")
            export RUSTUP_TOOLCHAIN
            _runs_in "$1" && printf '%s\t%s\t%s\n' "$1" "$RUSTUP_HOME" "$RUSTUP_TOOLCHAIN" && break 2
        done
        unset RUSTUP_TOOLCHAIN
    done | grep .
}

# Puts a Rust that is new enough in front of PATH. Fails silently if there is none.
use_rust() {
    _found=$(_cargo_folders | while IFS= read -r _folder; do
        ! _try_folder "$_folder" || break
    done)
    [ -n "$_found" ] || return 1
    _folder=$(printf '%s' "$_found" | cut -f1)
    [ "$(command -v cargo)" = "$_folder/cargo" ] || PATH=$_folder:$PATH
    _home=$(printf '%s' "$_found" | cut -f2)
    [ -z "$_home" ] || RUSTUP_HOME=$_home
    _toolchain=$(printf '%s' "$_found" | cut -f3)
    [ -z "$_toolchain" ] || RUSTUP_TOOLCHAIN=$_toolchain
    export PATH
    [ -z "${RUSTUP_HOME:-}" ] || export RUSTUP_HOME
    [ -z "${RUSTUP_TOOLCHAIN:-}" ] || export RUSTUP_TOOLCHAIN
}

# As `use_rust`, but prints what to do if there is none.
need_rust() {
    use_rust && return
    echo "No Rust >= $(minimum_rust) was found. \`make setup\` installs it, or says what is missing." >&2
    return 1
}

# The folder of tools that are built or downloaded once for all checkouts.
tools() {
    printf '%s\n' "${FORETELL_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/foretell/tools}"
}

# cargo_tool NAME VERSION: puts the path of this version of a cargo subcommand into `tool`. If PATH has another version or none,
# it is built once into the cache of tools.
cargo_tool() {
    tool=$1
    [ "$("$tool" --version 2>/dev/null)" != "$1 $2" ] || return 0
    _home=$(tools)/$1-$2
    tool=$_home/bin/$1
    [ ! -x "$tool" ] || return 0
    echo "Building $1 $2 into $_home; this takes one to four minutes and is done once." >&2
    _quiet=''
    [ -t 2 ] || _quiet=yes
    # Its own run time hardly matters, so little optimisation: it is built in a third of the time.
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        cargo install ${_quiet:+--quiet} --locked --root "$_home" --target-dir "$_home/build" --version "=$2" "$1"
    rm -rf "$_home/build"
}

# The oldest Go that can build the cluster in a box, from its go.mod. Go >= 1.21 can download a newer Go itself.
minimum_go() {
    sed -n 's/^go \(.*\)$/\1/p' tests/cluster/go.mod
}

# Puts a Go that is new enough in front of PATH. Fails silently if there is none.
use_go() {
    _found=$({
        printf '%s\n' "$PATH" | tr ':' '\n'
        printf '%s\n' /usr/local/go/bin /usr/lib/go/bin "$(tools)/go-$(minimum_go)/bin"
        _homes | sed 's,$,/go/bin,'
    } | awk 'NF && !seen[$0]++' | while IFS= read -r _folder; do
        [ -x "$_folder/go" ] || continue
        _version=$("$_folder/go" env GOVERSION 2>/dev/null | sed 's/^go//')
        _wanted=$(minimum_go)
        # GOTOOLCHAIN decides whether an older Go may download a newer one.
        [ "$("$_folder/go" env GOTOOLCHAIN 2>/dev/null)" = local ] || _wanted=1.21
        ! at_least "$_version" "$_wanted" || { echo "$_folder" && break; }
    done)
    [ -n "$_found" ] || return 1
    [ "$(command -v go)" = "$_found/go" ] || PATH=$_found:$PATH
    export PATH
}
