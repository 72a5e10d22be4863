#!/bin/sh
# What an agent does, with curl alone: check in, read the signed timestamp, fetch the
# artifact, report. Usage: curl-session.sh http://127.0.0.1:8080/v1/apps/notes [VERSION]
#
# Nothing is verified here: this shows the wire, not how to update safely (docs/protocol.md).
set -eu
app=$1
installed=${2:-1.0.0}
install_id=$(cat /proc/sys/kernel/random/uuid)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

field() { sed -n "s/.*\"$1\":[[:space:]]*\"\([^\"]*\)\".*/\1/p"; }

echo "1. check in as $install_id"
curl --silent --show-error --fail "$app/check-in" --json "{
    \"install_id\": \"$install_id\", \"version\": \"$installed\",
    \"channel\": \"stable\", \"platform\": \"linux-x86_64\"}" >"$folder/answer"
cat "$folder/answer"
echo
version=$(field version <"$folder/answer")
token=$(field token <"$folder/answer")
[ -n "$version" ] || { echo "nothing to update to"; exit 3; }

echo "2. the signed timestamp"
curl --silent --show-error --fail "$app/tuf/timestamp.json" >"$folder/timestamp.json"
grep -o '"version": *[0-9]*' "$folder/timestamp.json" | head -n 1

echo "3. the artifact of $version"
# The timestamp names the snapshot, the snapshot the releases role, the role the artifact.
compact() { tr -d ' \n'; }
snapshot=$(compact <"$folder/timestamp.json" | sed 's/.*"snapshot\.json":{.*},"length":[0-9]*,"version":\([0-9]*\)}.*/\1/')
curl --silent --show-error --fail "$app/tuf/$snapshot.snapshot.json" | compact >"$folder/snapshot"
role=$(sed 's/.*"releases\.stable\.linux-x86_64\.json":{"version":\([0-9]*\)}.*/\1/' "$folder/snapshot")
curl --silent --show-error --fail "$app/tuf/$role.releases.stable.linux-x86_64.json" | compact |
    grep -o "\"[^\"]*/$version/[^\"]*\.srn\":{\"hashes\":{\"sha256\":\"[0-9a-f]*\"" | head -n 1 >"$folder/file"
path=$(cut -d'"' -f2 <"$folder/file")
digest=$(rev <"$folder/file" | cut -d'"' -f2 | rev)
curl --silent --show-error --fail --output "$folder/artifact" \
    "$app/targets/$(dirname "$path")/$digest.$(basename "$path")"
echo "$digest  $folder/artifact" | sha256sum --check --quiet && echo "   $(wc -c <"$folder/artifact") bytes, digest as signed"

echo "4. report"
for phase in offered downloaded verified staged applied launched healthy; do
    curl --silent --show-error --fail "$app/events" --json "{
        \"install_id\": \"$install_id\", \"token\": \"$token\", \"events\": [{
            \"id\": \"$(cat /proc/sys/kernel/random/uuid)\", \"at\": \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\",
            \"kind\": \"update\", \"from\": \"$installed\", \"to\": \"$version\", \"phase\": \"$phase\"}]}"
    echo
done
