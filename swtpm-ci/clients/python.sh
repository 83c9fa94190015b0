#!/usr/bin/env bash
# python-pkcs11 and PyKCS11 as docs/languages.md has them; eight threads; a process that ends without C_Finalize; and what is left of the module when it is unloaded.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2016
. "$(dirname "$0")/../lib.sh"
begin python python3 openssl pkcs11-tool swtpm swig cc
label=laptop
printf '%s\n' "$user_pin" >"$work/pin"
chmod 0600 "$work/pin"
printf 'a document\n' >"$work/document"

# Both as their authors publish them, built once.
venv=${CARGO_TARGET_DIR:-$root/target}/clients/python
wanted="python-pkcs11==0.10.1 asn1crypto==1.5.1 pykcs11==1.5.20"
installs() {
    if [ "$(cat "$venv/made-of" 2>/dev/null)" != "$wanted" ]; then
        rm -rf "$venv"
        mkdir -p "${venv%/*}"
        python3 -m venv "$venv"
        # shellcheck disable=SC2086 # a list of words
        "$venv/bin/pip" install --quiet --disable-pip-version-check $wanted
        printf '%s' "$wanted" >"$venv/made-of"
    fi
}
# python ARGUMENT...: in the working folder, with the module's path as the page has it.
python() {
    (
        cd "$work"
        module=$MODULE timeout 120 "$venv/bin/python" "$@"
    )
}
# runs NAME: the page's program.
runs() {
    page languages "$1" >"$work/$1.py"
    python "$1.py"
}
signs_with_python_pkcs11() {
    runs python-pkcs11
    says 'Verified OK' openssl dgst -sha256 -keyform DER -verify "$work/public.der" -signature "$work/document.sig" "$work/document"
}
signs_with_pykcs11() {
    make_key rsa:2048 02 rsa --usage-sign
    runs pykcs11
    export_public 02 "$work/rsa.pem"
    says 'Verified OK' openssl dgst -sha256 -verify "$work/rsa.pem" -signature "$work/document.sig" "$work/document"
}
prints_nothing_of_ours() {
    without_tpm '^(Traceback .*|During handling of .*|StopIteration|pkcs11.exceptions.NoSuchToken: .*|  .*|.*(TokenNotPresent|NoSuchToken|StopIteration|GeneralError|MultipleTokens).*|)$' runs "$1"
}
refuses_a_wrong_pin() {
    printf '999999\n' >"$work/kept"
    mv "$work/pin" "$work/right" && mv "$work/kept" "$work/pin"
    refuses 'PinIncorrect' runs python-pkcs11
    mv "$work/right" "$work/pin"
}
# The library's every name but PKCS#11's own stays inside: another library of the process may have the same.
exports_nothing_else() {
    nm -D --defined-only "$MODULE" >"$work/symbols"
    lacks ' [A-Za-z] (_|[a-bd-z]|c[^_])' "$work/symbols"
}

check "makes a token" make_token
check "installs python-pkcs11 and PyKCS11" installs
version "$(python --version), $("$venv/bin/pip" list --disable-pip-version-check 2>/dev/null | awk 'tolower($1) ~ /pkcs11|pykcs11/ { printf "%s%s %s", n++ ? ", " : "", $1, $2 }')"
check "python-pkcs11 makes an EC key and signs" signs_with_python_pkcs11
check "PyKCS11 finds an RSA key and signs" signs_with_pykcs11
check "python-pkcs11 encrypts with an AES key of the TPM" says 'encrypted 48 bytes' python "$rig/clients/python/encrypt.py"
check "eight threads sign at once, and the process ends without C_Finalize" says '80 signatures by 8 threads' python "$rig/clients/python/threads.py"
check "a forked child ends as well as its parent" says '80 signatures by 8 threads' python "$rig/clients/python/threads.py" fork
check "nothing is left of the module when it is unloaded" says 'nothing is left' python "$rig/clients/python/unload.py"
check "the module exports the functions of PKCS#11 only" exports_nothing_else
check "python-pkcs11 is refused a wrong PIN" refuses_a_wrong_pin
check "python-pkcs11 says nothing of ours without a TPM" prints_nothing_of_ours python-pkcs11
check "PyKCS11 says nothing of ours without a TPM" prints_nothing_of_ours pykcs11
finish
