#!/bin/sh
# Takes out of a tree of wheels what the gateway never opens, about a third of it.
# Usage: trim.sh FOLDER
set -eu
cd "$1"

# Commands, and what only an installer reads.
rm -rf bin tqdm/completion.sh sockshandler.py ./*.pth ./*.dist-info/RECORD ./*.dist-info/INSTALLER ./*.dist-info/REQUESTED
rm -rf setuptools setuptools-*.dist-info _distutils_hack
# LiteRT for other chips, and its converter.
rm -rf ai_edge_litert/vendors ai_edge_litert/tools ai_edge_litert/libLiteRtWebGpuAccelerator.so
# Tests, C headers and type stubs.
find . -type d -name tests -prune -exec rm -r {} +
find . -type d -name SelfTest -prune -exec rm -r {} +
rm -rf numpy/f2py numpy/_core/include numpy/_core/lib
find . -name '*.pyi' -delete
