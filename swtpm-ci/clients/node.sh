#!/usr/bin/env bash
# Node's pkcs11js as docs/languages.md has it: a key made, a signature, and eight sessions that sign at once.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2016
. "$(dirname "$0")/../lib.sh"
begin node node npm openssl pkcs11-tool swtpm cc
label=laptop
printf '%s\n' "$user_pin" >"$work/pin"
chmod 0600 "$work/pin"
printf 'a document\n' >"$work/document"

# As its authors publish it, built once, against the headers of the Node that is installed.
modules=${CARGO_TARGET_DIR:-$root/target}/clients/node
wanted=pkcs11js@2.1.7
export npm_config_nodedir=/usr npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false
installs() {
    if [ "$(cat "$modules/made-of" 2>/dev/null)" != "$wanted $(node --version)" ]; then
        rm -rf "$modules"
        mkdir -p "$modules"
        printf '{ "private": true }\n' >"$modules/package.json"
        (cd "$modules" && npm install --no-save --foreground-scripts "$wanted")
        node -e 'require(process.argv[1])' "$modules/node_modules/pkcs11js"
        printf '%s' "$wanted $(node --version)" >"$modules/made-of"
    fi
}
javascript() {
    (
        cd "$work"
        NODE_PATH=$modules/node_modules module=$MODULE timeout 120 node "$@"
    )
}
signs() {
    page languages node >"$work/page.js"
    javascript page.js
    # The two halves of the signature as OpenSSL wants them.
    says 'valid' javascript -e 'const c = require("crypto"), f = require("fs");
        const key = c.createPublicKey({ key: f.readFileSync("public.der"), format: "der", type: "spki" });
        console.log(c.verify("sha256", f.readFileSync("document"), { key, dsaEncoding: "ieee-p1363" }, f.readFileSync("document.sig")) ? "valid" : "no");'
    as_user --list-objects --type privkey >"$work/keys"
    cat "$work/keys"
    grep -q 'Access: .*never extractable, local' "$work/keys"
}
refuses_a_wrong_pin() {
    cp "$work/pin" "$work/right"
    printf '999999\n' >"$work/pin"
    refuses 'CKR_PIN_INCORRECT' javascript page.js
    cp "$work/right" "$work/pin"
}
silent_without_a_tpm() {
    without_tpm '^(.*/(page|index)\.js:[0-9]+|const session = .*|TypeError: .*|  .*|Node\.js .*|node:internal.*|Error: .*|Pkcs11Error: .*|[ ^]*|\}|)$' javascript page.js
}

check "makes a token" make_token
check "installs pkcs11js" installs
version "Node $(node --version), $wanted"
check "makes a P-256 key and signs" signs
check "eight sessions sign at once" says '80 signatures in 8 sessions' javascript "$rig/clients/node/parallel.js"
check "refuses a wrong PIN" refuses_a_wrong_pin
check "says nothing of ours without a TPM" silent_without_a_tpm
finish
