#!/bin/bash
# Makes a small certificate authority for tests and demonstrations. Run with --help for what it writes.
#
# The keys it writes are for tests only: they lie unencrypted next to the certificates.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: pki.sh DIR

Creates DIR (when it is missing) and in it, PEM files all valid for ten years:

  ca.pem                          the root certificate: give it to clients (curl --cacert)
  ecdsa.pem      ecdsa.key        server certificate, ECDSA P-256, signed by the root
  rsa-chain.pem  rsa-chain.key    server certificate, RSA-2048, then its two intermediates
  long-chain.pem long-chain.key   server certificate, RSA-2048, then nine intermediates
  client.pem     client.key       client certificate, ECDSA P-256, signed by the root

The server certificates name example.test, localhost, 127.0.0.1 and ::1.
A DIR that has them all already is left as it is. Exit codes: 0 done, 1 failed, 2 wrong usage.
TEXT
}

readonly DAYS=3650

fail() {
    echo "pki.sh: $*" >&2
    exit 1
}

# quiet COMMAND...: its output matters only when it fails.
quiet() {
    local output
    output=$("$@" 2>&1) || {
        printf '%s\n' "$output" >&2
        fail "this command failed: $*"
    }
}

write_config() {
    cat >"$1" <<'TEXT'
[req]
distinguished_name = name
prompt = no
[name]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[intermediate]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:example.test, DNS:localhost, IP:127.0.0.1, IP:::1
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
TEXT
}

make_key() { # KIND FILE
    case $1 in
        ec) quiet openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$2" ;;
        rsa) quiet openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$2" ;;
    esac
}

make_root() {
    make_key rsa root.key
    quiet openssl req -new -x509 -config config -extensions root -sha256 -days "$DAYS" \
        -subj "/O=turbotls-proxy test/CN=Test Root CA" -key root.key -out ca.pem
}

# certify NAME KIND SECTION SUBJECT ISSUER_CERT ISSUER_KEY: makes NAME.key and NAME.crt.
certify() {
    make_key "$2" "$1.key"
    sign "$1" "$1.key" "${@:3}"
}

# sign NAME KEY SECTION SUBJECT ISSUER_CERT ISSUER_KEY: makes NAME.crt for a key that is there.
sign() {
    quiet openssl req -new -config config -subj "$4" -key "$2" -out "$1.csr"
    quiet openssl x509 -req -sha256 -days "$DAYS" -in "$1.csr" -out "$1.crt" \
        -CA "$5" -CAkey "$6" -CAcreateserial -extfile config -extensions "$3"
}

# Every certificate of it has the same key: only its size and depth matter.
make_long_chain() {
    local number issuer=ca.pem issuer_key=root.key
    make_key rsa long-chain.key
    for number in 1 2 3 4 5 6 7 8 9; do
        sign "long-$number" long-chain.key intermediate "/O=turbotls-proxy test/CN=Test Chain CA $number" \
            "$issuer" "$issuer_key"
        issuer=long-$number.crt issuer_key=long-chain.key
    done
    sign long-chain long-chain.key server "/CN=example.test" "$issuer" "$issuer_key"
    cat long-chain.crt long-{9,8,7,6,5,4,3,2,1}.crt >long-chain.pem
    quiet openssl verify -CAfile ca.pem -purpose sslserver -untrusted long-chain.pem long-chain.pem
}

make_all() {
    write_config config
    make_root
    certify ecdsa ec server "/CN=example.test" ca.pem root.key
    certify client ec client "/CN=Test Client" ca.pem root.key
    certify upper rsa intermediate "/O=turbotls-proxy test/CN=Test Intermediate CA 1" ca.pem root.key
    certify lower rsa intermediate "/O=turbotls-proxy test/CN=Test Intermediate CA 2" upper.crt upper.key
    certify rsa-chain rsa server "/CN=example.test" lower.crt lower.key
    make_long_chain
    mv ecdsa.crt ecdsa.pem
    mv client.crt client.pem
    cat rsa-chain.crt lower.crt upper.crt >rsa-chain.pem
    quiet openssl verify -CAfile ca.pem -purpose sslserver ecdsa.pem
    quiet openssl verify -CAfile ca.pem -purpose sslserver -untrusted rsa-chain.pem rsa-chain.pem
    quiet openssl verify -CAfile ca.pem -purpose sslclient client.pem
}

readonly RESULTS=(ecdsa.pem ecdsa.key rsa-chain.pem rsa-chain.key long-chain.pem long-chain.key
    client.pem client.key ca.pem)

complete() { # DIR
    local name
    for name in "${RESULTS[@]}"; do
        [ -s "$1/$name" ] || return 1
    done
}

main() {
    case ${1-} in
        -h | --help) usage; exit 0 ;;
        '' | -*) usage >&2; exit 2 ;;
    esac
    [ $# -eq 1 ] || { usage >&2; exit 2; }
    command -v openssl >/dev/null || fail "openssl is not installed (apt-get install openssl)"
    complete "$1" && exit 0
    mkdir -p "$1"
    umask 077
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    local target
    target=$(cd "$1" && pwd)
    (cd "$work" && make_all)
    # ca.pem comes last: a run that was cut short is not taken for a complete one.
    chmod 0644 "$work"/*.pem
    for name in "${RESULTS[@]}"; do
        mv "$work/$name" "$target/$name"
    done
}

main "$@"
