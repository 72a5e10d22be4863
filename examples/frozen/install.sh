#!/bin/sh
# What an installer does: install.sh FOLDER ROOT_JSON SERVER. Run build.sh before.
#
# It puts the frozen launcher and settings into FOLDER; the newest release comes from the server,
# fetched and verified by the agent that is frozen into the app.
set -eu
folder=$1 root=$2 server=$3

mkdir -p "$folder"
cp "$root" "$folder/root.json"
cat >"$folder/agent.toml" <<TOML
[app]
app = "pulse"
server = "$server"

[schedule]
unsafe_speed = 60      # for trying it out, a minute takes a second: leave this out in life
TOML

cd "$(dirname "$0")/dist"
cp -R launcher/. "$folder/"
newest=$(ls -d [0-9]* | sort -V | tail -n 1)
"$newest/pulse" --agent check --config "$folder/agent.toml"
