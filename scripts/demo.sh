#!/usr/bin/env bash
# demo.sh: one release under load on this machine, from nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
export PATH=$PWD/node_modules/.bin:$PATH
exec node scripts/demo.ts "$@"
