#!/usr/bin/env bash
# OpenVPN: both ends' keys and certificates on the token, the daemons in network namespaces, by the commands of docs/openvpn.md.
# shellcheck source-path=SCRIPTDIR source=../net.sh
. "$(dirname "$0")/../net.sh"
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
PATH=$PATH:/usr/sbin:/sbin
begin openvpn openvpn openssl pkcs11-tool socat unshare nsenter ip ping swtpm
unset OPENSSL_CONF
label=laptop
umask 077
printf '%s' "$user_pin" >"$work/pin"
cd "$work"
hierarkey=${MODULE%/*}/hierarkey # the tool, of the same build

makes_an_authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.crt \
        -subj /CN=authority -days 30 -addext keyUsage=keyCertSign
}
# sets_up TYPE: a token with a key and a certificate for each end. What was on the token is gone.
sets_up() {
    make_token
    local end name id type=$1 step
    for end in server:01 client:02; do
        name=${end%:*} id=${end#*:}
        for step in key request certificate import ids; do
            name=$name id=$id type=$type follow openvpn "$step"
        done
        grep -qE '^[^/]+/[^/]+/[^/]+/laptop/'"$id\$" "$name.id"
        # Nothing of a fixed-width field is left in it.
        never 'x00|x20/' "$name.id"
        export name
        follow openvpn "$name"
    done
}
# Slots without a token stand beside it: they give no certificate and no complaint.
lists_our_certificates_alone() {
    openvpn --show-pkcs11-ids "$MODULE" >ids 2>&1
    cat ids
    [ "$(grep -c 'Serialized id:' ids)" = 2 ]
    ! grep -iE 'error|CKR_|cannot' ids
}

# start END...: the daemon as the page starts it. Its starter has gone when this returns: what goes on is a forked child.
start() { name=$1 follow_on "$1" openvpn start; }
# answer END [PIN]: answers its next question for the PIN.
answer() {
    mkdir -p "answers-$1"
    cp answer "answers-$1/"
    printf '%s' "${2:-$user_pin}" >"answers-$1/pin"
    (cd "answers-$1" && follow_on "$1" openvpn connect) >"$1.answer" 2>&1 &
}
up() { within 10 logs 'Initialization Sequence Completed' "$1.log" "${2:-1}"; }
show() { tail -n 18 server.log client.log; }
# The client reaches the server through the tunnel, by its address in there.
passes() { on client ping -q -c 3 -i 0.2 -W 5 198.51.100.1; }
# A server that waits for its client.
start_server() {
    rm -f server.log client.log
    plug server client
    start server
    answer server
}
start_both() {
    start_server
    start client
    answer client
    { up server && up client; } || { show; return 1; }
}
# How often an end was given the PIN.
answers() { grep -c "MANAGEMENT: CMD 'password" "$1.log" || true; }
configured() { # configured LINE...: both ends' configurations with these lines more, for one check
    local end
    for end in server client; do
        name=$end follow openvpn "$end"
        printf '%s\n' 'verb 3' "$@" >>"$end.conf"
    done
}
# A TPM that lost its power after a login has counted a try.
gives_the_tries_back() { [ "$kind" != hierarkey ] || "$hierarkey" lockout reset; }
daemon() { on "$1" sh -c 'cat /run/openvpn.pid'; }

without_management() { sed -i '/^management/d' client.conf; }

# tunnels VERSION ALGORITHM: both ends sign, and each verifies the other.
tunnels() {
    configured "tls-version-min $1" "tls-version-max $1"
    start_both
    show
    passes
    local end
    for end in server client; do
        logs "Control Channel: TLSv$1, .*$2" "$end.log"
        never 'CKR_|PKCS#11: Cannot|TLS Error' "$end.log"
    done
    logs 'VERIFY OK: depth=0, CN=client' server.log
    logs 'VERIFY OK: depth=0, CN=server' client.log
}
renegotiates() {
    # A script at each handshake: the process forks while it is logged in.
    configured 'reneg-sec 2' 'script-security 2' 'tls-verify /bin/true' "tls-version-min $1" "tls-version-max $1"
    start_both
    within 30 logs 'VERIFY OK: depth=0, CN=client' server.log 2 || { show; return 1; }
    # The TPM is reset under the tunnel, as when the machine wakes from hibernation.
    restart_tpm
    within 30 logs 'VERIFY OK: depth=0, CN=client' server.log 4
    show
    passes
    logs 'VERIFY OK: depth=0, CN=server' client.log 4
    never 'CKR_|TLS Error' client.log
    never 'CKR_|TLS Error' server.log
    # The PIN of the first handshake serves them all.
    [ "$(answers client)" = 1 ] && [ "$(answers server)" = 1 ]
    gives_the_tries_back
}
restarts() {
    configured
    start_both
    on client kill -USR1 "$(daemon client)"
    up client 2 || { show; return 1; }
    passes
    show
    [ "$(answers client)" = 1 ]
    never 'CKR_' client.log
    # Both end in good order.
    local end pid
    for end in client server; do
        pid=$(daemon "$end")
        on "$end" kill -TERM "$pid"
        within 10 on "$end" test ! -d "/proc/$pid"
        logs 'SIGTERM.*process exiting' "$end.log"
    done
}
# It unloads the module, loads it again and asks again, in the same process.
reads_all_anew() {
    configured
    start_both
    local before
    before=$(daemon client)
    on client kill -HUP "$before"
    answer client
    up client 2 || { show; return 1; }
    passes
    show
    [ "$(daemon client)" = "$before" ]
    logs "Client connected" client.log 2
    never 'CKR_' client.log
}
# --askpass is for keys in files: it gives no PIN, right or wrong, whatever else is asked for, and there is nobody else to ask.
takes_no_pin_by_askpass() {
    local before more
    configured
    start_server
    before=$(tries_left)
    for more in '' auth-nocache 'pkcs11-protected-authentication 1' 'pkcs11-pin-cache 300'; do
        configured 'askpass pin' "$more"
        without_management
        rm -f client.log
        start client
        within 20 logs "can't ask for .*laptop token" client.log || { show; return 1; }
        show
        never 'Initialization Sequence Completed' client.log
    done
    # Without a file it asks for the other password at the terminal, goes to the background, and has nobody to ask for the PIN.
    configured askpass
    without_management
    rm -f client.log
    at_a_terminal 'Enter Private Key Password:' --daemon --log client.log
    within 20 logs "can't ask for .*laptop token" client.log || { show; return 1; }
    show
    [ "$(tries_left)" = "$before" ]
}
# at_a_terminal QUESTION OPTION...: the client, on a terminal of its own where the PIN is typed when it shows the question.
at_a_terminal() {
    local question=$1
    shift
    : >terminal
    # shellcheck disable=SC2094 # it waits for what the other end writes
    {
        within 10 grep -q "$question" terminal
        printf '%s\n' "$user_pin"
    } | on client socat -t 60 - "EXEC:openvpn --config client.conf $*,pty,setsid,ctty" >terminal 2>&1 &
}
# In the foreground it asks at its terminal, with --askpass as without.
asks_at_its_terminal() {
    configured
    without_management
    start_server
    at_a_terminal 'Enter laptop token Password:' --log client.log
    up client || { cat terminal; show; return 1; }
    passes
}
# As long as the configuration lets it keep the PIN, and no longer.
asks_again_when_the_pin_is_old() {
    configured
    printf '%s\n' 'reneg-sec 2' 'pkcs11-pin-cache 1' >>client.conf
    start_both
    answer client
    within 20 logs 'VERIFY OK: depth=0, CN=client' server.log 2 || { show; return 1; }
    show
    passes
    [ "$(answers client)" = 2 ] && [ "$(answers server)" = 1 ]
    never 'CKR_|TLS Error' client.log
}

# Without a management interface, where systemd runs: it has systemd-ask-password ask, and an agent replies.
by_systemd() {
    configured
    without_management
    start_server
    on client mkdir -p /run/systemd/system
    start client
    # shellcheck disable=SC2016 # expanded on the host
    within 10 on client sh -c 'test -n "$(sed -n "s/^Socket=//p" /run/systemd/ask-password/ask.*)"' || { show; return 1; }
    on client sh -c 'cat /run/systemd/ask-password/ask.*'
    # shellcheck disable=SC2016
    on client sh -c '/lib/systemd/systemd-reply-password 1 "$(sed -n "s/^Socket=//p" /run/systemd/ask-password/ask.*)" <pin'
    up client || { show; return 1; }
    passes
}
# Where no TPM answers when the server has to sign, OpenVPN asks for the token to be put in, and then for its PIN. The handshake
# that waited for it goes on.
asks_for_the_token_while_the_tpm_is_away() {
    [ "$kind" = hierarkey ] || return 0
    configured 'reneg-sec 2'
    start_both
    stop_tpm
    within 20 logs 'Need password' server.log || { show; return 1; }
    answer server
    within 10 logs 'MANAGEMENT: CMD .needok' server.log || { show; return 1; }
    power_tpm
    within 20 logs 'VERIFY OK: depth=0, CN=client' server.log 2 || { show; return 1; }
    show
    passes
    [ "$(answers client)" = 1 ] && [ "$(answers server)" = 2 ]
    gives_the_tries_back
}
# The token is the same after the TPM was restarted: so is what the configuration calls it. Loaded sessions and keys are gone.
knows_the_token_again() {
    local before
    before=$(cat client.id)
    name=client follow openvpn ids
    [ "$(cat client.id)" = "$before" ]
    configured
    start_both
    passes
}
tries_left() { "$hierarkey" lockout show | sed -nE 's/^tries left: ([0-9]+) of .*/\1/p'; }
# A wrong PIN is asked for again, costs one try, and the right one connects.
asks_again_for_a_wrong_pin() {
    local before
    configured
    start_server
    before=$(tries_left)
    start client
    answer client 999999
    wait $! || true # it has answered
    answer client
    up client || { show; return 1; }
    passes
    show
    [ "$(tries_left)" = $((before - 1)) ]
    "$hierarkey" lockout reset
}
# With no other, it ends in a failure that has a reason, and no tries are spent but those that were answered.
refuses_a_wrong_pin() {
    local before
    configured
    start_server
    before=$(tries_left)
    start client
    for _ in 1 2 3; do
        answer client 999999
        wait $! || true
    done
    within 20 logs 'TLS Error: TLS handshake failed' client.log || { show; return 1; }
    show
    [ "$(answers client)" = 3 ]
    printf 'tries: %s, then %s\n' "$before" "$(tries_left)"
    [ "$(tries_left)" = $((before > 3 ? before - 3 : 0)) ]
    never 'Initialization Sequence Completed' client.log
    # And it is not for ever.
    "$hierarkey" lockout reset
    answer client
    up client || { show; return 1; }
    passes
}
# No TPM: nothing of ours on its terminal, and it ends by itself.
is_silent_without_a_tpm() {
    env -u HIERARKEY_CONF -u HIERARKEY_LOG HIERARKEY_TCTI="device:$work/none" openvpn --show-pkcs11-ids "$MODULE" >without 2>&1
    cat without
    ! grep -iE 'hierarkey:|tss2|tcti|error|warn|CKR_' without
}

check "makes an authority" makes_an_authority
check "makes what answers for the PIN" follow openvpn answer
for kind_of_key in EC:prime256v1 rsa:2048; do
    case $kind_of_key in
        EC:*) algorithm='peer certificate: 256 bits? E' ;;
        rsa:*) algorithm='peer certificate: 2048 bits? RSA' ;;
    esac
    check "makes $kind_of_key keys and certificates" sets_up "$kind_of_key"
    check "lists our certificates and no others" lists_our_certificates_alone
    for tls in 1.2 1.3; do
        check "tunnels over TLS $tls with $kind_of_key" tunnels "$tls" "$algorithm"
    done
done
check "renegotiates over TLS 1.3 and a restart of the TPM" renegotiates 1.3
check "renegotiates over TLS 1.2 and a restart of the TPM" renegotiates 1.2
check "asks for the token while the TPM is away" asks_for_the_token_while_the_tpm_is_away
check "restarts by SIGUSR1" restarts
check "reads all anew by SIGHUP" reads_all_anew
check "tunnels with the PIN by systemd-ask-password" by_systemd
check "takes no PIN by --askpass" takes_no_pin_by_askpass
check "asks at its terminal" asks_at_its_terminal
check "asks again when the PIN is old" asks_again_when_the_pin_is_old
check "asks again for a wrong PIN" asks_again_for_a_wrong_pin
check "refuses a wrong PIN" refuses_a_wrong_pin
restart_tpm
check "knows the token after a restart of the TPM" knows_the_token_again
check "is silent without a TPM" is_silent_without_a_tpm
finish
