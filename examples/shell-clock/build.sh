#!/bin/sh
# Make a release of Clock in dist/VERSION/clock: build.sh VERSION [--broken]
set -eu
version=$1
cd "$(dirname "$0")"
mkdir -p "dist/$version"
sed "s/^version=.*/version=$version/" clock >"dist/$version/clock"
if [ "${2:-}" = --broken ]; then
    sed -i '2i exit 1' "dist/$version/clock"
fi
chmod +x "dist/$version/clock"
