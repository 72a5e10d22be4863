#!/bin/sh
# Compile a release of Counter to dist/VERSION/counter: build.sh VERSION [--broken]
set -eu
version=$1 broken=
[ "${2:-}" = --broken ] && broken=-DBROKEN
cd "$(dirname "$0")"
mkdir -p "dist/$version"
"${CC:-gcc}" -std=c11 -D_POSIX_C_SOURCE=200809L -O2 -Wall -Wextra -Werror "-DVERSION=\"$version\"" \
    $broken -o "dist/$version/counter" counter.c
