#!/usr/bin/env bash
# restic.sh: a restic for the tests, on a Debian machine whose own is missing or too old. One program, unpacked from a signed package of a
# newer suite into a folder of our own; nothing is installed. Prints the folder that belongs on PATH, or nothing where PATH has one that is
# new enough. To undo: delete the folder.
set -euo pipefail
prefix=${COMPOSURE_RESTIC_PREFIX:-/opt/composure-restic}
suites=${COMPOSURE_ENGINE_SUITES:-sid forky}
least=0.18.0

is_enough() { # program
  local version
  version=$("$1" version 2>/dev/null | sed -nE 's/^restic ([0-9.]+).*/\1/p')
  [ -n "$version" ] && [ "$(printf '%s\n' "$least" "$version" | sort -V | head -n 1)" = "$least" ]
}
die() {
  printf 'restic: %s\n' "$*" >&2
  exit 1
}

if is_enough restic; then exit 0; fi
if ! is_enough "$prefix/restic"; then
  { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } || die "install restic $least or newer: https://restic.net"
  mkdir -p "$prefix"
  exec 9>"$prefix/lock"
  flock 9 # two at once: the second finds the work done
  if ! is_enough "$prefix/restic"; then
    work=$(mktemp -d "$prefix/work.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work/lists/partial"
    # shellcheck disable=SC1091 # exists on every Debian
    own=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
    uri=$({
      sed -nE "s/^deb +(\[[^]]*\] +)?([^ ]+) +$own +.*/\2/p" /etc/apt/sources.list /etc/apt/sources.list.d/*.list
      sed -nE 's/^URIs: *([^ ]+).*/\1/p' /etc/apt/sources.list.d/*.sources
    } 2>/dev/null | head -n 1 || true)
    apt=(-qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null
      -o "Dir::State::Lists=$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Acquire::Languages=none -o APT::Sandbox::User=root)
    for suite in $suites; do
      printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$uri" "$suite" >"$work/sources.list"
      if apt-get "${apt[@]}" update >&2 && (cd "$work" && apt-get "${apt[@]}" download "restic/$suite" >&2); then
        dpkg-deb -x "$work"/restic_*.deb "$work/root"
        if is_enough "$work/root/usr/bin/restic"; then
          mv "$work/root/usr/bin/restic" "$prefix/restic"
          break
        fi
        rm -rf "$work/root" "$work"/*.deb
      fi
    done
    is_enough "$prefix/restic" || die "none of the suites '$suites' has restic >= $least here"
  fi
fi
echo "$prefix"
