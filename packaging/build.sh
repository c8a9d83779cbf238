#!/bin/sh
# Builds the Debian package of one suite and architecture. Only the wheels of the lock file come
# from the network, each held to its hash; nothing of ours is compiled, so no emulation is needed.
# Usage: build.sh UV bookworm|trixie amd64|arm64 FOLDER    (prints where the .deb lies)
set -eu
uv=$1 suite=$2 architecture=$3 folder=$4

case $suite in
    bookworm) suffix='~deb12u1' python=3.11 next_python=3.12 ;;
    trixie) suffix='~deb13u1' python=3.13 next_python=3.14 ;;
    *) echo "build.sh: $suite is not a suite that we serve" >&2; exit 2 ;;
esac
case $architecture in
    amd64) machine=x86_64 ;;
    arm64) machine=aarch64 ;;
    *) echo "build.sh: $architecture is not an architecture that we serve" >&2; exit 2 ;;
esac

work=$folder/work-$suite-$architecture source=$folder/work-$suite-$architecture/source
rm -rf "$work"
mkdir -p "$source"
cp -r gateway cloud_sync "$source"
rm -r "$source/cloud_sync/aws"  # what runs in the cloud
find "$source" -name __pycache__ -prune -exec rm -r {} +
mkdir "$source/packaging"
cp packaging/gateway.toml packaging/cloud-sync.toml "$source/packaging"
cp -r packaging/debian "$source/debian"
sed -i "1s/^\(ecg-gateway ([^)]*\)) [a-z]*;/\1$suffix) $suite;/" "$source/debian/changelog"

"$uv" pip install -q --no-config --target "$source/private" --no-deps --only-binary :all: \
    --require-hashes --python-platform "$machine-manylinux_2_36" --python-version "$python" \
    -r requirements/gateway.txt
packaging/trim.sh "$source/private"

cd "$source"
umask 022  # the package's modes are not those of whoever builds it
PYTHON_VERSION=$python NEXT_PYTHON_VERSION=$next_python \
    dpkg-buildpackage -b -us -uc -d -a"$architecture" >"../build.log" 2>&1 ||
    { tail -n 30 ../build.log >&2; exit 1; }
lintian --fail-on error,warning --allow-root --suppress-tags initial-upload-closes-no-bugs \
    ../ecg-gateway_*.changes >&2
cd - >/dev/null
package=$(basename "$work"/ecg-gateway_*"${suffix}_$architecture.deb")
mv "$work/$package" "$folder"
rm -rf "$source"
echo "$folder/$package"
