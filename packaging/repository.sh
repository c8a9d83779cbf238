#!/bin/sh
# Puts packages into a signed apt repository, made where there is none yet.
# Signs with the key APT_SIGNING_KEY of the caller's keyring, or with one of its own in FOLDER.keys.
# Usage: repository.sh FOLDER PACKAGE.deb…
set -eu
folder=$1
shift

mkdir -p "$folder/conf"
if [ -z "${APT_SIGNING_KEY:-}" ]; then
    GNUPGHOME=$(realpath -m "$folder.keys")
    export GNUPGHOME
    mkdir -p -m 700 "$GNUPGHOME"
    APT_SIGNING_KEY="ECG gateway packages <packages@ecg-gateway.example>"
    gpg --batch --list-secret-keys "$APT_SIGNING_KEY" >/dev/null 2>&1 ||
        gpg --quiet --batch --passphrase '' --quick-generate-key "$APT_SIGNING_KEY" ed25519 sign never
fi
fingerprint=$(gpg --batch --with-colons --list-keys "$APT_SIGNING_KEY" |
    awk -F: '$1 == "fpr" { print $10; exit }')

: >"$folder/conf/distributions"
for suite in bookworm trixie; do
    cat >>"$folder/conf/distributions" <<EOF
Origin: ECG gateway
Label: ECG gateway
Codename: $suite
Architectures: amd64 arm64
Components: main
SignWith: $fingerprint

EOF
done
gpg --batch --export "$fingerprint" >"$folder/ecg-gateway.gpg"

for package in "$@"; do
    case $package in
        *~deb12u*) suite=bookworm ;;
        *~deb13u*) suite=trixie ;;
        *) echo "repository.sh: $package names no suite" >&2; exit 2 ;;
    esac
    reprepro --silent --basedir "$folder" includedeb "$suite" "$package"
done
if [ -n "${GNUPGHOME:-}" ]; then gpgconf --kill gpg-agent; fi
