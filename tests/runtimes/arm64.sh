#!/bin/bash
# Unpacks Debian's arm64 Python and the gateway's locked libraries for qemu-user to run in place.
# Nothing is installed or run, so it needs neither root nor binfmt_misc.
# Usage: arm64.sh UV FOLDER
set -euo pipefail
uv=$1 folder=$2

rm -rf "$folder"
mkdir -p "$folder/root"
mmdebstrap --variant=extract --architectures=arm64 --skip=check/qemu \
    --include=python3.11,libstdc++6 bookworm - | tar -x -C "$folder/root" --exclude=./dev
# The runtime reads /proc/cpuinfo and crashes on that of an x86.
install -D -m 644 tests/runtimes/raspberry_pi_4.cpuinfo "$folder/root/proc/cpuinfo"
"$uv" pip install --no-config --target "$folder/site-packages" --no-deps --only-binary :all: \
    --require-hashes --python-platform aarch64-manylinux_2_36 --python-version 3.11 \
    -r requirements/gateway.txt
