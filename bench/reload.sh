#!/usr/bin/env bash
# Reloads norestart, nginx, HAProxy and PM2 under the same load, in one run, and
# prints a table. What is missing is installed where that can be done: nginx,
# HAProxy and wrk as Debian packages, PM2 with npm into a directory of its own.
# What cannot be is left out, and the table says so.
#
#   bench/reload.sh [-short]
set -euo pipefail
cd "$(dirname "$0")/.."

ours=() # what this script made and removes
trap 'rm -rf "${ours[@]}"' EXIT

missing=()
command -v nginx >/dev/null || missing+=(nginx-light)
command -v haproxy >/dev/null || missing+=(haproxy)
command -v wrk >/dev/null || missing+=(wrk)
if [ ${#missing[@]} -gt 0 ] && command -v apt-get >/dev/null; then
  # Debian starts what it installs; policy-rc.d is its way to say no.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ] && printf '#!/bin/sh\nexit 101\n' 2>/dev/null >$policy; then
    ours+=($policy)
    chmod +x $policy
  fi
  apt-get install -y --no-install-recommends "${missing[@]}" >&2 || echo "not installed: ${missing[*]}" >&2
fi

if ! command -v pm2 >/dev/null && command -v npm >/dev/null; then
  tools=$(mktemp -d)
  ours+=("$tools")
  npm install --silent --no-audit --no-fund --prefix "$tools" pm2 >&2 || echo "not installed: pm2" >&2
  PATH=$tools/node_modules/.bin:$PATH
fi

go run ./internal/bench -only neighbours "$@"
