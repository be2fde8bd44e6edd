#!/usr/bin/env bash
# images.sh: makes the public images that examples and tests name available on a machine whose Docker Engine reaches no registry.
# Stand-ins are built once from Debian packages (images/Dockerfile) and served by a registry of our own on 127.0.0.1:5000, which the
# engine asks as its mirror. Where the engine reaches Docker Hub, this does nothing.
#   COMPOSURE_LOCAL_IMAGES=1   stand-ins even so      COMPOSURE_LOCAL_IMAGES=0   never stand-ins
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
store=${COMPOSURE_IMAGES_STORE:-/var/lib/composure-registry}
address=127.0.0.1:5000
stamps=$here/node_modules/.setup
base_image=composure-standin-base
suite=forky

# stage of images/Dockerfile = the public names it answers to
images=(
  'node=node:24-alpine node:24-slim'
  'redis=redis:8-alpine'
  'postgres=postgres:18-alpine'
  'haproxy=haproxy:3.2-alpine haproxy:3.2'
  'nginx=nginx:1-alpine'
  'pebble=letsencrypt/pebble:latest'
  'busybox=busybox:1'
  'rabbitmq=rabbitmq:4-management-alpine'
  'mariadb=mariadb:11'
  'restic=restic/restic:0.19.1'
  'sftp=atmoz/sftp:alpine'
  'rest-server=restic/rest-server:0.14.0'
  'nats=nats:2-alpine'
  'prometheus=prom/prometheus:latest'
)
# What can be had in some places only; a test that needs one says when it is not there.
optional=('mysql=mysql:9' 'mongo=mongo:8')

log() { printf 'images: %s\n' "$*" >&2; }
die() {
  log "$*"
  exit 1
}

repository() { case $1 in */*) echo "$1" ;; *) echo "library/$1" ;; esac; }

# GET or HEAD on the local registry without any program that a small machine may lack; prints the status code.
registry_status() {
  local line
  { exec 3<>"/dev/tcp/${address%:*}/${address#*:}"; } 2>/dev/null || return 1
  printf 'HEAD %s HTTP/1.0\r\nHost: %s\r\nAccept: %s\r\nAccept: %s\r\n\r\n' "$1" "$address" \
    application/vnd.docker.distribution.manifest.v2+json application/vnd.oci.image.index.v1+json >&3
  read -r -t 5 line <&3 || line=''
  exec 3>&-
  set -- $line
  echo "${2:-}"
}

registry_answers() { [ "$(registry_status /v2/ || true)" = 200 ]; }

all_served() {
  local entry name
  for entry in "${images[@]}"; do
    for name in ${entry#*=}; do
      [ "$(registry_status "/v2/$(repository "${name%:*}")/manifests/${name##*:}")" = 200 ] || return 1
    done
  done
}

certificates() { # the CA file that npm on this machine trusts
  local file
  file=$(npm config get cafile 2>/dev/null || true)
  case $file in '' | null | undefined) file=/etc/ssl/certs/ca-certificates.crt ;; esac
  [ -s "$file" ] && echo "$file" || echo /dev/null
}

recipes_hash() {
  { find "$here/images" -type f ! -name '*.md' -print0 | sort -z | xargs -0 sha256sum | cut -d' ' -f1
    grep -h '"version"' "$here/node_modules/node/package.json"
    printf '%s\n' "$suite" "${images[@]}" "${optional[@]}"
    cat /etc/ssl/certs/ca-certificates.crt 2>/dev/null || true
  } | sha256sum | cut -d' ' -f1
}

install_registry() {
  [ -x "$store/bin/docker-registry" ] && return
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || die "needs root on Debian to serve stand-ins; elsewhere let Docker reach a registry"
  local work=$store/tmp.registry
  rm -rf "$work"
  mkdir -p "$work" "$store/bin"
  (cd "$work" && { apt-get download -qq docker-registry >/dev/null 2>&1 || { apt-get update -qq && apt-get download -qq docker-registry; }; }) >&2
  dpkg-deb -x "$work"/docker-registry_*.deb "$work/root"
  mv "$work/root/usr/bin/docker-registry" "$store/bin/docker-registry"
  rm -rf "$work"
}

serve_registry() {
  registry_answers && return
  install_registry
  cat >"$store/config.yml" <<YAML
version: 0.1
storage: { filesystem: { rootdirectory: $store/data }, delete: { enabled: true } }
http: { addr: "$address" }
log: { level: warn }
YAML
  setsid nohup "$store/bin/docker-registry" serve "$store/config.yml" >"$store/registry.log" 2>&1 </dev/null 9>&- &
  echo $! >"$store/registry.pid"
  local _
  for _ in $(seq 100); do
    registry_answers && return
    kill -0 "$(cat "$store/registry.pid")" 2>/dev/null || break
    sleep 0.1
  done
  die "the local registry does not answer on $address; its log: $store/registry.log"
}

# Does the engine itself (not this shell) reach a registry? hello-world is 10 kB and no stand-in has its name.
engine_reaches_registry() { timeout 20 docker pull -q hello-world:latest >/dev/null 2>&1; }

debian_mirror() { # the mirror this machine is set up with
  local uri
  uri=$({ sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+\/debian)\/? .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list
    sed -nE 's/^URIs: *([^ ]+\/debian)\/?( .*)?$/\1/p' /etc/apt/sources.list.d/*.sources; } 2>/dev/null | head -n 1 || true)
  echo "${uri:-http://deb.debian.org/debian}"
}

build_base() {
  docker image inspect "$base_image:$suite" >/dev/null 2>&1 && return
  command -v mmdebstrap >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap; } >/dev/null
  local option options=()
  for option in man doc locale; do options+=("--dpkgopt=path-exclude=/usr/share/$option/*"); done
  for option in 'APT::Install-Recommends "0"' 'Acquire::Languages "none"' 'Acquire::Check-Valid-Until "false"'; do options+=("--aptopt=$option"); done
  # shellcheck disable=SC2016 # mmdebstrap expands $1
  mmdebstrap --variant=minbase --quiet "${options[@]}" --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin' \
    "$suite" - "$(debian_mirror)" | docker import - "$base_image:$suite" >/dev/null
}

# Build contexts that come from this machine: Node's binary, npm itself, and how npm reaches its registry from here.
collect_contexts() {
  local node
  node=$(readlink -f "$here/node_modules/node/bin/node")
  mkdir -p "$1/npm" "$1/node"
  ln "$node" "$1/node/node" 2>/dev/null || cp "$node" "$1/node/node"
  (cd "$1/npm" && npm pack --silent npm@11 >/dev/null && tar -xzf npm-*.tgz && rm npm-*.tgz)
  cat "$(certificates)" >"$1/npm/ca.crt"
  # The address only, never a token: images are pushed and kept.
  printf 'cafile=/etc/ssl/certs/ca-certificates.crt\nupdate-notifier=false\nregistry=%s\n' "$(npm config get registry 2>/dev/null | sed -E 's#//[^/@]*@#//#')" >"$1/npm/npmrc"
}

build_one() { # stage, context folder, names...
  local stage=$1 work=$2 name remote
  shift 2
  DOCKER_BUILDKIT=1 docker build -q --target "$stage" --build-arg BASE="$base_image:$suite" --build-arg DAY="$(date +%F)" \
    --build-context nodejs="$work/node" --build-context npm="$work/npm" \
    -t "composure-standin-$stage" "$here/images" >/dev/null
  for name in "$@"; do
    remote=$address/$(repository "$name")
    docker tag "composure-standin-$stage" "$remote"
    docker push -q "$remote" >/dev/null
    # Through the mirror, so that it has the digest a public image has; an engine without our mirror gets the bare tag.
    docker rmi "$remote" >/dev/null
    docker pull -q "$name" >/dev/null 2>&1 || docker tag "composure-standin-$stage" "$name"
  done
  docker rmi "composure-standin-$stage" >/dev/null
}

build_all() {
  local work entry failed=0 pids=()
  work=$(mktemp -d "$store/build.XXXXXX")
  # shellcheck disable=SC2064 # the folder of this run
  trap "rm -rf '$work'" EXIT
  collect_contexts "$work" &
  pids+=($!)
  build_base
  wait "${pids[0]}"
  pids=()
  for entry in "${images[@]}" "${optional[@]}"; do
    # shellcheck disable=SC2086 # a list of names
    build_one "${entry%%=*}" "$work" ${entry#*=} >"$work/${entry%%=*}.log" 2>&1 &
    pids+=($!)
  done
  local index=0
  for entry in "${images[@]}" "${optional[@]}"; do
    wait "${pids[$index]}" || {
      if [ "$index" -lt "${#images[@]}" ]; then failed=1; fi
      log "${entry%%=*} failed:"
      tail -n 15 "$work/${entry%%=*}.log" >&2
    }
    index=$((index + 1))
  done
  rm -rf "$work"
  trap - EXIT
  [ "$failed" = 0 ] || exit 1
}

[ "${COMPOSURE_LOCAL_IMAGES:-}" != 0 ] || exit 0
if [ "${COMPOSURE_LOCAL_IMAGES:-}" != 1 ] && [ -e "$stamps/registry-reached" ]; then exit 0; fi
hash=$(recipes_hash)
if [ -s "$store/hash" ] && [ "$(cat "$store/hash")" = "$hash" ] && registry_answers && all_served; then exit 0; fi

if [ "${COMPOSURE_LOCAL_IMAGES:-}" != 1 ] && [ ! -s "$store/hash" ] && engine_reaches_registry; then
  mkdir -p "$stamps"
  touch "$stamps/registry-reached"
  exit 0
fi
mkdir -p "$store" 2>/dev/null || die "Docker reaches no registry, and $store cannot be written: run as root once, or let Docker reach a registry"
exec 9>"$store/lock"
flock 9 # two at once: the second waits and finds the work done
serve_registry
if [ "$(cat "$store/hash" 2>/dev/null)" = "$hash" ] && all_served; then exit 0; fi
started=$SECONDS
log 'Docker reaches no registry: building stand-ins from Debian packages (once, about two minutes)'
build_all
echo "$hash" >"$store/hash"
log "stand-ins are ready after $((SECONDS - started)) s"
