#!/bin/sh
# What an installer does: install.sh FOLDER ROOT_JSON SERVER
#
# It puts settings, the root and a Python into FOLDER; the newest release comes from the server,
# verified like every later one. No keys, no version of the app in here.
set -eu
folder=$1 root=$2 server=$3

mkdir -p "$folder"
cp "$root" "$folder/root.json"
cat >"$folder/agent.toml" <<TOML
[app]
app = "notes"
server = "$server"

[schedule]
unsafe_speed = 60      # for trying it out, a minute takes a second: leave this out in life
TOML

# A real installer brings a Python of its own, with the agent (pip install) and Tk. This one
# borrows the environment that serinus-agent lies in.
ln -sfn "$(dirname "$(dirname "$(command -v serinus-agent)")")" "$folder/python"

serinus-agent check --config "$folder/agent.toml"
