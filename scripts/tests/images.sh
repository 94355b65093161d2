#!/bin/sh
# shellcheck disable=SC2016,SC2317 # what child shells are to expand; functions called by check
# scripts/oci-image and scripts/images, and that the Dockerfile says the same as they do.
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
says() { grep -qF -- "$2" "$1"; }
# refuses WORDS ARGUMENT...: whether scripts/oci-image ends with 2 and these words, and leaves no archive behind.
refuses() {
    words=$1
    shift
    status=0
    scripts/oci-image "$@" >"$scratch/said" 2>&1 || status=$?
    [ "$status" = 2 ] && says "$scratch/said" "$words" && [ -z "$(find "$scratch" -name 'refused*')" ]
}

printf '#!/bin/sh\n' >"$scratch/program"
chmod 700 "$scratch/program"
echo settings >"$scratch/settings"
chmod 600 "$scratch/settings"
make_image() {
    scripts/oci-image --name registry.example/some/program:1.2 --output "$1" --user 65532:65532 --entrypoint /bin/program \
        --label 'quoted="yes" \o/' --label plain=1 --env A=B --cmd serve --cmd 'two words' --scratch /tmp \
        "$scratch/program=/bin/program" "$scratch/settings=/etc/a=b/settings"
}
make_image "$scratch/one.tar"
touch -d 2001-01-01 "$scratch/program" "$scratch/settings"
(umask 077 && make_image "$scratch/two.tar")
check "the same input makes the same bytes, whatever times and umask there are" cmp "$scratch/one.tar" "$scratch/two.tar"
SOURCE_DATE_EPOCH=86400 make_image "$scratch/dated.tar"

# unpacked ARCHIVE: a folder with what is in it; `config` and `layer` lead to those blobs.
unpacked() {
    folder=$scratch/unpacked.$(basename "$1" .tar)
    mkdir -p "$folder"
    tar -xf "$1" -C "$folder"
    blobs=$folder/blobs/sha256
    first_digest() { sed 's/.*"'"$1"'":\[\{0,1\}{[^}]*"digest":"sha256:\([0-9a-f]*\)".*/\1/' "$2"; }
    ln -sf "$blobs/$(first_digest manifests "$folder/index.json")" "$folder/manifest"
    ln -sf "$blobs/$(first_digest config "$folder/manifest")" "$folder/config"
    ln -sf "$blobs/$(first_digest layers "$folder/manifest")" "$folder/layer"
    echo "$folder"
}
one=$(unpacked "$scratch/one.tar")
check "every blob is named by its digest" sh -c 'cd "$1"/blobs/sha256 && for blob in *; do
    [ "$(sha256sum <"$blob")" = "$blob  -" ] || exit 1; done' sh "$one"
check "every size is that of its blob" sh -c 'cat "$1/index.json" "$1/manifest" | tr "{}" "\n\n" |
    sed -n "s/.*sha256:\([0-9a-f]*\)\",\"size\":\([0-9]*\).*/\1 \2/p" | { n=0; while read -r blob size; do n=$((n + 1))
    [ "$(wc -c <"$1/blobs/sha256/$blob")" = "$size" ] || exit 1; done; [ $n = 3 ]; }' sh "$one"
check "the content is told by its own digest" \
    says "$one/config" "\"diff_ids\":[\"sha256:$(gzip -dc "$one/layer" | sha256sum | cut -d ' ' -f 1)\"]"
check "containerd finds the image's name" says "$one/index.json" \
    '"io.containerd.image.name":"registry.example/some/program:1.2"'
check "and others its tag" says "$one/index.json" '"org.opencontainers.image.ref.name":"1.2"'
check "and an old Docker both" says "$one/manifest.json" '"RepoTags":["registry.example/some/program:1.2"]'
check "user, environment, words and entrypoint are set" says "$one/config" \
    '"User":"65532:65532","Env":["A=B"],"Cmd":["serve","two words"],"Entrypoint":["/bin/program"]'
check "what JSON has a meaning for is escaped" says "$one/config" '"quoted":"\"yes\" \\o/","plain":"1"'
check "times are none unless asked for" says "$one/config" '"created":"1970-01-01T00:00:00Z"'
check "and SOURCE_DATE_EPOCH where it is" says "$(unpacked "$scratch/dated.tar")/config" '"created":"1970-01-02T00:00:00Z"'
TZ=UTC tar -tvzf "$one/layer" | awk '{ print $1, $2, $4, $6 }' >"$scratch/listed"
printf '%s\n' 'drwxr-xr-x 0/0 1970-01-01 bin/' '-rwxr-xr-x 0/0 1970-01-01 bin/program' 'drwxr-xr-x 0/0 1970-01-01 etc/' \
    'drwxr-xr-x 0/0 1970-01-01 etc/a=b/' '-rw-r--r-- 0/0 1970-01-01 etc/a=b/settings' 'drwxrwxrwt 0/0 1970-01-01 tmp/' \
    >"$scratch/expected"
check "files are root's, in order, without a time, executable or not" diff "$scratch/expected" "$scratch/listed"

output=$scratch/refused.tar
source=$scratch/program=/program
for case in \
    "--name is missing|--output $output --entrypoint /program $source" \
    "ends in no :TAG|--name a.example/x --output $output --entrypoint /program $source" \
    "no registry's host|--name x:1 --output $output --entrypoint /program $source" \
    "--output is missing|--name a.example/x:1 --entrypoint /program $source" \
    "--entrypoint is missing|--name a.example/x:1 --output $output $source" \
    "no executable SOURCE=/other|--name a.example/x:1 --output $output --entrypoint /other $source" \
    "no executable SOURCE=/s|--name a.example/x:1 --output $output --entrypoint /s $scratch/settings=/s" \
    "/nowhere is not there|--name a.example/x:1 --output /nowhere/refused.tar --entrypoint /program $source" \
    "$scratch/nothing is not there|$scratch/nothing=/x" \
    "no plain absolute path|$scratch/program=/a/../b" \
    "/x is given twice|$scratch/program=/x $scratch/settings=/x" \
    "needs a folder|$scratch/program=/x $scratch/settings=/x/y" \
    "UID:GID in numbers|--name a.example/x:1 --output $output --user root --entrypoint /program $source" \
    "KEY=VALUE|--label plain" \
    "has no value|--name" \
    "no option|--colour red" \
    "must be SOURCE=|$scratch/program"; do
    # shellcheck disable=SC2086 # words of a command line
    check "it refuses: ${case%%|*}" refuses "${case%%|*}" ${case#*|}
done
check "it refuses: a control character" refuses "control character" --label "a=$(printf 'b\tc')"

# The project's own images, out of programs that are none.
mkdir "$scratch/binaries" "$scratch/images"
for name in foretell foretell-capture foretell-evaluator foretell-webhook foretell-reporter foretell-demo; do
    cp "$scratch/program" "$scratch/binaries/$name"
done
scripts/images --binaries "$scratch/binaries" --output "$scratch/images" >"$scratch/said" || bad=1
check "scripts/images makes six images" [ "$(find "$scratch/images" -name '*.tar' | wc -l)" = 6 ]
scripts/images --binaries "$scratch/binaries" --output "$scratch" foretell-demo >/dev/null || bad=1
check "or the one that is asked for" [ -e "$scratch/foretell-demo.tar" -a ! -e "$scratch/foretell.tar" ]

# dockerfile STAGE: what the Dockerfile says of it, in the words of an image's configuration.
dockerfile() {
    sed -n '/^FROM .* AS '"$1"'$/,/^FROM .* AS /p' Dockerfile | sed '1b;/^FROM/,$d' | sed -n \
        -e 's/^USER \(.*\)$/"User":"\1"/p' \
        -e 's/^ENTRYPOINT \(.*\)$/"Entrypoint":\1/p' \
        -e 's/^WORKDIR \(.*\)$/"WorkingDir":"\1"/p' \
        -e '/revision/d' -e 's/^LABEL \([^=]*\)=\(".*"\)$/"\1":\2/p' | sort
}
# configured FOLDER: the same of an image.
configured() {
    grep -oE '"(User|WorkingDir|org\.opencontainers\.[a-z.]*)":"[^"]*"|"Entrypoint":\[[^]]*\]' "$1/config" |
        grep -v revision | sort
}
for program in foretell foretell-capture foretell-evaluator foretell-webhook foretell-reporter foretell-demo; do
    image=$(unpacked "$scratch/images/$program.tar")
    dockerfile "$program" >"$scratch/dockerfile"
    configured "$image" >"$scratch/configured"
    check "the Dockerfile's $program has the user, entrypoint and labels of scripts/images" \
        diff "$scratch/dockerfile" "$scratch/configured"
    check "$program has eight of them" [ "$(wc -l <"$scratch/configured")" = 8 ]
    folders=$(sed -n "s|.*install -d -m 1777 /out/$program/\([a-z]*\).*|\1/|p" Dockerfile)
    # shellcheck disable=SC2086 # none, or some
    printf '%s\n' LICENSE "$program" $folders | sort >"$scratch/expected"
    tar -tzf "$image/layer" | sort >"$scratch/listed"
    check "$program holds its program, the licence and nothing that the Dockerfile's has not" \
        diff "$scratch/expected" "$scratch/listed"
done

# The manifests name these images.
for image in $(grep -rhoE 'ghcr\.io/foretell-dev/[a-z-]+:[0-9a-z.]+' manifests demo/shop | sort -u | tr '\n' ' '); do
    check "$image of the manifests is one of them" says "$scratch/said" "$image,"
done

exit $bad
