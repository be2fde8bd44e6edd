#!/usr/bin/env bash
# check.sh: format, lint with the walls between rooms, types, generated docs. Needs no Docker Engine.
set -uo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh --packages || exit 1
export PATH=$PWD/node_modules/.bin:$PATH

failed=()
step() { # name, command...
  local name=$1
  shift
  if ! "$@"; then failed+=("$name"); fi
}
step 'format and lint' biome check --diagnostic-level=warn --error-on-warnings --max-diagnostics=50
step types tsc
if [ -e scripts/docs.ts ]; then step 'generated docs' node scripts/docs.ts --check; fi
if command -v shellcheck >/dev/null; then step 'shell scripts' shellcheck scripts/*.sh images/entrypoints/* .ci/run; fi

if [ ${#failed[@]} -gt 0 ]; then
  printf 'check: failed: %s\n' "$(printf '%s, ' "${failed[@]}" | sed 's/, $//')" >&2
  exit 1
fi
echo 'check: all good'
