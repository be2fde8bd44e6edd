#!/usr/bin/env bash
# setup.sh [--packages]: brings this checkout to where it can run: npm packages (Node 24 is one of them), a Docker Engine, images.
# Safe to repeat, and quick when nothing is to do. --packages stops after the npm packages: all that `npm run check` needs.
set -euo pipefail
cd "$(dirname "$0")/.."
stamps=node_modules/.setup

lock_hash() { sha256sum package-lock.json | cut -d' ' -f1; }

# Does node_modules hold exactly what the lock names? True after someone's own npm install, whose stamp is missing.
matches_lock() {
  [ -s node_modules/.package-lock.json ] && node - <<'JS'
const { readFileSync } = require('node:fs');
const wanted = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages;
const present = JSON.parse(readFileSync('node_modules/.package-lock.json', 'utf8')).packages;
const same = Object.entries(wanted).every(([path, entry]) => path === '' || (present[path] ? present[path].version === entry.version : entry.optional));
process.exit(same && Object.keys(present).every((path) => wanted[path]) ? 0 : 1);
JS
}

packages() {
  if [ -x node_modules/.bin/node ] && [ "$(cat "$stamps/lock" 2>/dev/null)" = "$(lock_hash)" ]; then return; fi
  command -v npm >/dev/null || { echo 'setup: npm is missing: install Node.js 18 or newer with npm (https://nodejs.org)' >&2; exit 1; }
  exec 8<package-lock.json
  flock 8 # two at once: the second waits
  if ! { [ -x node_modules/.bin/node ] && matches_lock; }; then
    echo 'setup: installing npm packages' >&2
    # Without node_modules/.bin, which npm is about to replace.
    PATH=$(printf %s "$PATH" | tr ':' '\n' | grep -v "^$PWD/node_modules/" | paste -sd:) npm ci --no-audit --no-fund --loglevel=error >&2
  fi
  mkdir -p "$stamps"
  lock_hash >"$stamps/lock"
  exec 8>&-
  case $(node_modules/.bin/node --version 2>/dev/null) in
    v24.*) ;;
    *) echo "setup: the npm package 'node' did not bring Node 24: was its install script refused? Try: npm rebuild node" >&2; exit 1 ;;
  esac
}

packages
if [ "${1:-}" = --packages ]; then exit 0; fi
PATH=$PWD/node_modules/.bin:$PATH
export PATH
bash scripts/engine.sh up
bash scripts/images.sh
