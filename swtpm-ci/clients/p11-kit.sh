#!/usr/bin/env bash
# p11-kit as docs/p11-kit.md has it: the module's file, the proxy, the server, and two hosts, one of which has no TPM and uses the other's over ssh.
#
# p11-kit reads the machine's own folders. The script's are put over them in a namespace of mounts, which no other process sees, and
# the hosts have networks of their own.
# shellcheck disable=SC2016,SC2031
if [ "${1:-}" != "in a namespace" ]; then
    [ "$(id -u)" = 0 ] || { printf 'FAIL p11-kit: namespaces need root\n'; exit 1; }
    exec unshare --mount --net "$0" "in a namespace"
fi
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
PATH=$PATH:/usr/sbin:/sbin
begin p11-kit p11-kit p11tool pkcs11-tool ssh sshd ssh-keygen openssl ip mount pgrep unshare nsenter swtpm
label=laptop
version "p11-kit $(dpkg-query -W -f '${Version}' p11-kit)"
printf 'a document\n' >"$work/document"
export XDG_RUNTIME_DIR=$work/run
mkdir -m 0700 "$work/run"

folder=$(dirname "$(find /usr/lib -name p11-kit-client.so | sed 1q)")

# The host that has the TPM: the module where packages put it, and p11-kit's file as it is in the source.
furnish() {
    mkdir "$work/pkcs11" "$work/modules" "$work/etc-modules"
    cp "$folder/p11-kit-client.so" "$work/pkcs11/"
    cp "$MODULE" "$work/pkcs11/libhierarkey.so"
    cp "$root/dist/p11-kit/hierarkey.module" "$work/modules/"
    mount --bind "$work/pkcs11" "$folder"
    mount --bind "$work/modules" /usr/share/p11-kit/modules
    [ ! -d /etc/pkcs11/modules ] || mount --bind "$work/etc-modules" /etc/pkcs11/modules
    ip link set lo up
    module=$folder/libhierarkey.so
}
has_the_pages_file() {
    diff <(grep -v '^#' "$root/dist/p11-kit/hierarkey.module") <(page p11-kit module)
}
makes_keys() {
    make_key EC:prime256v1 01 web --usage-sign
    make_key rsa:2048 02 mail --usage-sign --usage-decrypt
    export_public 01 "$work/01.pem"
    export_public 02 "$work/02.pem"
}
lists() {
    says '^hierarkey: libhierarkey\.so' follow p11-kit list
    grep -q "token: $label" "$work/says.out"
    grep -q "^pkcs11:.*token=$label" "$work/says.out"
    lacks '%00' "$work/says.out"
}
signs_through() {
    rm -f "$work/document.sig"
    says "$2" follow p11-kit "$1"
    says 'Verified OK' openssl dgst -sha256 -verify "$work/01.pem" -signature "$work/document.sig" "$work/document"
}
# Four processes at once, each of which loads the list and logs in.
signs_in_parallel() {
    local pids=() n
    for n in 1 2 3 4; do
        for _ in 1 2 3; do
            GNUTLS_PIN=$user_pin p11tool --login --test-sign "pkcs11:token=$label;object=web;type=private" || exit 1
        done >"$work/parallel.$n" 2>&1 &
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n" || { cat "$work"/parallel.?; return 1; }; done
    cat "$work/parallel.1"
    # Each verifies with the private key's own numbers and with the public key.
    [ "$(cat "$work"/parallel.? | grep -c '^Verifying against .*ok$')" = 24 ]
}
# The proxy is a module among others: what it cannot do without a token, it does not.
keeps_pss_of_the_proxy() {
    tool_of "${folder%/pkcs11}/p11-kit-proxy.so" --sign --id 02 --mechanism SHA256-RSA-PKCS-PSS --input-file "$work/document" --output-file "$work/document.sig"
    says 'Verified OK' openssl dgst -sha256 -sigopt rsa_padding_mode:pss -verify "$work/02.pem" -signature "$work/document.sig" "$work/document"
}
tool_of() {
    local module=$1
    shift
    pkcs11-tool --module "$module" --token-label "$label" --login --pin "$user_pin" "$@"
}

# A server that stays for the checks: not within one, for it is this script's own child.
start_server() {
    p11-kit server --foreground --name "$work/run/token" --provider "$MODULE" "pkcs11:token=$label" >"$work/server.log" 2>&1 </dev/null &
    started+=($!)
    within 10 test -S "$work/run/token"
}
serves() {
    cat "$work/server.log"
    export P11_KIT_SERVER_ADDRESS=unix:path=$work/run/token
    tool_of "$folder/p11-kit-client.so" "$@"
}
serves_rsa() {
    serves --sign --id 02 --mechanism SHA256-RSA-PKCS --input-file "$work/document" --output-file "$work/document.sig"
    says 'Verified OK' openssl dgst -sha256 -verify "$work/02.pem" -signature "$work/document.sig" "$work/document"
}
serves_no_pss() {
    refuses 'MECHANISM' serves --sign --id 02 --mechanism SHA256-RSA-PKCS-PSS --input-file "$work/document" --output-file "$work/document.sig"
}

serves_no_ecdsa_with_a_hash() {
    refuses 'CKR_MECHANISM_INVALID' serves --sign --id 01 --mechanism ECDSA-SHA256 --input-file "$work/document" --output-file "$work/document.sig"
}

# The other host: a network of its own, p11-kit's folders of its own, an ssh_config that knows the first, and no word of a TPM.
start_other_host() {
    mkdir "$work/far-modules" "$work/far-pkcs11"
    cp "$folder/p11-kit-client.so" "$work/far-pkcs11/"
    page p11-kit remote >"$work/far-modules/tpm-host.module"
    ssh-keygen -q -t ed25519 -N '' -f "$work/far-key"
    ssh-keygen -q -t ed25519 -N '' -f "$work/host_key"
    cat >"$work/far-ssh_config" <<CONFIG
Host tpm-host
    HostName 10.77.0.1
    User $(id -un)
    IdentityFile $work/far-key
    UserKnownHostsFile $work/far-known
    StrictHostKeyChecking yes
    BatchMode yes
CONFIG
    printf '10.77.0.1 %s\n' "$(cut -d' ' -f1,2 "$work/host_key.pub")" >"$work/far-known"
    # shellcheck disable=SC2016 # expanded by the inner shell
    env -u HIERARKEY_CONF -u HIERARKEY_STORE -u HIERARKEY_TCTI -u P11_KIT_SERVER_ADDRESS unshare --mount --net bash -c '
        mount --bind "$1/far-modules" /usr/share/p11-kit/modules &&
        mount --bind "$1/far-pkcs11" "$2" &&
        mount --bind "$1/far-ssh_config" /etc/ssh/ssh_config &&
        touch "$1/far-is-up" && exec sleep 600' sh "$work" "$folder" >"$work/far.log" 2>&1 </dev/null &
    far=$!
    started+=("$far")
    within 10 test -e "$work/far-is-up" || return 0
    ip link add near type veth peer name far netns "$far"
    ip address add 10.77.0.1/24 dev near
    ip link set near up
    nsenter --target "$far" --net ip address add 10.77.0.2/24 dev far
    nsenter --target "$far" --net ip link set far up

    mkdir -p /run/sshd
    cat >"$work/sshd_config" <<CONFIG
ListenAddress 10.77.0.1
HostKey $work/host_key
PidFile none
AuthorizedKeysFile $work/far-key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
SetEnv HIERARKEY_CONF=$HIERARKEY_CONF HIERARKEY_STORE=$HIERARKEY_STORE HIERARKEY_TCTI=$HIERARKEY_TCTI
CONFIG
    "$(command -v sshd)" -D -e -f "$work/sshd_config" >"$work/sshd.log" 2>&1 </dev/null &
    started+=($!)
    within 10 grep -q 'Server listening' "$work/sshd.log" || true
}
# on_other_host COMMAND...
on_other_host() {
    nsenter --target "$far" --mount --net env -u HIERARKEY_CONF -u HIERARKEY_STORE -u HIERARKEY_TCTI "$@"
}
has_no_token_of_its_own() {
    cat "$work/far.log" "$work/sshd.log"
    says 'tpm-host' on_other_host p11-kit list-modules
    on_other_host test ! -e "$folder/libhierarkey.so"
}
uses_the_remote_token() {
    local commands before
    commands=$(page p11-kit use-remote)
    before=$(tpm_commands)
    says 'ok$' on_other_host env GNUTLS_PIN="$user_pin" bash -euo pipefail -c "$commands" || { cat "$work/sshd.log"; return 1; }
    grep -q "^pkcs11:.*token=$label" "$work/says.out"
    tpm_commands_since "$before" | grep -q '^TPM2_Sign$'
}
signs_remotely_with_rsa() {
    says 'ok$' on_other_host env GNUTLS_PIN="$user_pin" p11tool --login --test-sign "pkcs11:token=$label;object=mail;type=private"
}
certifies_remotely() {
    printf 'cn = "far"\nserial = 1\nexpiration_days = 30\nsigning_key\n' >"$work/template"
    on_other_host env GNUTLS_PIN="$user_pin" certtool --generate-self-signed --template "$work/template" --outfile "$work/far.crt" \
        --load-privkey "pkcs11:token=$label;object=web;type=private" --load-pubkey "pkcs11:token=$label;object=web;type=public"
    says 'far.crt: OK' openssl verify -CAfile "$work/far.crt" "$work/far.crt"
}
refuses_a_wrong_pin_remotely() {
    refuses 'PIN' on_other_host env GNUTLS_PIN=999999 p11tool --batch --login --list-all "pkcs11:token=$label"
}
forwards_a_socket() {
    local commands
    commands=$(page p11-kit forward)
    mkdir -p "$work/forward"
    says 'Private Key Object' on_other_host env user_pin="$user_pin" socket="$work/run/token" bash -euo pipefail -c \
        'cd "$1"; pkcs11-tool() { command pkcs11-tool --pin "$user_pin" "$@"; }; eval "$2"' sh "$work/forward" "$commands"
}
# The ssh of the page goes to the background: it is the one that listens on the socket.
end_forwarding() {
    local pid
    for pid in $(pgrep -f -- "-L $work/forward/token.socket:"); do kill "$pid"; done
}
# Without a TPM the list is the list, with nothing on stderr and no token.
silent_without_a_tpm() {
    without_tpm '^(hierarkey: libhierarkey\.so|    library-(description|manufacturer|version): .*|)$' p11-kit list-modules
    grep -q '^hierarkey:' "$work/without.out"
    without_tpm '^$' p11tool --list-token-urls
    without_tpm '^(error: No slots.*|No slots.*|error: .*CKR_SLOT_ID_INVALID.*|Available slots:|Slot .*|  \(empty\)|No slot with .*|Aborting\.|error: .*)$' \
        pkcs11-tool --module "${folder%/pkcs11}/p11-kit-proxy.so" --list-token-slots
    # Errors of the library itself are not lost: the same file without the library would say so.
    lacks 'hierarkey::|TCTI|tcti|/dev/' "$work/without.out"
}

furnish
check "the page has the module's file as it is installed" has_the_pages_file
check "makes a token" make_token
check "makes a P-256 and an RSA key" makes_keys
check "lists the module and its token" lists
check "signs through the proxy" signs_through proxy '^ecdsa-sha2-nistp256 '
check "signs with RSA-PSS through the proxy" keeps_pss_of_the_proxy
check "signs in four processes at once" signs_in_parallel
check "signs through the page's server" signs_through server .
start_server
check "a server shows the token" says 'Private Key Object' serves --list-objects
check "a server signs with RSA" serves_rsa
check "a server has no ECDSA with a hash, which p11-kit does not know" serves_no_ecdsa_with_a_hash
check "a server has no RSA-PSS, as p11-kit carries no parameters" serves_no_pss
start_other_host
check "the other host has no module of ours" has_no_token_of_its_own
check "the other host finds the token, and signs with ECDSA" uses_the_remote_token
check "the other host signs with RSA" signs_remotely_with_rsa
check "the other host makes a certificate" certifies_remotely
check "the other host is refused a wrong PIN" refuses_a_wrong_pin_remotely
check "the other host uses a forwarded socket" forwards_a_socket
end_forwarding
check "says nothing of ours without a TPM" silent_without_a_tpm
finish
