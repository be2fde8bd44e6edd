#!/usr/bin/env bash
# engine.sh up | down | status | env | install
# A Docker Engine with Compose v2 and buildx for the tests, on a Debian machine that has none. A machine with Docker keeps its own:
# `up` then changes nothing and `down` stops nothing. Ours is unpacked from signed Debian packages into one private folder; no package is
# installed, no apt source is added, libc stays as it is. To undo everything: engine.sh down, then remove the prefix and the data folder.
set -euo pipefail
prefix=${COMPOSURE_ENGINE_PREFIX:-/opt/composure-engine} # programs
state=${COMPOSURE_ENGINE_STATE:-/run/composure-engine}   # pid file, log, exec-root
data=${COMPOSURE_ENGINE_DATA:-/var/lib/docker}           # images and volumes; not on overlayfs
socket=${COMPOSURE_ENGINE_SOCKET:-/var/run/docker.sock}
suites=${COMPOSURE_ENGINE_SUITES:-sid forky} # tried in this order
least=28                                     # Docker Engine
mirror=http://127.0.0.1:5000                 # where images.sh serves stand-ins; a mirror that is not there costs nothing

# From the chosen suite: these need only an old libc.
engine_packages=(docker.io docker-cli containerd docker-buildx docker-compose tini-static)
# From the machine's own release: newer ones want a newer libc.
host_packages=(runc iptables libip4tc2 libip6tc2 libxtables12 libmnl0 libnftnl11 libnfnetlink0 libnetfilter-conntrack3)

log() { printf 'engine: %s\n' "$*" >&2; }
die() {
  log "$*"
  exit 1
}

client() { if [ -x "$prefix/bin/docker" ]; then echo "$prefix/bin/docker"; else command -v docker; fi; }

# The private socket when one was asked for; else whatever the machine's docker command talks to.
server_version() {
  local docker host=()
  docker=$(client) || return 1
  [ "$socket" = /var/run/docker.sock ] || host=(-H "unix://$socket")
  timeout 10 "$docker" "${host[@]}" version -f '{{.Server.Version}}' 2>/dev/null
}

has_compose() {
  local docker
  docker=$(client) || return 1
  "$docker" compose version --short 2>/dev/null | grep -qE '^v?([2-9]|[1-9][0-9])\.'
}

our_pid() { # succeeds only for a living daemon of ours, never for a number that another program has by now
  local pid
  pid=$(cat "$state/docker.pid" 2>/dev/null) || return 1
  [ "$(readlink "/proc/$pid/exe")" = "$prefix/root/usr/sbin/dockerd" ] && echo "$pid"
}

own_codename() {
  # shellcheck disable=SC1091 # exists on every Debian
  (. /etc/os-release && [ "$ID" = debian ] && echo "${VERSION_CODENAME:-sid}")
}

# The mirror this machine is set up with, from either form of apt source.
own_mirror() {
  {
    sed -nE "s/^deb +(\[[^]]*\] +)?([^ ]+) +$1 +.*/\2/p" /etc/apt/sources.list /etc/apt/sources.list.d/*.list
    awk -v RS= -v suite="$1" '{
      uri = ""; found = 0; count = split($0, line, "\n")
      for (i = 1; i <= count; i++) {
        words = split(line[i], word, " ")
        if (word[1] == "URIs:") uri = word[2]
        if (word[1] == "Suites:") for (j = 2; j <= words; j++) if (word[j] == suite) found = 1
      }
      if (uri != "" && found) print uri
    }' /etc/apt/sources.list.d/*.sources
  } 2>/dev/null | head -n 1
}

# Downloads every package into $1/debs, using apt lists of our own under $1.
download() {
  local work=$1 own uri suite version package packages key=/usr/share/keyrings/debian-archive-keyring.gpg
  own=$(own_codename) || die "this is not Debian: install Docker Engine and Compose v2 (https://docs.docker.com/engine/install/)"
  uri=$(own_mirror "$own") || true
  [ -n "$uri" ] || die "no apt source for $own is set up on this machine"
  [ -e "$key" ] || die "$key is missing: apt-get install debian-archive-keyring"
  mkdir -p "$work/lists/partial" "$work/debs"
  local apt=(-qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null
    -o "Dir::State::Lists=$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Acquire::Languages=none
    -o APT::Sandbox::User=root -o Acquire::Retries=3)
  for suite in $suites; do
    printf "deb [signed-by=$key] $uri %s main\n" "$own" "$suite" >"$work/sources.list"
    log "reading the package lists of $suite"
    apt-get "${apt[@]}" update >&2 || continue
    version=$(apt-cache "${apt[@]}" madison docker.io | awk -F '|' -v suite=" $suite/" 'index($3, suite) { gsub(/ /, "", $2); print $2; exit }')
    { [ -n "$version" ] && dpkg --compare-versions "$version" ge "$least"; } || continue
    packages=()
    for package in "${engine_packages[@]}"; do packages+=("$package/$suite"); done
    for package in "${host_packages[@]}"; do packages+=("$package/$own"); done
    log "fetching Docker $version (about 95 MB)"
    if (cd "$work/debs" && apt-get "${apt[@]}" download "${packages[@]}" >&2); then return 0; fi
  done
  die "none of the suites '$suites' has Docker >= $least here"
}

# iptables with its own libraries, whatever the machine has.
wrap_iptables() {
  local name
  for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    cat >"$1/bin/$name" <<WRAP
#!/bin/sh
usr=\$(dirname "\$(readlink -f "\$0")")/../root/usr
LD_LIBRARY_PATH=\$(echo \$usr/lib/*-linux-gnu) XTABLES_LIBDIR=\$(echo \$usr/lib/*-linux-gnu/xtables) exec \$usr/sbin/xtables-nft-multi $name "\$@"
WRAP
    chmod 755 "$1/bin/$name"
  done
}

install_programs() {
  [ ! -e "$prefix/.complete" ] || return 0
  local work deb name
  work=$(mktemp -d "$(dirname "$prefix")/.composure-engine.XXXXXX")
  # shellcheck disable=SC2064 # the folder of this run
  trap "rm -rf '$work'" EXIT
  download "$work"
  mkdir -p "$work/new/root" "$work/new/bin"
  for deb in "$work"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/new/root" --no-same-owner --exclude=./usr/share --exclude=./etc --exclude=./lib \
      --exclude=./usr/lib/cni --exclude=./usr/lib/containerd --exclude=./usr/bin/ctr
  done
  wrap_iptables "$work/new"
  for name in docker docker-init containerd containerd-shim-runc-v2; do ln -s "../root/usr/bin/$name" "$work/new/bin/$name"; done
  for name in dockerd docker-proxy runc; do ln -s "../root/usr/sbin/$name" "$work/new/bin/$name"; done
  { "$work/new/bin/runc" --version && "$work/new/bin/dockerd" --version; } >/dev/null || die "the unpacked engine does not run on this machine"
  touch "$work/new/.complete"
  chmod 755 "$work/new"
  rm -rf "$prefix"
  mv "$work/new" "$prefix"
  rm -rf "$work"
  trap - EXIT
}

# Where every shell finds them; what is there already stays. A second engine on a socket of its own stays out of sight.
link_programs() {
  [ "$socket" = /var/run/docker.sock ] || return 0
  local plugins=/usr/local/lib/docker/cli-plugins name
  mkdir -p "$plugins" /usr/local/bin
  for name in docker-compose docker-buildx; do
    [ -e "$plugins/$name" ] || ln -sfn "$prefix/root/usr/libexec/docker/cli-plugins/$name" "$plugins/$name"
  done
  command -v docker >/dev/null || ln -sfn "$prefix/bin/docker" /usr/local/bin/docker
}

start() {
  local pid
  our_pid >/dev/null && return
  # A second daemon in one network namespace flushes the first one's firewall rules and removes its bridge.
  for pid in $(pidof dockerd || true); do
    [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ] ||
      die "another dockerd (pid $pid) runs in this network namespace and does not answer: start or stop that one first"
  done
  [ -e /sys/fs/cgroup/cgroup.controllers ] || [ -d /sys/fs/cgroup/memory ] || die "no cgroup controllers are mounted under /sys/fs/cgroup"
  mkdir -p "$state" "$data" "$(dirname "$socket")"
  rm -f "$state/docker.pid"
  PATH=$prefix/bin:$PATH setsid nohup "$prefix/root/usr/sbin/dockerd" --config-file /dev/null --host "unix://$socket" --data-root "$data" \
    --exec-root "$state/exec" --pidfile "$state/docker.pid" --registry-mirror "$mirror" >"$state/dockerd.log" 2>&1 </dev/null 9>&- &
  pid=$!
  for _ in $(seq 300); do
    server_version >/dev/null && return
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 5 "$state/dockerd.log" >&2
  die "dockerd did not start; its log: $state/dockerd.log"
}

# Only the programs: for an engine that is then started where there is no network.
install() {
  mkdir -p "$(dirname "$prefix")"
  exec 9>"$(dirname "$prefix")/.composure-engine.lock"
  flock 9 # two at once: the second waits
  install_programs
}

up() {
  if server_version >/dev/null && has_compose; then return 0; fi
  { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } ||
    die "no Docker Engine with Compose v2 answers here: install one (https://docs.docker.com/engine/install/), make sure that this user may use it, and try again"
  install
  link_programs
  if server_version >/dev/null; then log "an engine answers already: only Compose and buildx were added"; else
    start
    log "Docker $(server_version) runs on $socket"
  fi
}

down() {
  local pid containerd
  pid=$(our_pid) || {
    log "no engine of ours runs"
    return 0
  }
  containerd=$(cat "$state/exec/containerd/containerd.pid" 2>/dev/null || true)
  kill "$pid"
  for _ in $(seq 300); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  if kill -0 "$pid" 2>/dev/null; then
    kill -9 "$pid"
    log "dockerd had to be killed"
  fi
  if [ -n "$containerd" ] && [ "$(readlink "/proc/$containerd/exe")" = "$prefix/root/usr/bin/containerd" ]; then kill -9 "$containerd"; fi
  rm -f "$state/docker.pid" "$socket"
  log "stopped"
}

status() {
  local version pid
  version=$(server_version) || {
    log "no Docker Engine answers"
    return 1
  }
  if pid=$(our_pid); then log "Docker $version answers; it is ours (pid $pid)"; else log "Docker $version answers; it is this machine's own"; fi
  has_compose || {
    log "Compose v2 is missing"
    return 1
  }
}

case ${1:-} in
  up | down | status | install) "$1" ;;
  env) if our_pid >/dev/null; then echo "export PATH=$prefix/bin:\$PATH DOCKER_HOST=unix://$socket"; fi ;;
  *) die "usage: engine.sh up|down|status|env|install" ;;
esac
