#!/usr/bin/env bash
# OpenSSH as docs/ssh.md has it: keys listed from the token, logins to a server of our own, the agent, a certificate authority, a
# host key that the server signs with through an agent, signed files and commits.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2016
. "$(dirname "$0")/../lib.sh"
PATH=$PATH:/usr/sbin:/sbin
begin ssh ssh ssh-keygen ssh-agent sshd git pkcs11-tool swtpm
sshd=$(command -v sshd)
label=laptop
version "$(ssh -V 2>&1 | sed 's/,.*//'), $(git --version)"

# The PIN without a terminal.
printf '#!/bin/sh\necho %s\n' "$user_pin" >"$work/askpass"
chmod 0700 "$work/askpass"
export SSH_ASKPASS=$work/askpass SSH_ASKPASS_REQUIRE=force DISPLAY=${DISPLAY:-:0}
unset SSH_AUTH_SOCK

makes_more_keys() {
    make_key rsa:2048 0a rsa --usage-sign
    make_key EC:secp384r1 0b asks --usage-sign --always-auth
}
lists_keys() {
    follow ssh public
    cat "$work/keys"
    grep -q '^ecdsa-sha2-nistp256 .* login$' "$work/login.pub"
    grep '^ssh-rsa .* rsa$' "$work/keys" >"$work/rsa.pub"
    grep '^ecdsa-sha2-nistp384 .* asks$' "$work/keys" >"$work/asks.pub"
}
# The public keys are read by a process that has no PIN to give.
lists_keys_without_the_pin() { says ' login$' env -u SSH_ASKPASS SSH_ASKPASS_REQUIRE=never ssh-keygen -D "$MODULE"; }

# start_sshd NAME LINE...: a server on a port of its own, with these lines in its configuration. Not within a check: it is to be this
# script's own child, which it can wait for.
start_sshd() {
    local name=$1 port tries=4
    shift
    if [ "$(id -u)" = 0 ]; then
        mkdir -p /run/sshd # where a server of root's shuts its unprivileged half in
    fi
    while [ "$tries" -gt 0 ]; do
        tries=$((tries - 1))
        port=$(free_port)
        cat >"$work/$name.conf" <<CONFIG
ListenAddress 127.0.0.1
Port $port
PidFile $work/$name.pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
$(printf '%s\n' "$@")
CONFIG
        "$sshd" -D -e -f "$work/$name.conf" >"$work/$name.log" 2>&1 </dev/null &
        started+=($!)
        # Two ways to end: it listens, or another program had the port.
        if within 5 grep -q 'Server listening' "$work/$name.log"; then
            printf '%s' "$port" >"$work/$name.port"
            return 0
        fi
        stop "$!"
    done
}
listens() {
    cat "$work/$1.log"
    [ -s "$work/$1.port" ]
}

# remote SERVER OPTION...
remote() {
    local port
    port=$(cat "$work/$1.port")
    shift
    ssh -F none -p "$port" -o StrictHostKeyChecking=no -o "UserKnownHostsFile=$work/known_hosts" \
        -o ConnectTimeout=20 -o PreferredAuthentications=publickey "$@" "$(id -un)@127.0.0.1" 'echo welcome $((6 * 7))'
}
# logs_in PUBLIC-KEY-FILE: the server knows this key only, and the client has no other than the token's.
logs_in() {
    cp "$1" "$work/authorized_keys"
    says 'welcome 42' remote files -o IdentityFile=none -I "$MODULE" || { cat "$work/files.log"; return 1; }
}
stays_out() {
    cp "$work/other.pub" "$work/authorized_keys"
    refuses 'Permission denied' remote files -o IdentityFile=none -I "$MODULE"
}

# with_agent COMMAND...: with an agent of our own that the page's words give the token to.
with_agent() {
    export -f page follow remote says
    export MODULE work rig user_pin
    # shellcheck disable=SC2016 # expanded by the inner shell
    TMPDIR=$work ssh-agent -P "$(dirname "$MODULE")/*" bash -c \
        'follow ssh agent && "$@"; status=$?; ssh-add -e "$MODULE"; kill "$SSH_AGENT_PID"; exit "$status"' sh "$@"
}
# The agent takes the PIN when it is given the token, and asks nobody afterwards.
logs_in_by_agent() {
    cp "$1" "$work/authorized_keys"
    says 'welcome 42' with_agent env -u SSH_ASKPASS SSH_ASKPASS_REQUIRE=never bash -c 'remote files -o "IdentityFile=$1"' sh "$1"
}
agent_refuses_a_link() {
    mkdir "$work/links"
    ln -s "$MODULE" "$work/links/linked.so"
    refuses 'agent refused operation' ssh-agent -P "$work/links/*" ssh-add -s "$work/links/linked.so"
}
many_log_in_by_agent() {
    cp "$work/login.pub" "$work/authorized_keys"
    # shellcheck disable=SC2016 # expanded by the inner shell
    with_agent bash -c 'for n in 1 2 3 4 5 6; do remote files >"$work/many.$n" 2>&1 & pids="$pids $!"; done; wait $pids'
    [ "$(cat "$work"/many.? | grep -c 'welcome 42')" = 6 ]
}

certifies() {
    cp "$work/other.pub" "$work/alice.pub"
    cp "$work/other" "$work/alice"
    says 'Public key: .*CERT' follow ssh certify
    says 'Signing CA: ECDSA SHA256.*' ssh-keygen -L -f "$work/alice-cert.pub"
    printf 'alice\n%s\n' "$(id -un)" >"$work/principals"
}
# What a user's certificate opens: a server that knows the authority only.
logs_in_by_certificate() {
    says 'welcome 42' remote certified -i "$work/alice" -o "CertificateFile=$work/alice-cert.pub" ||
        { cat "$work/certified.log"; return 1; }
    refuses 'Permission denied' remote certified -i "$work/alice" -o CertificateFile=none
}
certifies_with_rsa() {
    cp "$work/other.pub" "$work/bob.pub"
    ssh-keygen -D "$MODULE" -s "$work/rsa.pub" -I bob -n bob -V +1w "$work/bob.pub"
    says 'using rsa-sha2-512' ssh-keygen -L -f "$work/bob-cert.pub"
}

# signs_files KEY: by the page's words, in a folder where the key has the page's name.
signs_files() {
    local folder=$work/signs-$1
    mkdir "$folder"
    cp "$work/$1.pub" "$folder/login.pub"
    printf 'a document\n' >"$folder/document"
    says '^Good "file" signature for alice@example.org' with_agent follow ssh sign "$folder"
    printf 'another\n' >"$folder/other"
    refuses 'Could not verify|incorrect signature' sh -c 'cd "$1" && ssh-keygen -Y verify -n file -f signers \
        -I alice@example.org -s document.sig <other' sh "$folder"
}
signs_a_commit() {
    printf 'alice@example.org %s\n' "$(cat "$work/login.pub")" >"$work/signers"
    export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null HOME=$work
    rm -rf "$work/repository"
    git init --quiet "$work/repository"
    git -C "$work/repository" config user.name Alice
    git -C "$work/repository" config user.email alice@example.org
    says 'Good "git" signature for alice@example.org with ECDSA' with_agent follow ssh 'git' "$work/repository"
}

# The server's own agent lives as long as the server.
start_host_agent() {
    ssh-agent -D -a "$work/host-agent" -P "$(dirname "$MODULE")/*" >"$work/host-agent.log" 2>&1 </dev/null &
    started+=($!)
    within 10 test -S "$work/host-agent"
    SSH_AUTH_SOCK=$work/host-agent follow ssh host-agent >>"$work/host-agent.log" 2>&1
}
# The client knows the token's public key as the server's, and nothing else will do.
proves_the_host() {
    cp "$work/other.pub" "$work/authorized_keys"
    printf '[127.0.0.1]:%s %s\n' "$(cat "$work/hosted.port")" "$(cut -d' ' -f1,2 "$work/server.pub")" >"$work/known_hosts.strict"
    says 'welcome 42' remote hosted -i "$work/other" -o StrictHostKeyChecking=yes -o "UserKnownHostsFile=$work/known_hosts.strict" ||
        { cat "$work/hosted.log" "$work/host-agent.log"; return 1; }
}
# OpenSSH 9.2 takes the login that it made a moment ago for the key's own, which the module does not; C_Sign is right to refuse.
ssh_does_not_ask() {
    cp "$work/asks.pub" "$work/authorized_keys"
    refuses 'C_Sign failed: 257' remote files -o IdentityFile=none -I "$MODULE"
}
# An agent has nobody to ask for the PIN at each signature.
agent_refuses_a_key_that_asks() {
    cp "$work/asks.pub" "$work/authorized_keys"
    refuses 'Permission denied|agent refused' with_agent bash -c 'remote files -o "IdentityFile=$1" -o IdentitiesOnly=yes' sh "$work/asks.pub"
}
refuses_a_wrong_pin() {
    printf '#!/bin/sh\necho 999999\n' >"$work/wrong-askpass"
    chmod 0700 "$work/wrong-askpass"
    cp "$work/login.pub" "$work/authorized_keys"
    SSH_ASKPASS=$work/wrong-askpass refuses 'login failed|Permission denied|PIN' remote files -o IdentityFile=none \
        -o NumberOfPasswordPrompts=1 -I "$MODULE"
}

ssh-keygen -q -t ed25519 -N '' -f "$work/other"
ssh-keygen -q -t ed25519 -N '' -f "$work/host_key"
check "makes a token" make_token
check "makes the page's keys" follow ssh keys
check "makes an RSA key and one that asks for the PIN at each use" makes_more_keys
check "ssh-keygen lists the token's keys" lists_keys
check "ssh-keygen lists them without the PIN" lists_keys_without_the_pin
start_sshd files "HostKey $work/host_key" "AuthorizedKeysFile $work/authorized_keys"
check "a server starts" listens files
check "ssh logs in with the RSA key" logs_in "$work/rsa.pub"
check "ssh logs in with the P-256 key" logs_in "$work/login.pub"
check "ssh does not sign with the key that asks for the PIN" ssh_does_not_ask
check "ssh stays out where its keys are unknown" stays_out
check "ssh-agent logs in with the P-256 key" logs_in_by_agent "$work/login.pub"
check "ssh-agent logs in with the RSA key" logs_in_by_agent "$work/rsa.pub"
check "ssh-agent logs in six times at once" many_log_in_by_agent
check "ssh-agent refuses a link to a module elsewhere" agent_refuses_a_link
check "ssh-agent does not sign with the key that asks for the PIN" agent_refuses_a_key_that_asks
check "the authority certifies a user" certifies
start_sshd certified "HostKey $work/host_key" "TrustedUserCAKeys $work/authority.pub" "AuthorizedKeysFile none" \
    "AuthorizedPrincipalsFile $work/principals"
check "ssh logs in by the certificate and not without it" logs_in_by_certificate
check "an RSA authority certifies with SHA-512" certifies_with_rsa
check "ssh-keygen signs a file with the P-256 key" signs_files login
check "ssh-keygen signs a file with the RSA key" signs_files rsa
check "git signs a commit" signs_a_commit
start_host_agent
start_sshd hosted "HostKey $work/server.pub" "HostKeyAgent $work/host-agent" "AuthorizedKeysFile $work/authorized_keys"
check "sshd starts with a host key in its agent" listens hosted
check "sshd proves itself with the token's key" proves_the_host
check "a wrong PIN is refused" refuses_a_wrong_pin
check "says nothing of ours without a TPM" without_tpm 'provider .* returned no (slots|keys)|cannot read public key from pkcs11' \
    ssh-keygen -D "$MODULE"
finish
