#!/usr/bin/env bash
# nginx as docs/openssl.md has it: its master reads the key and logs in, then forks two workers, who are all called at once; and
# curl, whose own key is in the token too and whose default engine is the token's.
# shellcheck source-path=SCRIPTDIR source=../lib.sh disable=SC2016
. "$(dirname "$0")/../lib.sh"
PATH=$PATH:/usr/sbin:/sbin
begin nginx nginx curl openssl pgrep pkcs11-tool swtpm
label=laptop
export PKCS11_MODULE_PATH=$MODULE
unset OPENSSL_CONF
version "$(nginx -v 2>&1 | sed 's/.*: //'), $(curl --version | sed -E '1!d; s/^(curl [^ ]*).*(OpenSSL[^ ]*).*/\1 (\2)/'), libp11 $(dpkg-query -W -f '${Version}' libengine-pkcs11-openssl)"

printf '%s' "$user_pin" >"$work/pin"
chmod 0600 "$work/pin"

certifies() {
    follow openssl request
    follow openssl authority
    follow openssl configuration
    printf 'a document\n' >"$work/document"
    follow openssl default-engine
    local key="pkcs11:token=$label;object=%s;type=private?pin-source=file:$work/pin"
    openssl req -new -engine pkcs11 -keyform engine -key "${key/\%s/alice}" -subj /CN=alice -out "$work/alice.csr"
    openssl x509 -req -in "$work/alice.csr" -days 30 -engine pkcs11 -CA "$work/authority.crt" -CAkeyform engine \
        -CAkey "${key/\%s/authority}" -CAcreateserial -out "$work/alice.crt"
}

# start_nginx NAME CONFIGURATION: a master with two workers, on a free port, with OpenSSL configured by the file.
start_nginx() {
    local tries=4 lines
    server=$1
    configuration=$2
    lines=$(page openssl nginx)
    while [ "$tries" -gt 0 ]; do
        tries=$((tries - 1))
        port=$(free_port)
        mkdir -p "$work/$server.logs"
        {
            [ "$(id -u)" != 0 ] || printf 'user root root;\n'
            cat <<CONFIG
daemon off;
worker_processes 2;
pid $work/$server.pid;
error_log $work/$server.logs/error.log notice;
env PKCS11_MODULE_PATH;
env HIERARKEY_CONF;
env HIERARKEY_STORE;
env HIERARKEY_TCTI;
events { worker_connections 64; accept_mutex off; }
http {
    log_format who '\$pid \$status \$ssl_protocol \$ssl_client_s_dn';
    access_log $work/$server.logs/access.log who;
    client_body_temp_path $work/$server.body; proxy_temp_path $work/$server.proxy; fastcgi_temp_path $work/$server.fastcgi;
    uwsgi_temp_path $work/$server.uwsgi; scgi_temp_path $work/$server.scgi;
    ssl_session_cache off; ssl_session_tickets off; ssl_client_certificate $work/authority.crt; ssl_verify_client optional;
    ssl_protocols TLSv1.2 TLSv1.3;
    ${lines//\$folder/$work}
    server { listen 127.0.0.1:$port ssl reuseport; server_name localhost; location / { return 200 "served\n"; } }
}
CONFIG
        } >"$work/$server.conf"
        OPENSSL_CONF=$work/$configuration nginx -p "$work" -e "$work/$server.logs/error.log" -c "$work/$server.conf" >"$work/$server.log" 2>&1 </dev/null &
        master=$!
        started+=("$master")
        within 10 eval 'listening "$port" || ! kill -0 "$master"'
        if listening "$port"; then return 0; fi
        stop "$master"
    done
}
serves() {
    cat "$work/$server.log" "$work/$server.logs/error.log"
    says '^served$' fetch
}
fetch() { curl --silent --show-error --cacert "$work/authority.crt" --resolve "localhost:$port:127.0.0.1" "$@" "https://localhost:$port/"; }
# Sixty handshakes, ten at a time, each of a process of its own, so that none takes up an earlier one's session.
serves_many() {
    export -f fetch
    export work port
    : >"$work/$server.logs/access.log"
    seq 60 | xargs -P 10 -I {} bash -c 'fetch "$@"' sh "$@" >"$work/fetched" 2>&1 || { sort "$work/fetched" | uniq -c; cat "$work/$server.logs/error.log"; return 1; }
    [ "$(grep -c '^served$' "$work/fetched")" = 60 ]
    within 5 sh -c '[ "$(wc -l <"$1")" = 60 ]' sh "$work/$server.logs/access.log"
    cut -d' ' -f1-3 "$work/$server.logs/access.log" | sort | uniq -c
    # Both of the forked workers signed.
    [ "$(cut -d' ' -f1 "$work/$server.logs/access.log" | sort -u | wc -l)" = 2 ]
    ! grep -E '\[(error|alert|crit|emerg)\]' "$work/$server.logs/error.log"
}
# New workers of the same master: what `nginx -s reload` does, with the key read once more.
serves_after_a_reload() {
    local old
    old=$(pgrep -P "$master" | sort | tr '\n' ' ')
    kill -HUP "$master"
    within 20 sh -c 'new=$(pgrep -P "$1" | sort | tr "\n" " "); [ -n "$new" ] && for pid in $2; do case " $new " in *" $pid "*) exit 1 ;; esac; done' sh "$master" "$old"
    serves_many --tls-max 1.2
}
curl_has_a_key() {
    : >"$work/$server.logs/access.log"
    (export port; says '^served$' follow openssl curl)
    within 5 grep -q 'CN=alice' "$work/$server.logs/access.log"
    cat "$work/$server.logs/access.log"
}
curl_in_parallel() {
    : >"$work/$server.logs/access.log"
    export -f page follow
    export work port rig user_pin MODULE
    seq 12 | xargs -P 4 -I {} bash -c 'follow openssl curl' >"$work/fetched" 2>&1 || { cat "$work/fetched"; return 1; }
    [ "$(grep -c '^served$' "$work/fetched")" = 12 ]
    within 5 sh -c '[ "$(grep -c CN=alice "$1")" = 12 ]' sh "$work/$server.logs/access.log"
}
ends_quietly() {
    kill -QUIT "$master"
    within 10 sh -c '! kill -0 "$1"' sh "$master"
    ! grep -E 'signal 11|core dumped|exited on signal' "$work/$server.logs/error.log"
}
# Without a TPM nginx says why it does not start, in its own words and the engine's.
silent_without_a_tpm() {
    without_tpm '^(nginx: .*|No (matching )?(tokens?|slots?|key).*|PKCS#11 token not found|The private key was not found.*|PKCS11_get_private_key returned NULL|Specified object not found|Failed to .*|Format not recognized!|.*private key.*|Unable to enumerate.*|)$' \
        env OPENSSL_CONF="$work/$configuration" nginx -p "$work" -e "$work/$server.logs/error2.log" -c "$work/$server.conf" -t
}

curl_is_silent_without_a_tpm() {
    export port
    without_tpm '^(curl: .*|No matching initialized token was found for private key|The private key was not found.*|PKCS11_get_private_key returned NULL|)$' follow openssl curl
}

check "makes a token" make_token
check "makes the page's keys" follow openssl keys
check "certifies the server and a client" certifies
start_nginx web engine.cnf
check "nginx serves with the P-256 key" serves
check "its two forked workers serve sixty handshakes at once, TLS 1.3" serves_many --tlsv1.3
check "its two forked workers serve sixty handshakes at once, TLS 1.2" serves_many --tls-max 1.2
check "its workers are replaced while it serves" serves_after_a_reload
check "curl shows a certificate whose key is in the token" curl_has_a_key
check "four such curls at once" curl_in_parallel
check "nginx ends without a crash" ends_quietly
start_nginx default default.cnf
check "nginx serves where the engine is the process's default" serves_many --tlsv1.3
check "and ends without a crash" ends_quietly
check "nginx says nothing of ours without a TPM" silent_without_a_tpm
check "curl says nothing of ours without a TPM" curl_is_silent_without_a_tpm
finish
