#!/usr/bin/env bash
# wpa_supplicant: EAP-TLS over a cable, the key and the certificate on the token by libp11's engine, by the commands of
# docs/wpa_supplicant.md. hostapd at the other end asks who is there, and has its own key in a file.
# shellcheck source-path=SCRIPTDIR source=../net.sh
. "$(dirname "$0")/../net.sh"
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
PATH=$PATH:/usr/sbin:/sbin
begin wpa_supplicant wpa_supplicant wpa_cli hostapd openssl pkcs11-tool unshare nsenter ip swtpm
unset OPENSSL_CONF
label=laptop
umask 077
printf '%s' "$user_pin" >"$work/pin"
cd "$work"
hierarkey=${MODULE%/*}/hierarkey # the tool, of the same build
export name=laptop-7 id=01

makes_an_authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.crt \
        -subj /CN=authority -days 30 -addext keyUsage=keyCertSign
    openssl req -x509 -CA ca.crt -CAkey ca.key -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout radius.key \
        -out radius.crt -subj /CN=radius -days 30 -addext subjectAltName=DNS:radius.example \
        -addext extendedKeyUsage=serverAuth -addext basicConstraints=critical,CA:FALSE
    printf '* TLS\n' >users
    cat >hostapd.conf <<END
driver=wired
interface=cable
ieee8021x=1
eap_server=1
eap_reauth_period=0
eap_user_file=$work/users
ca_cert=$work/ca.crt
server_cert=$work/radius.crt
private_key=$work/radius.key
use_pae_group_addr=1
END
}
# wpa_supplicant loads modules from below /usr/lib only. Where packages put ours, there is one on the host.
folder=/usr/lib/$(uname -m)-linux-gnu/pkcs11
installed=$folder/${MODULE##*/}
installs_on() {
    on "$1" mount -t tmpfs tmpfs "$folder"
    on "$1" cp "$MODULE" "$installed"
}
configure() { MODULE=$installed follow wpa_supplicant configuration; }
# sets_up TYPE: a token with one key and one certificate.
sets_up() {
    make_token
    export type=$1
    local step
    for step in key request certificate import; do
        follow wpa_supplicant "$step"
    done
}

# authenticator [FLAGS [LINE...]]: the network's end of the cable.
authenticator() {
    cp hostapd.conf hostapd.now
    printf '%s\n' "tls_flags=${1:-[ENABLE-TLSv1.3]}" "${@:2}" >>hostapd.now
    rm -f hostapd.log
    on network hostapd -dd hostapd.now >hostapd.log 2>&1 </dev/null &
    within 10 logs 'AP-ENABLED' hostapd.log || { cat hostapd.log; return 1; }
}
# start: the page's daemon.
start() {
    rm -f wpa_supplicant.log
    follow_on laptop wpa_supplicant start >started.out 2>&1 || { cat started.out wpa_supplicant.log; return 1; }
}
show() { tail -n 25 wpa_supplicant.log; grep -E 'EAP|TLS|SSL' hostapd.log | tail -n 25; }
connected() { logs 'CTRL-EVENT-EAP-SUCCESS' wpa_supplicant.log "${1:-1}"; }

# authenticates VERSION [WHAT]: to a network that speaks that version and no other.
authenticates() {
    configure
    plug network laptop
    installs_on laptop
    case $1 in
        1.2) authenticator '' ;;
        1.3) authenticator '[DISABLE-TLSv1.2][ENABLE-TLSv1.3]' ;;
    esac
    case $1 in
        1.3) sed -i 's/^    eap=TLS/&\n    phase1="tls_disable_tlsv1_3=0"/' wpa_supplicant.conf ;;
    esac
    start
    within 15 connected || { show; return 1; }
    show
    says '^suppPortStatus=Authorized' follow_on laptop wpa_supplicant status
    says "^eap_tls_version=TLSv$1" follow_on laptop wpa_supplicant status
    logs "AP-STA-CONNECTED" hostapd.log
    never 'CKR_|ENGINE: .*fail' wpa_supplicant.log
}

signatures() { tpm_commands_since 0 | grep -cE 'TPM2_(Sign|RSA_Decrypt)' || true; }
# The network asks again and again; the key signs each time, with the TPM reset in between as when the machine wakes from hibernation.
authenticates_again() {
    local before
    before=$(signatures)
    configure
    plug network laptop
    installs_on laptop
    authenticator '' eap_reauth_period=2
    start
    within 15 connected || { show; return 1; }
    restart_tpm
    within 20 connected 3 || { show; return 1; }
    never 'CKR_|ENGINE: .*fail|EAP-FAILURE' wpa_supplicant.log
    [ "$kind" = hierarkey ] || return 0
    [ "$(signatures)" -ge $((before + 3)) ]
    "$hierarkey" lockout reset # a TPM that lost its power after a login has counted a try
}
# Where the network keeps TLS's sessions the key is not needed for the next time.
resumes_a_session() {
    local before
    configure
    plug network laptop
    installs_on laptop
    authenticator '' tls_session_lifetime=3600
    start
    within 15 connected || { show; return 1; }
    before=$(signatures)
    says '^OK' control reauthenticate
    within 15 connected 2 || { show; return 1; }
    says '^tls_session_reused=1' follow_on laptop wpa_supplicant status
    [ "$(signatures)" = "$before" ]
}

control() { on laptop wpa_cli -p /run/wpa_supplicant -i cable "$@"; }
# connects: with whatever the configuration says now.
connects() {
    plug network laptop
    installs_on laptop
    authenticator
    start
    within 15 connected || { show; return 1; }
}
# Each time the module is unloaded and loaded again, in the same process.
loads_the_module_again() {
    local before
    configure
    connects
    before=$(on laptop cat /run/wpa_supplicant.pid)
    says '^OK' control reconfigure
    within 15 connected 2 || { show; return 1; }
    says '^OK' control reconfigure
    within 15 connected 3 || { show; return 1; }
    [ "$(on laptop cat /run/wpa_supplicant.pid)" = "$before" ]
    never 'CKR_|ENGINE: .*ail' wpa_supplicant.log
    # It ends in good order, and with it whatever runs at exit.
    says '^OK' control terminate
    within 10 on laptop test ! -d "/proc/$before"
    logs 'CTRL-EVENT-TERMINATING' wpa_supplicant.log
}
asks_for_the_pin() {
    configure
    sed -i '/^    pin=/d' wpa_supplicant.conf
    plug network laptop
    installs_on laptop
    authenticator
    start
    within 15 logs 'CTRL-REQ-PASSPHRASE' wpa_supplicant.log || { show; return 1; }
    follow_on laptop wpa_supplicant pin
    within 15 connected || { show; return 1; }
}
# Where the configuration makes the engine do all of OpenSSL's RSA and EC, the module must not need OpenSSL itself.
authenticates_where_the_engine_is_the_default() {
    configure
    cat >openssl.cnf <<END
openssl_conf = all
[all]
engines = engines
[engines]
pkcs11 = pkcs11
[pkcs11]
engine_id = pkcs11
MODULE_PATH = $MODULE
default_algorithms = ALL
init = 1
END
    says 'pkcs11' env OPENSSL_CONF="$work/openssl.cnf" openssl engine
    plug network laptop
    installs_on laptop
    authenticator
    OPENSSL_CONF=$work/openssl.cnf start
    within 15 connected || { show; return 1; }
}
tries_left() { "$hierarkey" lockout show | sed -nE 's/^tries left: ([0-9]+) of .*/\1/p'; }
# It says so, tries it once, and asks for another.
refuses_a_wrong_pin() {
    local before
    configure
    sed -i 's/^    pin=.*/    pin="999999"/' wpa_supplicant.conf
    before=$(tries_left)
    plug network laptop
    installs_on laptop
    authenticator
    start
    within 15 logs 'CTRL-REQ-PASSPHRASE' wpa_supplicant.log || { show; return 1; }
    show
    logs 'ENGINE: cannot load private key .*PIN incorrect' wpa_supplicant.log
    printf 'tries: %s, then %s\n' "$before" "$(tries_left)"
    [ "$(tries_left)" = $((before - 1)) ]
    never 'CTRL-EVENT-EAP-SUCCESS' wpa_supplicant.log
    follow_on laptop wpa_supplicant pin
    within 15 connected || { show; return 1; }
    "$hierarkey" lockout reset
}
is_silent_without_a_tpm() {
    configure
    plug network laptop
    installs_on laptop
    authenticator
    (
        unset HIERARKEY_CONF HIERARKEY_LOG
        export HIERARKEY_TCTI=device:$work/none
        start
    )
    within 15 logs 'CTRL-EVENT-EAP-STARTED|ENGINE: ' wpa_supplicant.log
    cat started.out wpa_supplicant.log
    never 'hierarkey|tss2|TSS|tcti' started.out
    never 'hierarkey\[|tss2|TSS|tcti' wpa_supplicant.log
}

check "makes an authority" makes_an_authority
for kind_of_key in EC:prime256v1 rsa:2048; do
    check "makes keys and certificates of $kind_of_key" sets_up "$kind_of_key"
    for tls in 1.2 1.3; do
        check "authenticates over TLS $tls with $kind_of_key" authenticates "$tls"
    done
    check "authenticates where the engine is the default, with $kind_of_key" authenticates_where_the_engine_is_the_default
done
check "authenticates again, also after a restart of the TPM" authenticates_again
check "resumes a session" resumes_a_session
check "loads the module again" loads_the_module_again
check "asks for the PIN" asks_for_the_pin
check "refuses a wrong PIN" refuses_a_wrong_pin
check "is silent without a TPM" is_silent_without_a_tpm
finish
