#!/bin/sh
# A clean Debian with systemd as PID 1, for `make test-deb`. Needs root; arm64 runs under qemu-user.
# FOLDER/root is the Debian; FOLDER/radio holds what the gateway needs to reach a virtual sensor.
# Usage: root.sh UV SUITE ARCHITECTURE FOLDER
set -eu
uv=$1 suite=$2 architecture=$3 folder=$4

case $suite in bookworm) python=3.11 ;; trixie) python=3.13 ;; esac
case $architecture in amd64) machine=x86_64 ;; arm64) machine=aarch64 ;; esac

rm -rf "$folder"
mkdir -p "$folder"

# Debian 13's emulator on either: under Debian 12's, systemd 257 can't start any service. The kernel
# keeps it open, and asks first the one that was registered last.
register_emulator() {
    mmdebstrap --quiet --mode=root --variant=extract --include=qemu-user \
        trixie "$folder/emulator" "deb http://deb.debian.org/debian trixie main"
    emulator=$(realpath "$folder/emulator/usr/bin/qemu-aarch64")
    sed "s#^:[^:]*:\(.*\):[^:]*:\([A-Z]*\)\$#:ecg-gateway-arm64:\1:$emulator:\2#" \
        /usr/lib/binfmt.d/qemu-aarch64.conf >$binfmt/register
    rm -r "$folder/emulator"
}
if [ "$architecture" = arm64 ] && [ "$(dpkg --print-architecture)" != arm64 ]; then
    binfmt=/proc/sys/fs/binfmt_misc
    [ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt
    [ -e $binfmt/ecg-gateway-arm64 ] || register_emulator
fi

sed -n '/^\(bumble\|cffi\|cryptography\|pycparser\|pyee\)==/,/via/p' requirements/demo.txt \
    >"$folder/radio.txt"
"$uv" pip install -q --no-config --target "$folder/radio" --no-deps --only-binary :all: \
    --require-hashes --python-platform "$machine-manylinux_2_36" --python-version "$python" \
    -r "$folder/radio.txt"

mmdebstrap --quiet --mode=root --variant=minbase --architectures="$architecture" \
    --include=systemd-sysv,dbus --aptopt='Acquire::Languages "none"' \
    --aptopt='APT::Install-Recommends "false"' --dpkgopt='force-unsafe-io' \
    "$suite" "$folder/root" \
    "deb http://deb.debian.org/debian $suite main" \
    "deb http://deb.debian.org/debian $suite-updates main" \
    "deb http://deb.debian.org/debian-security $suite-security main"
