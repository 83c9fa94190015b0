#!/usr/bin/env bash
# strongSwan: charon-systemd and its pkcs11 plugin on two hosts, IKEv2 with both keys on the token, by the commands of
# docs/strongswan.md.
# shellcheck source-path=SCRIPTDIR source=../net.sh
. "$(dirname "$0")/../net.sh"
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
PATH=$PATH:/usr/sbin:/sbin
begin strongswan charon-systemd swanctl openvpn openssl pkcs11-tool socat unshare nsenter ip ping swtpm
unset OPENSSL_CONF STRONGSWAN_CONF SWANCTL_DIR
label=laptop
umask 077
printf '%s' "$user_pin" >"$work/pin"
cd "$work"
hierarkey=${MODULE%/*}/hierarkey # the tool, of the same build

makes_an_authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.crt \
        -subj /CN=authority -days 30 -addext keyUsage=keyCertSign
}

# who HOST: the variables of the page for that host. Its net is one address, which it has on its loopback.
who() {
    export name=$1 peer id address net peer_net
    case $1 in
        left) peer=right id=01 address=192.0.2.2 net=198.51.100.1/32 peer_net=198.51.100.2/32 ;;
        right) peer=left id=02 address=192.0.2.1 net=198.51.100.2/32 peer_net=198.51.100.1/32 ;;
    esac
}
# sets_up TYPE: a token with a key and a certificate for each end. What was on the token is gone.
sets_up() {
    make_token
    export type=$1
    local end step
    for end in left right; do
        who "$end"
        for step in key request certificate import; do
            follow strongswan "$step"
        done
    done
}

# configure HOST: the page's configuration in an /etc as the packages leave it. What is added is the log, and IPsec in charon itself: not every
# kernel has it, and what becomes of the packets is not what is tested.
configure() {
    local etc=$work/$1.etc
    rm -rf "$etc"
    mkdir -p "$etc/strongswan.d" "$etc"/swanctl/{conf.d,x509,x509ca,x509aa,x509ac,x509ocsp,x509crl,pubkey,private,rsa,ecdsa,bliss,pkcs8,pkcs12}
    cp -r /usr/share/strongswan/templates/config/plugins "$etc/strongswan.d/charon"
    printf 'include conf.d/*.conf\n' >"$etc/swanctl/swanctl.conf"
    on "$1" mount --bind "$etc/swanctl" /etc/swanctl
    on "$1" mount --bind "$etc/strongswan.d" /etc/strongswan.d
    who "$1"
    local step
    for step in module connection secret; do
        follow_on "$1" strongswan "$step"
    done
    on "$1" tee /etc/strongswan.d/charon/kernel-libipsec.conf <<<'kernel-libipsec { load = yes }' >"$work/null"
    on "$1" tee /etc/strongswan.d/log.conf >"$work/null" <<END
charon-systemd {
    reuse_ikesa = no
    dos_protection = ${dos_protection:-yes}
    threads = ${threads:-16}
    filelog {
        file {
            path = $work/$1.log
            default = 1
            cfg = 2
            flush_line = yes
        }
    }
}
END
    on "$1" ip address add "$net" dev lo
}
# start HOST: charon, which is ready when it answers; $charon is its process as this script sees it.
start() {
    rm -f "$1.log"
    on "$1" charon-systemd >"$1.out" 2>&1 </dev/null &
    charon=$!
    within 20 on "$1" swanctl --stats || { show; return 1; }
}
show() { tail -n 30 left.log right.log left.out right.out 2>&1; }
# What charon itself has to say on its terminal; anything else would be ours.
silent() { never 'hierarkey|tss2|TSS|tcti|panick' "$1.out"; }
start_both() {
    plug left right
    local end
    for end in left right; do
        configure "$end"
    done
    if [ "${1:-}" = os_locking ]; then
        on right sed -i 's/path = .*/&\nos_locking = yes/' /etc/strongswan.d/charon/pkcs11.conf
    fi
    start left
    start right
    for end in left right; do
        logs "loaded PKCS#11 v[23]\.[0-9]+ library 'hierarkey'" "$end.log"
        # The uninitialised slots beside it are not offered.
        [ "$(grep -c 'found token in slot' "$end.log")" = 1 ]
        never 'C_[A-Za-z]+\(\) (error|failed)|C_[A-Za-z]+ failed|error in C_' "$end.log"
    done
}
load() { who "$1"; follow_on "$1" strongswan load; }
passes() { on left ping -q -c 3 -i 0.2 -W 5 -I 198.51.100.1 198.51.100.2; }

# joins: with all that the configurations say, left connects to right.
joins() {
    load left
    load right
    follow_on left strongswan initiate
}

# connects METHOD [os_locking]: both sign, each verifies the other, and packets go through.
connects() {
    start_both "${2:-}"
    # Certificates are there before anybody has logged in.
    logs "loaded .*cert.* from .*hierarkey|loaded untrusted cert" left.log 2
    joins || { show; return 1; }
    show
    passes
    local end
    for end in left right; do
        who "$end"
        logs "authentication of '$name' \(myself\) with $1 successful" "$end.log"
        logs "authentication of '$peer' with $1 successful" "$end.log"
        silent "$end"
    done
}
# A TPM that lost its power after a login has counted a try.
gives_the_tries_back() { [ "$kind" != hierarkey ] || "$hierarkey" lockout reset; }
authenticates_again() {
    start_both
    joins
    again 2
    # The TPM is reset under it, as when the machine wakes from hibernation.
    restart_tpm
    again 3
    silent left
    silent right
    gives_the_tries_back
}
# again TIMES: left starts it, and both have signed so often then.
again() {
    on left swanctl --rekey --ike vpn --reauth
    within 20 logs "authentication of 'left' \(myself\) with .* successful" left.log "$1" || { show; return 1; }
    within 20 logs "authentication of 'right' with .* successful" left.log "$1" || { show; return 1; }
    within 10 passes
}
# While no TPM answers nobody can sign, and afterwards nobody need load the key anew.
connects_after_the_tpm_was_away() {
    [ "$kind" = hierarkey ] || return 0
    start_both
    load left
    load right
    stop_tpm
    refuses 'failed' on left swanctl --initiate --child net
    tail -n 12 left.log
    power_tpm
    follow_on left strongswan initiate || { show; return 1; }
    passes
    silent left
    silent right
    gives_the_tries_back
}
# many COUNT: so many connections more on each host.
many() {
    local end n
    for end in left right; do
        {
            printf 'connections {\n'
            for ((n = 1; n <= $1; n++)); do
                printf 'many%s : connections.vpn {\nunique = never\nchildren {\nnet%s : connections.vpn.children.net { }\n}\n}\n' "$n" "$n"
            done
            printf '}\n'
        } | on "$end" tee /etc/swanctl/conf.d/zz-many.conf >"$work/null"
        load "$end"
    done
}
# initiates_many COUNT: all of them at once, each end's threads signing beside each other.
initiates_many() {
    local n pids=() end
    for ((n = 1; n <= $1; n++)); do
        on left swanctl --initiate --ike "many$n" --timeout 30 >"many$n.out" 2>&1 &
        pids+=($!)
    done
    for n in "${pids[@]}"; do
        wait "$n" || { tail -n 12 left.log right.log; return 1; }
    done
    for end in left right; do
        logs "authentication of '$end' \(myself\) with .* successful" "$end.log" "$1"
        never 'C_[A-Za-z]+\(\) (error|failed)' "$end.log"
    done
}
# shows_openvpn: its logs, after a failure.
shows_openvpn() { tail -n 20 server.log client.log; }
# OpenVPN's daemons beside charon on each host: four processes that sign in turns with one TPM.
connects_many_beside_openvpn() {
    local pair name host step
    export name id type=EC:prime256v1
    for pair in server:03 client:04; do
        name=${pair%:*} id=${pair#*:}
        for step in key request certificate import ids "$name"; do
            follow openvpn "$step"
        done
        printf '%s\n' 'reneg-sec 2' 'verb 3' >>"$name.conf"
    done
    follow openvpn answer
    # charon takes four new connections at a time from one address, and has 16 threads, of which swanctl holds one for each connection
    # that it waits for. That is not what is tested.
    dos_protection=no threads=48 start_both
    many 20
    for pair in server:left client:right; do
        name=${pair%:*} host=${pair#*:}
        follow_on "$host" openvpn start
        # Each end's answer reads what its own socat says.
        mkdir "$name.answers"
        cp answer pin "$name.answers/"
        (cd "$name.answers" && follow_on "$host" openvpn connect) >"$name.out" 2>&1 &
    done
    within 20 logs 'Initialization Sequence Completed' client.log || { shows_openvpn; return 1; }
    initiates_many 20
    within 30 logs 'VERIFY OK: depth=0, CN=client' server.log 3 || { shows_openvpn; return 1; }
    within 30 logs 'VERIFY OK: depth=0, CN=server' client.log 3 || { shows_openvpn; return 1; }
    never 'CKR_|TLS Error' server.log
    never 'CKR_|TLS Error' client.log
}
tries_left() { "$hierarkey" lockout show | sed -nE 's/^tries left: ([0-9]+) of .*/\1/p'; }
refuses_a_wrong_pin() {
    local before
    start_both
    before=$(tries_left)
    on left sed -i 's/pin = .*/pin = 999999/' /etc/swanctl/conf.d/token.conf
    says "loading 'token-laptop' failed" load left
    tail -n 20 left.log
    logs "login to 'hierarkey':0 failed: PIN_INCORRECT" left.log
    [ "$(tries_left)" = $((before - 1)) ]
    # And the right one is taken afterwards.
    on left sed -i "s/pin = .*/pin = $user_pin/" /etc/swanctl/conf.d/token.conf
    joins
    "$hierarkey" lockout reset
}
# Without the PIN in a file, a person at a terminal types it.
asks_for_the_pin() {
    start_both
    on left sed -i '/^ *pin = /d' /etc/swanctl/conf.d/token.conf
    : >asked.out
    # shellcheck disable=SC2094 # it waits for what the other end writes
    {
        within 10 grep -qi 'PIN' asked.out
        printf '%s\n' "$user_pin"
    } | on left socat -t 10 - 'EXEC:swanctl --load-creds,pty,setsid,ctty' >asked.out 2>&1
    cat asked.out
    grep -q "loaded key token-laptop from token" asked.out
    load right
    on left swanctl --load-conns
    follow_on left strongswan initiate
}
# A thread of its waits for slot events; it must not wait for it.
ends_at_once() {
    local left_charon status=0
    plug left right
    configure left
    start left
    left_charon=$charon
    within 10 logs "does not support hot-plugging" left.log
    load left
    # shellcheck disable=SC2016 # expanded on the host
    on left sh -c 'kill -TERM "$(pidof charon-systemd)"'
    within 10 gone "$left_charon"
    wait "$left_charon" || status=$?
    show
    [ "$status" = 0 ]
}
gone() { ! kill -0 "$1"; }
is_silent_without_a_tpm() {
    plug left right
    configure left
    (
        unset HIERARKEY_CONF HIERARKEY_LOG
        export HIERARKEY_TCTI=device:$work/none
        start left
    )
    cat left.log left.out
    silent left
    never 'C_[A-Za-z]+\(\) (error|failed)' left.log
}

check "makes an authority" makes_an_authority
check "makes ECDSA keys and certificates" sets_up EC:prime256v1
check "connects with ECDSA on both ends" connects 'ECDSA_WITH_SHA256_DER'
check "connects with ECDSA and the system's locks" connects 'ECDSA.*' os_locking
check "makes ECDSA keys on P-384 and certificates" sets_up EC:secp384r1
check "connects with ECDSA on P-384 on both ends" connects 'ECDSA_WITH_SHA384_DER'
check "makes RSA keys and certificates" sets_up rsa:2048
check "connects with RSA on both ends" connects 'RSA_EMSA_PKCS1_SHA2_256'
check "connects with RSA and the system's locks" connects 'RSA_EMSA_PKCS1_SHA2_256' os_locking
check "authenticates again, also after a restart of the TPM" authenticates_again
check "connects after the TPM was away" connects_after_the_tpm_was_away
check "makes twenty connections at once beside OpenVPN" connects_many_beside_openvpn
check "refuses a wrong PIN" refuses_a_wrong_pin
check "asks for the PIN" asks_for_the_pin
check "ends at once" ends_at_once
check "is silent without a TPM" is_silent_without_a_tpm
finish
