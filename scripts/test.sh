#!/usr/bin/env bash
# test.sh [pattern...]: all tests, or those whose file name holds a pattern. The last line is `N passed, N failed`.
# Words that begin with - go to vitest as they are (npm test -- -t 'part of a test name').
set -uo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh || exit 1
restic=$(bash scripts/restic.sh) || exit 1
export PATH=$PWD/node_modules/.bin:${restic:+$restic:}$PATH
exec vitest run "$@"
