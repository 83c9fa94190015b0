#!/usr/bin/env bash
# The tests of the crate cryptoki, as the crate carries them. Each runs in a process of its own, on one token that each of
# them initialises again, with the PINs that are built in.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
version=0.12.1
begin_suite cryptoki cargo pkcs11-tool swtpm tpm2_dictionarylockout

# cargo looks for a workspace above a package, and would find this project's; an empty one stops it.
folder=$cache/cryptoki
crate=$folder/cryptoki-$version
if [ ! -d "$crate" ]; then
    mkdir -p "$work/asks/src"
    printf '[package]\nname = "asks"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[dependencies]\ncryptoki = "=%s"\n' \
        "$version" >"$work/asks/Cargo.toml"
    : >"$work/asks/src/lib.rs"
    (cd "$work/asks" && cargo vendor --quiet --versioned-dirs vendor >/dev/null)
    mkdir -p "$folder"
    cp -r "$work/asks/vendor/cryptoki-$version" "$crate"
    cp "$crate/Cargo.lock" "$folder/"
    printf '[workspace]\nmembers = ["cryptoki-%s"]\nresolver = "2"\n' "$version" >"$folder/Cargo.toml"
fi
(cd "$folder" && CARGO_TARGET_DIR=$folder/target cargo test --quiet --no-run --tests --message-format json </dev/null) >"$work/built" 2>"$work/build.log" ||
    { cat "$work/build.log"; printf 'FAIL %s: the tests were not built\n' "$client"; exit 1; }
python3 - "$work/built" >"$work/binaries" <<'PYTHON'
import json, sys

for line in open(sys.argv[1]):
    message = json.loads(line)
    if message.get("executable") and message["target"]["kind"] == ["test"]:
        print(message["executable"], message["target"]["name"])
PYTHON

token_for_suite suite abcdef654321 fedcba123456
export TEST_PKCS11_MODULE=$MODULE
: >"$work/cases"
: >"$cache/logs/$client.$TESTED"
while read -r binary file; do
    "$binary" --list --format terse 2>/dev/null | sed -n 's/: test$//p' >"$work/names"
    while read -r name; do
        status=0
        # It cannot initialise a token twice, which every test of this crate begins with.
        if [ "$kind" = tpm2-pkcs11 ]; then rm -rf "$work/store"; mkdir -m 0700 "$work/store"; fi
        timeout 300 "$binary" --exact "$name" --nocapture >"$work/said" 2>&1 </dev/null || status=$?
        outcome=fail
        # What a test of this crate cannot do with a module it says, and passes; it is a skip in the count.
        case "$status" in
            0) if grep -q '^test result: ok. 1 passed' "$work/said"; then outcome=pass; else outcome=skip; fi ;;
            101) ;;
            *) outcome=crash ;;
        esac
        printf '%s %s::%s # %s\n' "$outcome" "$file" "$name" "$(grep -aE 'Error|panicked|called|SKIP' -A1 "$work/said" | tr '\n' ' ' | cut -c1-300)" >>"$work/cases"
        { printf -- '--- %s %s\n' "$file" "$name"; cat "$work/said"; } >>"$cache/logs/$client.$TESTED"
    done <"$work/names"
done <"$work/binaries"
count "$work/cases"
