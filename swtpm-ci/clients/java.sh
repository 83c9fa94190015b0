#!/usr/bin/env bash
# Java's SunPKCS11 as docs/java.md has it: keytool, jarsigner, a TLS server, and eight threads that sign at once.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2016
. "$(dirname "$0")/../lib.sh"
# Debian's Java 17, where several are installed.
for home in /usr/lib/jvm/java-17-openjdk-*; do
    [ ! -x "$home/bin/keytool" ] || PATH=$home/bin:$PATH
done
begin java java javac jar keytool jarsigner openssl pkcs11-tool swtpm
label=laptop
unset JAVA_TOOL_OPTIONS _JAVA_OPTIONS JDK_JAVA_OPTIONS
version "Java $(java -version 2>&1 | sed -E '1!d; s/.*"(.*)".*/\1/'), SunPKCS11"
printf '%s\n' "$user_pin" >"$work/pin"
chmod 0600 "$work/pin"

# The page's commands, with the options that it gives once.
commands() {
    (
        cd "$work"
        bash -euo pipefail -c "$(page java options); $(page java "$1")"
    )
}
makes_keys() {
    says 'web, .*PrivateKeyEntry' commands keys
    grep -q 'code, .*PrivateKeyEntry' "$work/says.out"
    says 'web.crt: OK' openssl verify -CAfile "$work/web.crt" "$work/web.crt"
}
# Java makes keys as session objects and copies them to the token: the copies are the TPM's own keys still.
keeps_them_in_the_token() {
    as_user --list-objects >"$work/objects"
    cat "$work/objects"
    [ "$(grep -c '^Private Key Object' "$work/objects")" = 3 ]
    [ "$(grep -c 'Access: .*always sensitive, never extractable, local' "$work/objects")" = 3 ]
    [ "$(grep -c '^Certificate Object' "$work/objects")" = 3 ]
}
is_certified() {
    commands request
    says 'verify OK' openssl req -in "$work/web.csr" -noout -verify
    says 'web.signed: OK' openssl verify -CAfile "$work/authority.crt" "$work/web.signed"
    says 'Certificate chain length: 2' bash -c "cd '$work'; $(page java options); keytool \$store -list -v -alias web"
}
# A key that was made elsewhere: Java gives the module its numbers, and the module tells the TPM.
imports_a_key() {
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/file.key" -subj '/CN=imported' -days 30 -out "$work/file.crt"
    openssl pkcs12 -export -inkey "$work/file.key" -in "$work/file.crt" -name imported -passout pass:changeit -out "$work/file.p12"
    says 'imported, .*PrivateKeyEntry' commands import
    as_user --list-objects --type privkey --id "$(printf imported | od -An -tx1 | tr -d ' \n')" >"$work/objects"
    cat "$work/objects"
    # It says of itself that it was not always in the TPM.
    grep -q 'Access: *sensitive$' "$work/objects"
}
signs_an_archive() {
    mkdir -p "$work/archive"
    printf 'a text\n' >"$work/archive/text"
    jar --create --file "$work/application.jar" -C "$work/archive" text
    says 'jar signed|jar verified' commands sign
    grep -q 'jar verified' "$work/says.out"
    # And as one who has no token sees it.
    says 'jar verified' jarsigner -verify "$work/application.jar"
}
start_server() {
    cat "$work/authority.crt" >"$work/trusted"
    (cd "$work" && bash -c "$(page java options); keytool \$store -exportcert -rfc -alias code") >>"$work/trusted" </dev/null 2>/dev/null || true
    page java server >"$work/Server.java"
    javac -d "$work" "$work/Server.java" "$rig/clients/java/Threads.java" >"$work/javac.log" 2>&1 </dev/null || return 0
    port=$(free_port)
    (
        cd "$work"
        exec java -cp . Server "$port"
    ) >"$work/server.log" 2>&1 </dev/null &
    started+=($!)
    within 30 listening "$port" || true
}
serves() {
    cat "$work/javac.log" "$work/server.log"
    # shellcheck disable=SC2086 # a list of options
    timeout 20 openssl s_client -ign_eof -connect "127.0.0.1:$port" "-$1" -CAfile "$work/trusted" -verify_return_error $3 \
        </dev/null >"$work/client.log" 2>&1 || { cat "$work/client.log" "$work/server.log"; return 1; }
    cat "$work/client.log"
    grep -q 'Verify return code: 0 (ok)' "$work/client.log"
    grep -q "served by $2" "$work/client.log"
}
serves_many() {
    local pids=() n
    for n in 1 2 3 4 5 6 7 8; do
        for _ in 1 2 3 4; do
            openssl s_client -quiet -connect "127.0.0.1:$port" -CAfile "$work/trusted" -verify_return_error </dev/null || exit 1
        done >"$work/many.$n" 2>&1 &
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n" || { cat "$work"/many.? "$work/server.log"; return 1; }; done
    [ "$(cat "$work"/many.? | grep -c 'served by TLSv1.3')" = 32 ]
}
signs_in_threads() {
    cd "$work"
    says '320 signatures by 8 threads' timeout 300 java -cp . Threads pkcs11.cfg pin
}
# Slots keep their places: the owner hierarchy's is the first whatever other tokens there are.
keeps_the_slots_order() {
    printf '%s' "$so_pin" >"$work/so-pin"
    "${MODULE%/*}/hierarkey" token init --slot null --label another --so-pin-file "$work/so-pin" --pin-file "$work/pin"
    (
        cd "$work"
        says 'code, .*PrivateKeyEntry' bash -c "$(page java options); keytool \$store -list"
    )
}
refuses_a_wrong_pin() {
    printf '999999\n' >"$work/wrong"
    cd "$work"
    refuses 'CKR_PIN_INCORRECT|password|load failed' keytool -keystore NONE -storetype PKCS11 -addprovider SunPKCS11 \
        -providerArg pkcs11.cfg -storepass:file wrong -list
}
silent_without_a_tpm() {
    without_tpm '^(keytool error: .*|)$' bash -c "cd '$work'; $(page java options); keytool \$store -list"
}

check "makes a token" make_token
check "knows the module" follow java provider
check "keytool makes an EC and an RSA key" makes_keys
check "they are keys of the TPM, with their certificates beside them" keeps_them_in_the_token
check "keytool requests and keeps a certificate" is_certified
check "keytool brings a key from a file" imports_a_key
check "jarsigner signs" signs_an_archive
start_server
check "serves TLS 1.3" serves tls1_3 TLSv1.3 "-sigalgs ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384 -verify_hostname localhost"
check "serves TLS 1.3 with the RSA key" serves tls1_3 TLSv1.3 "-sigalgs rsa_pss_rsae_sha256:rsa_pkcs1_sha256"
check "serves TLS 1.2" serves tls1_2 TLSv1.2 "-cipher aECDSA -verify_hostname localhost"
check "serves TLS 1.2 with the RSA key" serves tls1_2 TLSv1.2 "-cipher aRSA"
check "serves eight clients at once" serves_many
check "eight threads sign and decrypt at once" signs_in_threads
if [ "$kind" = hierarkey ]; then
    check "finds the token where it was, beside another" keeps_the_slots_order
fi
check "refuses a wrong PIN" refuses_a_wrong_pin
check "says nothing of ours without a TPM" silent_without_a_tpm
finish
