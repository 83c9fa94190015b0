#!/usr/bin/env bash
# machine: bookworm
# What the journal says when a volume does not open, and that it opens again after the remedy.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. /rig/src/swtpm-ci/vm/lib.sh
# shellcheck source-path=SCRIPTDIR source=../disk.sh
. /rig/src/swtpm-ci/vm/disk.sh

# attempt SECONDS PIN: starts the unit with that PIN, as from a person who answers once; what was said is
# in $work/attempt. A unit that goes on to ask for a passphrase is stopped.
attempt() {
    local since
    mkdir -p "/run/systemd/system/$unit.service.d"
    printf '[Service]\nEnvironment=PIN=%s\n' "$2" >"/run/systemd/system/$unit.service.d/test.conf"
    systemctl daemon-reload
    journalctl --quiet --sync
    since=$(journalctl --quiet --show-cursor --lines 0 | sed 's/^-- cursor: //')
    timeout "$1" systemctl start "$unit" || true
    systemctl is-active "$unit" >"$work/active" || true
    systemctl stop "$unit"
    journalctl --quiet --sync
    journalctl --quiet --no-pager --output cat --after-cursor "$since" --unit "$unit" >"$work/attempt"
    cat "$work/attempt"
}
tells() { grep -qE -e "$1" "$work/attempt" || { printf 'it does not say: %s\n' "$1"; return 1; }; }
stays_shut() { [ "$(cat "$work/active")" != active ]; }
opens() {
    attempt 60 "$user_pin"
    tells "Successfully logged into security token 'disk'" && [ "$(cat "$work/active")" = active ]
}
# Every text that is expected here is a text that the page explains.
page_explains() { grep -qF -e "$1" "$root/docs/disk.md"; }
fails_with() {
    local text
    attempt "$1" "$2"
    shift 2
    stays_shut
    for text in "$@"; do
        page_explains "$text"
        tells "$text"
    done
}

wrong_pin() { fails_with 20 999999 "PIN for token 'disk' is incorrect, please try again."; }
locked_pin() {

    for _ in 1 2 3; do
        hierarkey lockout show | grep -q 'locked out' && break
        attempt 10 999999
    done
    fails_with 20 "$user_pin" "PIN has been locked, please reset PIN of security token 'disk'."
    says 'one is given back every [0-9]+ s' hierarkey lockout show
}
unlocks_the_pin() { hierarkey lockout reset; }
missing_store() {
    mv /var/lib/hierarkey /var/lib/hierarkey.away
    fails_with 45 "$user_pin" 'Security token not present for unlocking volume' 'there is no store'
    mkdir -m 0700 /var/lib/hierarkey
    fails_with 45 "$user_pin" 'Security token not present for unlocking volume' 'there is no store'
    rmdir /var/lib/hierarkey
    mv /var/lib/hierarkey.away /var/lib/hierarkey
}
cleared_tpm() {
    tpm2_clear -T device:/dev/tpmrm0 -c l
    fails_with 30 "$user_pin" "the owner slot's token is not recognized" 'was cleared'
}
no_tpm() { fails_with 45 "$user_pin" 'Security token not present for unlocking volume' 'no TPM'; }
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
        check "opens the volume after a wrong PIN" opens
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
