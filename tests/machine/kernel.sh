#!/bin/sh
# Debian's user-mode kernel, and the Bluetooth modules that it lacks, built from its own source.
# Nothing is installed. Usage: kernel.sh FOLDER
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

apt-get -q download user-mode-linux
dpkg -x user-mode-linux_*.deb kernel
version=$(ls kernel/usr/lib/uml/modules)
modules=$folder/lib/modules/$version
rm -rf "$folder/lib"
mkdir -p "$folder/lib/modules"
cp -r "kernel/usr/lib/uml/modules/$version" "$modules"
cp kernel/usr/bin/linux.uml "$folder/linux"

# The source of exactly that kernel: its modules know each other by that version alone.
apt-get -q download "linux-source-${version%.*}=$version-*"
mkdir source
dpkg-deb --fsys-tarfile linux-source-*.deb |
    tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
    tar -xJ -C source --strip-components=1 --exclude='*/Documentation/*'
cd source
mkdir -p Documentation
touch Documentation/Kconfig
zcat ../kernel/usr/share/doc/user-mode-linux/config.gz >.config
cat "$here/bluetooth.config" >>.config
make -s ARCH=um LOCALVERSION= olddefconfig
make -s ARCH=um LOCALVERSION= modules_prepare
for part in net/bluetooth drivers/bluetooth; do
    # Without the kernel's list of symbols: what is missing would show when the module is loaded.
    make -s ARCH=um LOCALVERSION= KBUILD_MODPOST_WARN=1 M=$part modules 2>modpost.log ||
        { cat modpost.log >&2; exit 1; }
    find $part -name '*.ko' -exec cp {} "$modules/kernel/" \;
done
depmod -b "$folder" "$version"
