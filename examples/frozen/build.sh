#!/bin/sh
# Freeze Pulse: build.sh VERSION ROOT_JSON SERVER [--broken]
#
# dist/VERSION  the app, to publish          dist/launcher  what goes into an install's folder
# AGENT         what pip installs to have the agent; else the project around this folder
set -eu
cd "$(dirname "$0")"
version=$1 root=$2 server=$3 broken=False
[ "${4:-}" = --broken ] && broken=True

# Freezing takes along what is installed: so from an environment that holds the agent, and no more.
if [ ! -x build/venv/bin/pyinstaller ]; then
    "${PYTHON:-python3}" -m venv --clear build/venv
    build/venv/bin/pip install --quiet --disable-pip-version-check "${AGENT:-../..}" 'pyinstaller>=6.10'
fi

# The root is compiled in: a file beside the program could be exchanged.
build/venv/bin/python - "$version" "$root" "$server" "$broken" >build/built_in.py <<'PYTHON'
import pathlib, sys
version, root, server, broken = sys.argv[1:]
print(f"VERSION = {version!r}\nSERVER = {server!r}\nBROKEN = {broken}")
print(f"ROOT_JSON = {pathlib.Path(root).read_bytes()!r}")
PYTHON

build/venv/bin/pyinstaller --noconfirm --log-level ERROR --distpath build/frozen pulse.spec
rm -rf "dist/$version" dist/launcher
mkdir -p dist
mv build/frozen/pulse "dist/$version"
mv build/frozen/launcher dist/launcher
