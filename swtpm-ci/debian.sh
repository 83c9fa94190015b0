# shellcheck shell=bash
# Roots of Debian, from where this machine's own apt gets its packages. Sourced, never run.

# The archive's address, as this machine's apt says it.
debian_archive() {
    local archive
    # shellcheck disable=SC2016 # apt's variables, not the shell's
    archive=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }')
    [ -n "$archive" ] || { printf 'apt knows no Debian archive\n' >&2; return 1; }
    printf '%s\n' "$archive"
}
# How it is reached.
apt_options() { apt-config dump | grep -E '^Acquire::(Check-|Retries|https?::Proxy|ForceIPv)' || true; }

# debian_root SUITE TARGET PACKAGE...: the suite's smallest root with these, in a folder or an archive that is named .tar.
# How the archive is reached is in it: who keeps the root takes that out.
debian_root() {
    local suite=$1 target=$2 list options archive
    shift 2
    archive=$(debian_archive) || return 1
    list=$(printf '%s,' "$@")
    options=$(mktemp)
    apt_options >"$options"
    mmdebstrap --quiet --mode=root --variant=minbase --aptopt="$options" --include="${list%,}" \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$suite" "$target" "$archive" >&2 </dev/null || { rm -f "$options"; return 1; }
    rm -f "$options"
}
