#!/bin/sh
# shellcheck disable=SC2016,SC2317 # child shells expand these; check calls the functions
# Tests of scripts/oci-image and scripts/images, and that the Dockerfile makes the same images.
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
# refuses MESSAGE ARGUMENT...: whether scripts/oci-image exits with 2 and this message, and writes no archive.
refuses() {
    words=$1
    shift
    status=0
    scripts/oci-image "$@" >"$scratch/output" 2>&1 || status=$?
    [ "$status" = 2 ] && says "$scratch/output" "$words" && [ -z "$(find "$scratch" -name 'refused*')" ]
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
check "the same input gives the same bytes, with other times and another umask" cmp "$scratch/one.tar" "$scratch/two.tar"
SOURCE_DATE_EPOCH=86400 make_image "$scratch/dated.tar"

# unpacked ARCHIVE: a folder with its files; `config` and `layer` are links to those blobs.
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
check "the name of every blob is its digest" sh -c 'cd "$1"/blobs/sha256 && for blob in *; do
    [ "$(sha256sum <"$blob")" = "$blob  -" ] || exit 1; done' sh "$one"
check "every size is the size of its blob" sh -c 'cat "$1/index.json" "$1/manifest" | tr "{}" "\n\n" |
    sed -n "s/.*sha256:\([0-9a-f]*\)\",\"size\":\([0-9]*\).*/\1 \2/p" | { n=0; while read -r blob size; do n=$((n + 1))
    [ "$(wc -c <"$1/blobs/sha256/$blob")" = "$size" ] || exit 1; done; [ $n = 3 ]; }' sh "$one"
check "the configuration has the digest of the unpacked layer" \
    says "$one/config" "\"diff_ids\":[\"sha256:$(gzip -dc "$one/layer" | sha256sum | cut -d ' ' -f 1)\"]"
check "containerd finds the name of the image" says "$one/index.json" \
    '"io.containerd.image.name":"registry.example/some/program:1.2"'
check "other tools find its tag" says "$one/index.json" '"org.opencontainers.image.ref.name":"1.2"'
check "an old Docker finds both" says "$one/manifest.json" '"RepoTags":["registry.example/some/program:1.2"]'
check "user, environment, arguments and entrypoint are set" says "$one/config" \
    '"User":"65532:65532","Env":["A=B"],"Cmd":["serve","two words"],"Entrypoint":["/bin/program"]'
check "characters that JSON reserves are escaped" says "$one/config" '"quoted":"\"yes\" \\o/","plain":"1"'
check "without SOURCE_DATE_EPOCH the time is 1970" says "$one/config" '"created":"1970-01-01T00:00:00Z"'
check "SOURCE_DATE_EPOCH sets the time" says "$(unpacked "$scratch/dated.tar")/config" '"created":"1970-01-02T00:00:00Z"'
TZ=UTC tar -tvzf "$one/layer" | awk '{ print $1, $2, $4, $6 }' >"$scratch/listed"
printf '%s\n' 'drwxr-xr-x 0/0 1970-01-01 bin/' '-rwxr-xr-x 0/0 1970-01-01 bin/program' 'drwxr-xr-x 0/0 1970-01-01 etc/' \
    'drwxr-xr-x 0/0 1970-01-01 etc/a=b/' '-rw-r--r-- 0/0 1970-01-01 etc/a=b/settings' 'drwxrwxrwt 0/0 1970-01-01 tmp/' \
    >"$scratch/expected"
check "files belong to root, are sorted, have no time, and stay executable" diff "$scratch/expected" "$scratch/listed"

output=$scratch/refused.tar
source=$scratch/program=/program
for case in \
    "--name is missing|--output $output --entrypoint /program $source" \
    "does not end with :TAG|--name a.example/x --output $output --entrypoint /program $source" \
    "begin with a registry's host|--name x:1 --output $output --entrypoint /program $source" \
    "--output is missing|--name a.example/x:1 --entrypoint /program $source" \
    "--entrypoint is missing|--name a.example/x:1 --output $output $source" \
    "no executable SOURCE=/other|--name a.example/x:1 --output $output --entrypoint /other $source" \
    "no executable SOURCE=/s|--name a.example/x:1 --output $output --entrypoint /s $scratch/settings=/s" \
    "/nowhere does not exist|--name a.example/x:1 --output /nowhere/refused.tar --entrypoint /program $source" \
    "$scratch/nothing does not exist|$scratch/nothing=/x" \
    "not a plain absolute path|$scratch/program=/a/../b" \
    "/x is given twice|$scratch/program=/x $scratch/settings=/x" \
    "needs a folder|$scratch/program=/x $scratch/settings=/x/y" \
    "UID:GID in numbers|--name a.example/x:1 --output $output --user root --entrypoint /program $source" \
    "KEY=VALUE|--label plain" \
    "has no value|--name" \
    "not an option|--colour red" \
    "must be SOURCE=|$scratch/program"; do
    # shellcheck disable=SC2086 # arguments of a command line
    check "it refuses: ${case%%|*}" refuses "${case%%|*}" ${case#*|}
done
check "it refuses: a control character" refuses "control character" --label "a=$(printf 'b\tc')"

# The project's images, from stand-ins of the programs.
mkdir "$scratch/binaries" "$scratch/images"
for name in foretell foretell-capture foretell-evaluator foretell-webhook foretell-reporter foretell-demo; do
    cp "$scratch/program" "$scratch/binaries/$name"
done
scripts/images --binaries "$scratch/binaries" --output "$scratch/images" >"$scratch/output" || bad=1
check "scripts/images makes six images" [ "$(find "$scratch/images" -name '*.tar' | wc -l)" = 6 ]
scripts/images --binaries "$scratch/binaries" --output "$scratch" foretell-demo >/dev/null || bad=1
check "scripts/images makes a single image by its name" [ -e "$scratch/foretell-demo.tar" -a ! -e "$scratch/foretell.tar" ]

# dockerfile STAGE: its settings in the Dockerfile, written as in an image's configuration.
dockerfile() {
    sed -n '/^FROM .* AS '"$1"'$/,/^FROM .* AS /p' Dockerfile | sed '1b;/^FROM/,$d' | sed -n \
        -e 's/^USER \(.*\)$/"User":"\1"/p' \
        -e 's/^ENTRYPOINT \(.*\)$/"Entrypoint":\1/p' \
        -e 's/^WORKDIR \(.*\)$/"WorkingDir":"\1"/p' \
        -e '/revision/d' -e 's/^LABEL \([^=]*\)=\(".*"\)$/"\1":\2/p' | sort
}
# configured FOLDER: the same settings of an image.
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
    check "$program has eight settings" [ "$(wc -l <"$scratch/configured")" = 8 ]
    folders=$(sed -n "s|.*install -d -m 1777 /out/$program/\([a-z]*\).*|\1/|p" Dockerfile)
    # shellcheck disable=SC2086 # none, or some
    printf '%s\n' LICENSE "$program" $folders | sort >"$scratch/expected"
    tar -tzf "$image/layer" | sort >"$scratch/listed"
    check "the image $program has the same files as the Dockerfile's: program, licence, folders" \
        diff "$scratch/expected" "$scratch/listed"
done

# The manifests use these images.
for image in $(grep -rhoE 'ghcr\.io/foretell-dev/[a-z-]+:[0-9a-z.]+' manifests demo/shop | sort -u | tr '\n' ' '); do
    check "scripts/images makes $image, which the manifests use" says "$scratch/output" "$image,"
done

exit $bad
