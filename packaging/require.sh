#!/bin/sh
# Makes sure that Debian packages are there: installs them where it may, names the command where not.
# Usage: require.sh PACKAGE…
set -eu

is_there() {
    case $1 in
        python3-venv) "${PYTHON:-python3}" -c 'import ensurepip, venv' ;;
        bluez) test -x /usr/libexec/bluetooth/bluetoothd ;;
        chromium-driver) command -v chromedriver ;;
        dbus) command -v dbus-daemon ;;
        libc6-dev) test -e /usr/include/stdio.h ;;
        libclang-rt-*) test -n "$(find /usr/lib/llvm-* -name 'libclang_rt.fuzzer-*' 2>/dev/null)" ;;
        libcmocka-dev) test -e /usr/include/cmocka.h ;;
        libmbedtls-dev) test -e /usr/include/psa/crypto.h ;;
        e2fsprogs) PATH=$PATH:/usr/sbin command -v mkfs.ext4 ;;
        kmod) PATH=$PATH:/usr/sbin command -v depmod ;;
        xz-utils) command -v xz ;;
        gcc-xtensa-lx106) command -v xtensa-lx106-elf-gcc ;;
        qemu-system-misc) command -v qemu-system-xtensa ;;
        qemu-user) command -v qemu-aarch64 ;;
        debhelper) command -v dh ;;
        gnupg) command -v gpg ;;
        qemu-user-static) command -v qemu-aarch64-static ;;
        systemd-container) command -v systemd-nspawn ;;
        mosquitto) PATH=$PATH:/usr/sbin command -v mosquitto ;;
        gcc-*) command -v "${1#gcc-}-gcc" ;;
        *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

missing=
for package in "$@"; do
    is_there "$package" || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root="sudo"
else
    echo "Missing system packages. Install them with:" >&2
    echo "    sudo apt-get update && sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "Installing system packages:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get -q update
# shellcheck disable=SC2086  # a list of words
$as_root apt-get -q install -y --no-install-recommends $missing
