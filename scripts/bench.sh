#!/usr/bin/env bash
# bench.sh NAME [--json FILE]: runs the measurement bench/NAME.ts.
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:-}
if [ -z "$name" ] || [ ! -e "bench/$name.ts" ]; then
  echo "usage: npm run bench -- NAME [--json FILE]" >&2
  echo "measurements: $(find bench -maxdepth 1 -name '*.ts' ! -name '*.test.ts' -exec basename {} .ts \; | sort | paste -sd' ')" >&2
  exit 2
fi
shift
bash scripts/setup.sh
restic=
if [ "$name" = backup ]; then restic=$(bash scripts/restic.sh); fi
export PATH=$PWD/node_modules/.bin:${restic:+$restic:}$PATH
exec node "bench/$name.ts" "$@"
