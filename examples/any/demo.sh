#!/bin/sh
# Shows programs that know nothing of norestart: start, log in, reload, and what
# comes of a primary that is killed. usage: demo.sh DIR (where make build put
# norestart). It needs curl, ssh, and python3 or node.
set -eu
PATH=$(cd "$1" && pwd):$PATH
cd "$(dirname "$0")"
dir=$(mktemp -d)
trap 'norestart ctl --dir "$dir/state" stop --yes >/dev/null 2>&1 || true; rm -rf "$dir"' EXIT
show() { printf '\n$ %s\n' "$*"; "$@"; }

# What this machine has, on free ports.
cp server.py server.js "$dir"
for language in python node; do
	case $language in python) command -v python3 ;; *) command -v $language ;; esac >/dev/null || missing="${missing:-}$language "
done
[ "${missing:-}" != "python node " ] || { echo "demo: neither python3 nor node is here" >&2; exit 1; }
awk -v missing="${missing:-}" '/^\[/ { out = 0; n = split(missing, m, " "); for (i = 1; i <= n; i++) if ($0 == "[pool." m[i] "]") out = 1 } !out' norestart.toml |
	sed 's/:[0-9][0-9]*"/:0"/' >"$dir/norestart.toml"
cd "$dir"
ssh-keygen -q -t ed25519 -N '' -C demo -f key
norestart user add admin --role admin --no-password --key key.pub --dir state
start() { show norestart up --detach --dir state; }
status() { norestart ctl --dir state status --json | tr ',{}[]' '\n\n\n\n\n' | sed -n "$1"; }
visit() { for address in $addresses; do show curl -s "http://$address"; done; }

start
admin=$(status 's/^"admin":"\(.*\)"$/\1/p')
addresses=$(status 's,^"tcp://\(.*\)"$,\1,p' | grep -vx "$admin")
printf '[%s]:%s %s\n' "${admin%:*}" "${admin#*:}" "$(cat state/host_key.pub)" >known_hosts
login() { show ssh -F none -i key -o BatchMode=yes -o UserKnownHostsFile=known_hosts -p "${admin#*:}" admin@127.0.0.1 "$@"; }
visit
login reload
login worker list
primary=$(status 's/^"pid":\([0-9]*\)$/\1/p' | head -n 1)
show kill -9 "$primary"
echo "# nobody is in charge now, and all of them serve:"
visit
start
visit
login status
show norestart ctl --dir state stop --yes
