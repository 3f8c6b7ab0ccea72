#!/bin/sh
# Memory of the system, the service's process and its container, with the queue and the last analysis.
# docs/monitoring.md tells what to do at 80 and 90%.
set -u
here=$(dirname -- "$0")
shared=$here/deploy/monitor.sh
[ -r "$shared" ] || shared=$here/monitor.sh
[ -r "$shared" ] || { echo "${0##*/}: copy deploy/monitor.sh beside it, too" >&2 && exit 2; }

pid=''
options="Memory of this machine, of the service's process and of its container (cgroup v1 or v2), again and again.
  --pid PID           of the service, where it is not found by itself"

own_option() {
  [ "$1" = --pid ] && is_pid "$2" && pid=$2
}

is_pid() {
  case $1 in '' | *[!0-9]*) return 1 ;; esac
}

measure() {
  system
  found=${pid:-$(service_pid)}
  ask_service
  answered=$?
  if [ -n "$found" ] && [ -r "/proc/$found/status" ]; then
    memory_of "$found"
  else # another user's, or on another machine
    as_told
    if [ -n "$held_mb" ]; then
      printf 'container.%s\n' "used_mb $held_mb" "limit_mb $limit_mb"
    else
      echo 'container null'
    fi
  fi
  printf '%s\n' "$told"
  return "$answered"
}

# The process that runs `python -m backend` and listens on the URL's port; or the only one of which that cannot be told,
# because it is in a container with a network of its own, or another user's.
service_pid() {
  unknown='' network=$(readlink /proc/self/ns/net)
  for process in /proc/[0-9]*; do
    case $(tr '\000' ' ' 2>/dev/null <"$process/cmdline") in *python*' -m backend '*) ;; *) continue ;; esac
    ! listens "${process#/proc/}" || { echo "${process#/proc/}" && return; }
    [ "$(readlink "$process/ns/net")" = "$network" ] || unknown="$unknown ${process#/proc/}"
  done
  # shellcheck disable=SC2086 # words
  set -- $unknown
  [ $# != 1 ] || echo "$1"
}

listens() { # PID: whether it holds a socket that listens on the URL's port
  asked=${url##*:}
  inodes=$(awk -v port="$(printf ':%04X' "${asked%%[!0-9]*}")" '
    $4 == "0A" && substr($2, length($2) - 4) == port { print "socket:[" $10 "]" }' \
    "/proc/$1/net/tcp" "/proc/$1/net/tcp6" 2>/dev/null)
  # shellcheck disable=SC2010,SC2012 # what links point to is all that counts
  [ -n "$inodes" ] && ls -l "/proc/$1/fd" 2>/dev/null | grep -qF "$inodes"
}

# PID: its process and container groups of a reading. The limit is the least of its cgroups, as in holdcheck/memory.py;
# page cache is charged to a group but goes before anybody is killed, so it does not count as used.
memory_of() {
  awk -v pid="$1" '
    function line_of(file,   line) { if ((getline line < file) <= 0) line = ""; close(file); return line }
    function number_in(file, name,   line, word, value) {
      value = 0
      while ((getline line < file) > 0) { split(line, word); if (word[1] == name) value = word[2] }
      close(file)
      return value
    }
    function consider(folder, v2,   values, n, name) {
      n = split(v2 ? "memory.max memory.high" : "memory.limit_in_bytes", name, " ")
      for (; n > 0; n--) {
        values = line_of(folder "/" name[n])
        if (values ~ /^[0-9]+$/ && values + 0 > 0 && values + 0 < least) { least = values + 0; group = folder; is_v2 = v2 }
      }
    }
    function upwards(mount, below, v2) {
      if (below ~ /\/\.\./) below = ""
      while (1) {
        sub("/$", "", below)
        consider(mount below, v2)
        if (below == "") return
        sub("/[^/]*$", "", below)
      }
    }
    BEGIN {
      least = 1152921504606846976 # 2^60, as a figure because an awk may lack powers; cgroup v1 says "none" as more
      while ((getline line < ("/proc/" pid "/cgroup")) > 0) {
        rest = substr(line, index(line, ":") + 1)
        controllers = substr(rest, 1, index(rest, ":") - 1)
        path = substr(rest, index(rest, ":") + 1)
        if (controllers == "") unified = path
        if ("," controllers "," ~ /,memory,/) legacy = path
      }
      while ((getline line < "/proc/self/mountinfo") > 0) {
        split(line, word)
        kind = substr(line, index(line, " - ") + 3)
        v2 = index(kind, "cgroup2 ") == 1
        path = v2 ? unified : legacy
        if (path == "" || !v2 && kind !~ /^cgroup .*memory/) continue
        # In a container its own group may be mounted as the root, while the path counts from the host.
        root = word[4] == "/" ? "" : word[4]
        below = substr(path, 1, length(root)) == root ? substr(path, length(root) + 1) : ""
        upwards(word[5], below, v2)
      }
      total = number_in("/proc/meminfo", "MemTotal:") * 1024
      status = "/proc/" pid "/status"
      printf "process.pid %d\nprocess.rss_mb %.1f\n", pid, number_in(status, "VmRSS:") / 1024
      printf "process.anonymous_mb %.1f\n", number_in(status, "RssAnon:") / 1024
      printf "process.peak_mb %.1f\n", number_in(status, "VmHWM:") / 1024
      printf "process.limit_mb %.1f\n", (least < total ? least : total) / 1048576
      if (group == "") { print "container null"; exit }
      charged = line_of(group (is_v2 ? "/memory.current" : "/memory.usage_in_bytes"))
      prefix = is_v2 ? "" : "total_"
      cache = number_in(group "/memory.stat", prefix "active_file") + number_in(group "/memory.stat", prefix "inactive_file")
      used = charged - cache > 0 ? charged - cache : 0
      printf "container.used_mb %.1f\ncontainer.charged_mb %.1f\n", used / 1048576, charged / 1048576
      printf "container.limit_mb %.1f\n", least / 1048576
      printf "container.oom_kills %d\n", number_in(group (is_v2 ? "/memory.events" : "/memory.oom_control"), "oom_kill")
      printf "container.cgroup \"v%d\"\n", is_v2 ? 2 : 1
    }'
}

# shellcheck source=deploy/monitor.sh
. "$shared"
monitor "$@"
