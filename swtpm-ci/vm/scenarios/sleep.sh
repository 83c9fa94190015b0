#!/usr/bin/env bash
# machine: trixie
# The machine sleeps under a TLS server that is logged in; awake again, it signs the next handshake without another login.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. /rig/src/swtpm-ci/vm/lib.sh
# shellcheck source-path=SCRIPTDIR source=../provider.sh
. /rig/src/swtpm-ci/vm/provider.sh
server=tls-server
log=/run/$server.log
certificate=/run/$server.crt

makes_a_key() {
    make_key EC:prime256v1 01 ec --usage-sign
    with_provider req -x509 -new -key "$(key ec)" -subj /CN=localhost -addext subjectAltName=DNS:localhost -days 30 -out "$certificate"
}
# The module tells each command that it sends to the TPM.
starts_a_server() {
    systemd-run --quiet --unit="$server" --setenv=OPENSSL_CONF="$provider" --setenv=HIERARKEY_LOG=debug \
        --property=StandardOutput="append:$log" --property=StandardError="append:$log" \
        openssl s_server -tls1_3 -key "$(key ec)" -cert "$certificate" -accept 127.0.0.1:4433 -www
    within 120 grep -q ACCEPT "$log" || { cat "$log"; return 1; }
}
shakes_hands() {
    says 'Verify return code: 0' timeout 120 openssl s_client -tls1_3 -connect 127.0.0.1:4433 -servername localhost \
        -verify_hostname localhost -verify_return_error -CAfile "$certificate"
}
signatures() { grep -c 'TPM2_Sign -> 0x000' "$log" || true; }
keeps_the_device_open() {
    local pid
    pid=$(systemctl show --property=MainPID --value "$server")
    says '/dev/tpmrm0$' find "/proc/$pid/fd" -lname /dev/tpmrm0 -printf '%l\n'
}
signs_for_a_handshake() {
    local before after
    before=$(signatures)
    shakes_hands
    after=$(signatures)
    printf 'signatures: %s, then %s\n' "$before" "$after"
    [ "$after" = $((before + 1)) ]
}
# How often the TPM was reset and restarted: it counts sleeps as the latter.
counters() {
    tpm2_readclock -T device:/dev/tpmrm0 | awk '/reset_count/ { reset = $2 } /restart_count/ { restart = $2 } END { print reset, restart }'
}
slept() {
    local reset restart now_reset now_restart
    dmesg | grep -E 'PM: suspend (entry \(deep\)|exit)'
    dmesg | grep -q 'PM: suspend exit'
    read -r reset restart <"/run/counters"
    read -r now_reset now_restart < <(counters)
    printf 'resets, restarts: %s, %s, then %s, %s\n' "$reset" "$restart" "$now_reset" "$now_restart"
    [ "$reset $((restart + 1))" = "$now_reset $now_restart" ]
}
logged_in_no_more() {
    tail -n "+$(($(cat /run/lines) + 1))" "$log" >"$work/since"
    cat "$work/since"
    lacks 'TPM2_Unseal' "$work/since"
}
ip link set lo up 2>/dev/null || true
falls_asleep() {
    counters >/run/counters
    wc -l <"$log" >/run/lines
    sleeps
}
case $boot in
    1)
        check "makes the token" makes_the_token
        check "makes a key and its certificate" makes_a_key
        check "starts a server with it" starts_a_server
        check "signs for a handshake" signs_for_a_handshake
        check "keeps the kernel's resource manager open" keeps_the_device_open
        falls_asleep
        ;;
    2)
        check "slept, and the TPM with it" slept
        check "signs for a handshake after the sleep" signs_for_a_handshake
        check "signs for another" signs_for_a_handshake
        check "needed no other login" logged_in_no_more
        check "keeps the resource manager open" keeps_the_device_open
        finish
        ;;
esac
