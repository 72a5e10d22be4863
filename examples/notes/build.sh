#!/bin/sh
# Make a release of Notes in dist/VERSION: build.sh VERSION ROOT_JSON SERVER [--broken]
set -eu
version=$1 root=$(readlink -f "$2") server=$3 broken=${4:-}
cd "$(dirname "$0")"
source=$version
[ -d "$source" ] || source=1.1.0

rm -rf "dist/$version"
mkdir -p "dist/$version"
cp notes "$source/notes.py" "dist/$version/"
chmod +x "dist/$version/notes"

# The root is compiled in, as is all that decides whom to trust.
python3 - "$version" "$server" "$root" >"dist/$version/built_in.py" <<'PYTHON'
import pathlib, sys
version, server, root = sys.argv[1:]
print(f"VERSION = {version!r}\nSERVER = {server!r}\nROOT_JSON = {pathlib.Path(root).read_bytes()!r}")
PYTHON
if [ "$broken" = --broken ]; then
    echo 'raise SystemExit("broken on purpose")' >>"dist/$version/built_in.py"
fi
