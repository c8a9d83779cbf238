#!/bin/sh
# A clean Debian with systemd as PID 1, for `make test-deb`. Needs root; arm64 runs under qemu-user.
# Usage: root.sh SUITE ARCHITECTURE FOLDER
set -eu
suite=$1 architecture=$2 folder=$3

if [ "$architecture" = arm64 ] && [ "$(dpkg --print-architecture)" != arm64 ]; then
    binfmt=/proc/sys/fs/binfmt_misc
    [ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt
    [ -e $binfmt/qemu-aarch64 ] || cat /usr/lib/binfmt.d/qemu-aarch64.conf >$binfmt/register
fi
rm -rf "$folder" "$folder.new"
mkdir -p "$(dirname "$folder")"
mmdebstrap --quiet --mode=root --variant=minbase --architectures="$architecture" \
    --include=systemd-sysv,dbus --aptopt='Acquire::Languages "none"' \
    --aptopt='APT::Install-Recommends "false"' --dpkgopt='force-unsafe-io' \
    "$suite" "$folder.new" \
    "deb http://deb.debian.org/debian $suite main" \
    "deb http://deb.debian.org/debian $suite-updates main" \
    "deb http://deb.debian.org/debian-security $suite-security main"
mv "$folder.new" "$folder"
