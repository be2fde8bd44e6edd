#!/usr/bin/env bash
# demo.sh: releases, a backup and its restore under load on this machine, from nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
restic=$(bash scripts/restic.sh)
export PATH=$PWD/node_modules/.bin:${restic:+$restic:}$PATH
exec node scripts/demo.ts "$@"
