#!/bin/sh
# The service's container as docker or podman see it, with its memory, the queue and the last analysis.
# docs/monitoring.md tells what to do at 80 and 90%.
set -u
here=$(dirname -- "$0")
shared=$here/deploy/monitor.sh
[ -r "$shared" ] || shared=$here/monitor.sh
[ -r "$shared" ] || { echo "${0##*/}: copy deploy/monitor.sh beside it, too" >&2 && exit 2; }

engine=${ENGINE:-} container=${CONTAINER:-holdcheck}
options="State and memory of the container that runs the service, again and again.
  --container NAME    or id of the container (CONTAINER, holdcheck)
  --engine COMMAND    docker or podman (ENGINE; else the one of them that knows the container)"

own_option() {
  case $1 in
    --container) container=$2 ;;
    --engine) engine=$2 ;;
    *) return 1 ;;
  esac
}

measure() {
  system
  ask_service
  answered=$?
  as_told
  container && [ "$answered" = 0 ] && status=0 || status=1
  printf '%s\n' "$told"
  return "$status"
}

state_format='{{.State.Status}} {{.RestartCount}} {{.State.OOMKilled}} {{with .State.Health}}{{.Status}}{{end}}'

container() { # the container's part of a reading
  reasons=''
  for command in ${engine:-docker podman}; do
    command -v "$command" >/dev/null || continue
    if state=$("$command" inspect --type container --format "$state_format" "$container" 2>&1); then
      of_container "$command" "$state"
      return
    fi
    reasons="${reasons:+$reasons; }$command: $(printf '%s\n' "$state" | grep . | head -n 1)"
  done
  [ -n "$reasons" ] || reasons="there is no ${engine:-docker and no podman} here"
  printf 'container null\ncontainer_error %s\n' "$(quoted "$reasons")"
  return 1
}

of_container() { # ENGINE STATE
  used=''
  case $2 in running*) used=$("$1" stats --no-stream --format '{{.MemUsage}}' "$container" 2>/dev/null) ;; esac
  printf 'container.name %s\ncontainer.engine %s\n' "$(quoted "$container")" "$(quoted "$1")"
  printf '%s\n%s\n' "$2" "$used" | awk -v held="$held_mb" '
    # 115.2MiB, as docker writes it, or 120.8MB, as podman does.
    function mib(text,   bytes, thousand, power) {
      bytes = text + 0
      thousand = text ~ /i/ ? 1024 : 1000
      for (power = index("KMGT", toupper(substr(text, match(text, /[A-Za-z]/), 1))); power > 0; power--) bytes *= thousand
      return bytes / 1048576
    }
    NR == 1 {
      printf "container.status \"%s\"\ncontainer.restarts %d\ncontainer.oom_killed %s\n", $1, $2, $3
      print "container.health " ($4 == "" ? "null" : "\"" $4 "\"")
    }
    NR == 2 && split($0, part, " / ") == 2 {
      printf "container.used_mb %.1f\n", held == "" ? mib(part[1]) : held
      printf "container.charged_mb %.1f\ncontainer.limit_mb %.1f\n", mib(part[1]), mib(part[2])
    }'
}

# shellcheck source=deploy/monitor.sh
. "$shared"
monitor "$@"
