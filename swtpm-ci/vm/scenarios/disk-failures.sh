#!/usr/bin/env bash
# machine: bookworm
# What the journal says when a volume does not open, and that it opens again after the remedy.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. /rig/src/swtpm-ci/vm/lib.sh
# shellcheck source-path=SCRIPTDIR source=../disk.sh
. /rig/src/swtpm-ci/vm/disk.sh

# attempt PIN TEXT...: starts the unit with that PIN, as from a person who answers once, until it has said all the texts
# (patterns); what it said is in $work/attempt. A unit that goes on to ask for a passphrase is stopped.
attempt() {
    local cursor text limit=$((SECONDS + 300))
    mkdir -p "/run/systemd/system/$unit.service.d"
    printf '[Service]\nEnvironment=PIN=%s\n' "$1" >"/run/systemd/system/$unit.service.d/test.conf"
    shift
    systemctl daemon-reload
    cursor=$(journalctl --quiet --show-cursor --lines 0 | sed 's/^-- cursor: //')
    systemctl start --no-block "$unit"
    for text in "$@"; do
        until journalctl --quiet --no-pager --output cat --after-cursor "$cursor" --unit "$unit" >"$work/attempt" &&
            grep -qE -e "$text" "$work/attempt"; do
            if [ "$SECONDS" -ge "$limit" ]; then
                cat "$work/attempt"
                printf 'it does not say: %s\n' "$text"
                systemctl stop "$unit"
                return 1
            fi
            sleep 1
        done
    done
    systemctl is-active "$unit" >"$work/active" || true
    systemctl stop "$unit"
    cat "$work/attempt"
}
opens() {
    attempt "$user_pin" "Successfully logged into security token 'disk'" 'Finished systemd-cryptsetup@private'
    [ "$(cat "$work/active")" = active ]
}
# Every text that is expected here is a text that the page explains.
page_explains() { grep -qF -e "$1" "$root/docs/disk.md"; }
fails_with() {
    local text
    attempt "$@"
    [ "$(cat "$work/active")" != active ]
    shift
    for text in "$@"; do
        page_explains "$text"
    done
}

wrong_pin() { fails_with 999999 "PIN for token 'disk' is incorrect, please try again."; }
locked_pin() {
    # The first of three tries is used up by now.
    for _ in 1 2; do
        attempt 999999 "PIN for token 'disk' is incorrect|PIN has been locked"
    done
    fails_with "$user_pin" "PIN has been locked, please reset PIN of security token 'disk'."
    says 'one is given back every [0-9]+ s' hierarkey lockout show
}
unlocks_the_pin() { hierarkey lockout reset; }
missing_store() {
    mv /var/lib/hierarkey /var/lib/hierarkey.away
    fails_with "$user_pin" 'there is no store' 'Security token not present for unlocking volume'
    mkdir -m 0700 /var/lib/hierarkey
    fails_with "$user_pin" 'there is no store' 'Security token not present for unlocking volume'
    rmdir /var/lib/hierarkey
    mv /var/lib/hierarkey.away /var/lib/hierarkey
}
cleared_tpm() {
    tpm2_clear -T device:/dev/tpmrm0 -c l
    fails_with "$user_pin" "the owner slot's token is not recognized" 'was cleared'
}
no_tpm() { fails_with "$user_pin" 'no TPM' 'Security token not present for unlocking volume'; }
begins_anew() {
    hierarkey token remove --slot owner --destroy-keys
    has_pins
    systemd-cryptenroll --wipe-slot=pkcs11 "$DEVICE"
    page disk.md token
    page disk.md rsa
    page disk.md certificate
    page disk.md enrol PASSWORD="$(cat /run/disk/passphrase)"
}
case $boot in
    1)
        makes_the_token
        page disk.md rsa
        page disk.md certificate >/dev/null
        makes_a_volume
        page disk.md enrol PASSWORD="$(cat /run/disk/passphrase)"
        page disk.md crypttab
        check "opens the volume" opens
        check "tells a wrong PIN" wrong_pin
        check "tells a locked PIN" locked_pin
        check "gives the PIN's tries back" unlocks_the_pin
        check "opens the volume after that" opens
        check "tells a missing store" missing_store
        check "opens the volume when the store is back" opens
        # Nobody is there to be asked at the next boots.
        sed -i 's/pkcs11-uri=auto/pkcs11-uri=auto,noauto/' /etc/crypttab
        without_tpm
        power_cycle
        ;;
    2)
        check "tells a missing TPM" no_tpm
        power_cycle
        ;;
    3)
        check "opens the volume when the TPM is back" opens
        check "tells a cleared TPM" cleared_tpm
        check "begins anew as the page says" begins_anew
        check "opens the volume with the new key" opens
        finish
        ;;
esac
