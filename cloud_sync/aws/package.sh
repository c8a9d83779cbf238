#!/bin/sh
# The code of the Lambda functions: package.sh UV DIRECTORY. `functions` is our own Python and needs
# boto3 alone, which Lambda has; `strips` opens sealed frames and brings what that needs, for arm64.
set -eu
uv=$1
into=$2
rm -rf "$into"
for zip in functions strips; do
    mkdir -p "$into/$zip/cloud_sync/aws"
    cp cloud_sync/__init__.py "$into/$zip/cloud_sync/"
    cp cloud_sync/aws/__init__.py "$into/$zip/cloud_sync/aws/"
    cp -R cloud_sync/aws/functions "$into/$zip/cloud_sync/aws/"
done
mkdir -p "$into/strips/gateway/radio"
cp gateway/__init__.py gateway/messages.py "$into/strips/gateway/"
cp gateway/radio/__init__.py gateway/radio/frame_codec.py "$into/strips/gateway/radio/"
awk '/^[a-z]/ { wanted = /^(numpy|pycryptodome)==/ } wanted' requirements/gateway.txt \
    > "$into/strips.txt"
"$uv" pip install -q --no-config --target "$into/strips" --no-deps --only-binary :all: \
    --require-hashes --python-platform aarch64-manylinux_2_28 --python-version 3.13 \
    -r "$into/strips.txt"
find "$into" -name __pycache__ -prune -exec rm -rf {} +
