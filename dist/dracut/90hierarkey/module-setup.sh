#!/bin/bash
# Takes the PKCS#11 module, its configuration, the system's store and p11-kit's file into the initial
# RAM disk, so that systemd-cryptsetup opens the root volume with a key in the TPM.

# Only where it is asked for: it takes the store along.
check() {
    return 255
}

depends() {
    echo crypt systemd-ask-password
}

installkernel() {
    # Nothing where the drivers are built in. dm-crypt too: a host that was not booted from an encrypted
    # root yet is none that dracut takes it along for.
    hostonly='' instmods '=drivers/char/tpm' dm_crypt xts aes sha256
}

install() {
    local store file directory config=$dracutsysrootdir/etc/hierarkey/hierarkey.toml
    # What is loaded by name at run time, and so is in no list of needed libraries; and what it needs:
    # dracut looks at files that may be executed only, which libraries need not be.
    # shellcheck disable=SC2154 # dracut sets libdirs and initdir
    for directory in $libdirs; do
        for file in "$dracutsysrootdir$directory"/{libp11-kit.so.*,cryptsetup/libcryptsetup-token-systemd-pkcs11.so,pkcs11/libhierarkey.so}; do
            [[ -r $file ]] || continue
            inst "${file#"$dracutsysrootdir"}"
            # shellcheck disable=SC2046 # a list of paths
            inst_multiple -o $(ldd "$file" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p')
        done
    done
    inst_simple /usr/share/p11-kit/modules/hierarkey.module
    inst_multiple -o /etc/pkcs11/pkcs11.conf /etc/pkcs11/modules/hierarkey.module /etc/hierarkey/hierarkey.toml
    # As it will be looked for in the RAM disk: with no home, none of this shell's variables, and no
    # configuration but its own, whatever this machine has.
    [[ -r $config ]] || config=$initdir/etc/hierarkey/hierarkey.toml
    if [[ ! -r $config ]]; then
        mkdir -p "${config%/*}"
        : >"$config"
    fi
    store=$(env -i PATH="$PATH" HIERARKEY_CONF="$config" hierarkey disk store) || return 1
    if [[ ! -r $dracutsysrootdir$store/hierarkey.sqlite3 ]]; then
        dfatal "hierarkey: there is no store in $store"
        return 1
    fi
    inst_dir "$store"
    chmod --reference="$dracutsysrootdir$store" "$initdir$store"
    inst_simple "$store/hierarkey.sqlite3"
}
