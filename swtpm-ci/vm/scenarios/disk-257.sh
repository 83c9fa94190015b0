#!/usr/bin/env bash
# machine: trixie
# An EC key, then an RSA key without a certificate, open a volume at boot.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. /rig/src/swtpm-ci/vm/lib.sh
# shellcheck source-path=SCRIPTDIR source=../disk.sh
. /rig/src/swtpm-ci/vm/disk.sh
forgets_the_keys() {
    local type
    for type in private public; do
        GNUTLS_PIN=$user_pin p11tool --batch --login --delete "pkcs11:token=disk;object=luks;type=$type"
    done
    systemd-cryptenroll --wipe-slot=pkcs11 "$DEVICE"
}
case $boot in
    1)
        check "makes the token" makes_the_token
        check "makes an EC key" page disk.md ec
        check "makes a volume" makes_a_volume
        check "lists the token for enrolling" lists_the_token
        check "enrols the volume by the token's URI" enrols enrol
        check "writes to the volume" writes_to_the_volume
        check "names it in crypttab" page disk.md crypttab
        types 'PIN' "$user_pin"
        power_cycle
        ;;
    2)
        check "opens the volume at boot by the EC key and the PIN typed" opened_by_the_token
        has_pins
        check "keeps the PIN in a credential" page disk.md credential
        power_cycle
        ;;
    3)
        check "opens the volume at boot by the EC key and the credential" opened_by_the_token
        systemctl stop "$unit"
        has_pins
        check "forgets the EC key" forgets_the_keys
        check "makes an RSA key" page disk.md rsa
        check "enrols the volume by auto" enrols enrol-auto
        power_cycle
        ;;
    4)
        check "opens the volume at boot by the RSA key and the credential" opened_by_the_token
        has_pins
        systemctl stop "$unit"
        rm -r /etc/systemd/system/$unit.service.d
        check "forgets the auto enrolment" systemd-cryptenroll --wipe-slot=pkcs11 "$DEVICE"
        check "enrols the volume by the token's URI and RSA" enrols enrol
        types 'PIN' "$user_pin"
        power_cycle
        ;;
    5)
        check "opens the volume at boot by the RSA key and the PIN typed" opened_by_the_token
        finish
        ;;
esac
