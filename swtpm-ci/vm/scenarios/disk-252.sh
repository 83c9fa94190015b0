#!/usr/bin/env bash
# machine: bookworm
# An RSA key opens a volume at boot: the PIN typed, then from a credential.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. /rig/src/swtpm-ci/vm/lib.sh
# shellcheck source-path=SCRIPTDIR source=../disk.sh
. /rig/src/swtpm-ci/vm/disk.sh
case $boot in
    1)
        check "makes the token" makes_the_token
        check "makes an RSA key" page disk.md rsa
        check "gives it a certificate" page disk.md certificate
        check "makes a volume" makes_a_volume
        check "lists the token for enrolling" lists_the_token
        check "enrols the volume by the token's URI" enrols enrol
        check "writes to the volume" writes_to_the_volume
        check "names it in crypttab" page disk.md crypttab
        types 'PIN' "$user_pin"
        power_cycle
        ;;
    2)
        check "opens the volume at boot by the PIN typed" opened_by_the_token
        has_pins
        check "keeps the PIN in a credential" page disk.md credential
        power_cycle
        ;;
    3)
        check "opens the volume at boot by the credential" opened_by_the_token
        systemctl stop "$unit"
        has_pins
        systemd-cryptenroll --wipe-slot=pkcs11 "$DEVICE"
        check "enrols the volume by auto" enrols enrol-auto
        sed -i 's/pkcs11-uri=auto/luks/' /etc/crypttab
        power_cycle
        ;;
    4)
        check "opens it where crypttab says nothing of a token" opened_by_the_token
        finish
        ;;
esac
