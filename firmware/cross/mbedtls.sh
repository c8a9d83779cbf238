#!/bin/sh
# Fetches Debian's source of Mbed TLS into a directory, over the machine's own mirror and keys.
# Usage: mbedtls.sh DIRECTORY
set -eu
directory=$1
mkdir -p "$directory/apt/lists/partial" "$directory/apt/none"
mirror=$(apt-cache policy | sed -n 's|^ *[0-9]* \(http[^ ]*\) bookworm/main .*|\1|p' | head -n 1)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb-src [signed-by=$keyring] $mirror bookworm main" > "$directory/apt/sources.list"
set -- -o Dir::Etc::sourcelist="$(realpath "$directory/apt/sources.list")" \
    -o Dir::Etc::sourceparts="$(realpath "$directory/apt/none")" \
    -o Dir::State::lists="$(realpath "$directory/apt/lists")"
apt-get -qq "$@" update
cd "$directory"
apt-get -qq "$@" --download-only source mbedtls
tar xf mbedtls_*.orig.tar.gz --strip-components=1
touch fetched
