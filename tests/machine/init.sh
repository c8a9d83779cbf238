#!/bin/bash
# Process 1 of the user-mode machine, whose root is the host's, read only. Mounts what a system
# needs, then obeys the lines that the harness types. PROJECT, SHARED and CARD come from the
# kernel's command line.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/run
stty -echo -onlcr
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm
for folder in /dev/shm /run /var/lib; do
    mount -t tmpfs tmpfs $folder
done
mkdir -p /run/dbus /run/card /var/lib/dbus /var/lib/bluetooth /var/lib/ecg-gateway
mount -t hostfs -o "$SHARED" hostfs "$SHARED"
mount -t hostfs -o "$CARD" hostfs /run/card
ip link set lo up
cd "$PROJECT" || exit 1
echo "@@ booted"
while IFS= read -r command; do
    eval "$command"
done
