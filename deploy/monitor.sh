# shellcheck shell=sh disable=SC2034,SC2154
# What monitor_memory.sh and monitor_docker.sh share: options, asking the service, and how a reading is shown.
#
# A reading is lines `NAME VALUE`, VALUE as JSON has it and NAME like group.field, or a group that is not there
# and the VALUE null. A script that sources this file defines `options` (text for --help), `own_option` (takes an
# option of its own, or fails) and `measure` (prints a reading, fails where something does not answer).

interval=5 once='' json='' color=auto
url=${URL:-} port=${PORT:-8000} key=${API_KEY:-} health=''
# The service is asked directly.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

usage() {
  cat <<END
usage: ${0##*/} [--once] [--interval SECONDS] [--json] [--color[=WHEN]] [--url URL | --port PORT]

$options
  --once              one reading, then end: 0 all answered, 1 something did not
  --interval SECONDS  between readings (5)
  --json              one JSON object a reading, on a line; sizes in MiB
  --color[=WHEN]      auto (on a terminal, unless NO_COLOR is set), always or never: yellow from 80%, red from 90%
  --url URL           of the service (URL, http://127.0.0.1:PORT)
  --port PORT         of a service on this machine (PORT, 8000)
  API_KEY             in the environment: a key of the service, where it has API_KEYS, for what /metrics tells
END
}

wrong() {
  printf '%s: %s; --help lists what it takes\n' "${0##*/}" "$1" >&2
  exit 2
}

is_number() { # from 1 on, of at most five digits
  case $1 in '' | 0* | *[!0-9]* | ??????*) return 1 ;; esac
}

monitor() {
  while [ $# -gt 0 ]; do
    case $1 in
      --help) usage && exit 0 ;;
      --once) once=1 ;;
      --json) json=1 ;;
      --color) color=always ;;
      --color=*) color=${1#*=} ;;
      --interval=* | --url=* | --port=* | --pid=* | --container=* | --engine=*)
        set -- "${1%%=*}" "${1#*=}" -- "$@"
        take "$1" "$2" && shift 3 ;;
      --*)
        [ $# -gt 1 ] || wrong "$1 is unknown, or takes a value"
        take "$1" "$2" && shift ;;
      *) wrong "'$1' is no option" ;;
    esac
    shift
  done
  case $color in auto | always | never) ;; *) wrong "--color=$color takes auto, always or never" ;; esac
  is_number "$interval" || wrong "--interval $interval takes whole seconds from 1 on"
  is_number "$port" || wrong "PORT=$port takes a port"
  url=${url:-http://127.0.0.1:$port} && url=${url%/}
  [ -z "$once" ] || { reading && exit "$status"; exit 1; }
  while reading; do sleep "$interval"; done # it ends where nobody reads any more
}

take() {
  case $1 in
    --interval) interval=$2 ;;
    --url) url=$2 ;;
    --port) port=$2 url='' ;;
    *) own_option "$1" "$2" || wrong "$1 is unknown" ;;
  esac
}

reading() { # measures first: a screen is not left empty meanwhile
  status=0
  facts=$(measure) || status=1
  if [ -n "$json" ]; then
    printf '%s\n' "$facts" | as_json
  else
    [ ! -t 1 ] || [ -n "$once" ] || [ "${TERM:-dumb}" = dumb ] || printf '\033[H\033[2J'
    printf '%s\n' "$facts" | as_text 3>&1
  fi
}

quoted() { # text -> a JSON string
  printf '%s' "$1" | tr -d '\000-\037' | sed 's/[\\"]/\\&/g; s/.*/"&"/'
}

# --- the service --------------------------------------------------------------------------------------------------

fetch() { # PATH [KEY]: what the service answers; one line on stderr where it does not
  if command -v curl >/dev/null; then
    # The key by its input: others see a command's arguments.
    printf 'header = "X-API-Key: %s"\n' "$(printf %s "${2:-}" | sed 's/[\\"]/\\&/g')" |
      curl -sSf -m 5 -K - "$url$1" 2>&1
  elif command -v python3 >/dev/null; then
    KEY=${2:-} python3 -c '
import os, sys, urllib.request as web
try:
    with web.urlopen(web.Request(sys.argv[1], headers={"X-API-Key": os.environ["KEY"]}), timeout=5) as answer:
        sys.stdout.buffer.write(answer.read())
except (OSError, ValueError) as error:
    print(error)
    sys.exit(1)' "$url$1"
  elif command -v wget >/dev/null; then
    # Never with the key, which would be an argument: then there is what the service tells everybody. Without -T:
    # busybox 1.35 crashes with it.
    [ -z "${2:-}" ] || return 1
    timeout 5 wget -q -O - "$url$1" 2>/dev/null || { echo 'wget gets nothing' && return 1; }
  else
    echo 'it takes curl, python3 or wget to ask the service' && return 1
  fi
}

field() { # NAME: the JSON value of the one field of this name in $health
  printf '%s' "$health" | awk -v name="$1" '
    match($0, "\"" name "\": *(\"([^\"\\\\]|\\\\.)*\"|[^,}]*)") {
      value = substr($0, RSTART, RLENGTH)
      sub("^[^:]*: *", "", value)
    }
    END { print (value == "" ? "null" : value) }'
}

ask_service() { # puts what it tells of itself into $health and the service's part of the reading into $told
  told=''
  if ! health=$(fetch /api/health); then
    told=$(printf 'service null\nservice_error %s' "$(quoted "$url does not answer: ${health#curl: }")")
    health=''
    return 1
  fi
  health=$(printf '%s' "$health" | tr -d '\000-\037')
  case $health in *'"component_status"'*) ;; *)
    told=$(printf 'service null\nservice_error %s' "$(quoted "at $url something else answers: set URL or PORT")")
    health=''
    return 1 ;;
  esac
  told=$(of_health && if [ -n "$key" ] || [ "$(field key_required)" != true ]; then counts; fi)
}

of_health() {
  printf 'service.url %s\n' "$(quoted "$url")"
  for name in status version ready uptime_s error_reason running waiting; do
    printf 'service.%s %s\n' "$name" "$(field "$name")"
  done
  printf '%s' "$health" | awk '
    match($0, /"timings_ms": *[{][^}]*[}]/) {
      stages = substr($0, RSTART, RLENGTH)
      for (n = split(stages, part, ":"); n > 2; n--) ms += part[n]
    }
    END { print "service.last_analysis_s " (ms ? sprintf("%.2f", ms / 1000) : "null") }'
}

# As the service sees its process; and in $held_mb what its container holds of $limit_mb that the kernel cannot drop,
# empty where nothing limits it.
as_told() {
  held_mb=''
  [ -n "$health" ] || { echo 'process null' && return; }
  limit_mb=$(field limit_mb)
  printf 'process.%s %s\n' rss_mb "$(field rss_mb)" peak_mb "$(field peak_mb)" limit_mb "$limit_mb"
  case $(system) in *"system.limit_mb $limit_mb"*) return ;; esac
  held_mb=$(awk -v limit="$limit_mb" -v free="$(field available_mb)" 'BEGIN { printf "%.1f", limit - free }')
}

counts() { # what /metrics alone tells; nothing where it does not, as with a wrong key
  fetch /metrics "$key" | awk '
    $1 == "holdcheck_queue_limit" { print "service.queue_limit " $2 + 0 }
    $1 == "holdcheck_data_bytes" { printf "data.used_mb %.1f\n", $2 / 1048576 }
    $1 == "holdcheck_data_limit_bytes" { printf "data.limit_mb %.1f\n", $2 / 1048576 }
    /^holdcheck_jobs_ended_total[{]/ && /outcome="done"/ { done += $2 }
    /^holdcheck_jobs_ended_total[{]/ && /outcome="failed"/ { failed += $2 }
    /^holdcheck_jobs_ended_total[{]/ { seen = 1 }
    END { if (seen) print "service.done " done + 0 "\nservice.failed " failed + 0 }'
}

# --- this machine -------------------------------------------------------------------------------------------------

system() {
  awk '
    { kib[$1] = $2 }
    END {
      printf "system.used_mb %.1f\n", (kib["MemTotal:"] - kib["MemAvailable:"]) / 1024
      printf "system.limit_mb %.1f\n", kib["MemTotal:"] / 1024
      printf "system.swap_used_mb %.1f\n", (kib["SwapTotal:"] - kib["SwapFree:"]) / 1024
      printf "system.swap_mb %.1f\n", kib["SwapTotal:"] / 1024
    }' /proc/meminfo
}

# --- how a reading is shown ---------------------------------------------------------------------------------------

as_json() {
  awk -v now="$(date -u +%Y-%m-%dT%H:%M:%SZ)" '
    {
      value = substr($0, length($1) + 2)
      if (split($1, name, ".") == 1) { flat = flat sprintf(",\"%s\":%s", $1, value); next }
      if (name[1] in fields) fields[name[1]] = fields[name[1]] ","
      else order[++groups] = name[1]
      fields[name[1]] = fields[name[1]] sprintf("\"%s\":%s", name[2], value)
    }
    END {
      printf "{\"time\":\"%s\"", now
      for (n = 1; n <= groups; n++) printf ",\"%s\":{%s}", order[n], fields[order[n]]
      print flat "}"
    }'
}

columns() { # of the terminal on 3
  wide=$(stty size <&3 2>/dev/null | cut -d ' ' -f 2)
  is_number "$wide" && echo "$wide" || echo 80
}

in_color() {
  case $color in
    always) return 0 ;;
    never) return 1 ;;
  esac
  [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]
}

as_text() {
  in_color && colored=1 || colored=''
  awk -v wide="$(columns)" -v colored="$colored" -v now="$(date '+%Y-%m-%d %H:%M:%S')" '
    function paint(text, level) {
      if (!colored || level < 80) return text
      return (level < 90 ? "\033[33m" : "\033[1;31m") text "\033[0m"
    }
    # A label and words, in as many lines as they take.
    function say(label, text, level,   n, i, word, line) {
      line = ""
      n = split(text, word, " ")
      for (i = 1; i <= n; i++) {
        if (line != "" && length(line) + 1 + length(word[i]) > wide - 10) {
          print paint(sprintf("%-9s %s", label, line), level); label = ""; line = ""
        }
        line = line (line == "" ? "" : " ") word[i]
      }
      print paint(sprintf("%-9s %s", label, line), level)
    }
    # Used of a limit, and more about it where there is room, else below.
    function amount(label, used, limit, more, calm,   line, percent) {
      percent = limit > 0 ? 100 * used / limit : 0
      line = sprintf("%-9s %6.0f / %.0f MiB %3.0f%%", label, used, limit, percent)
      if (more != "" && length(line) + 2 + length(more) <= wide) { line = line "  " more; more = "" }
      print paint(line, calm ? 0 : percent)
      if (more != "") say("", more, 0)
    }
    function tells(name) { return (name in fact) && fact[name] != "null" }
    function span(s) {
      s += 0
      if (s < 120) return sprintf("%.0f s", s)
      if (s < 7200) return sprintf("%.0f min", s / 60)
      return s < 172800 ? sprintf("%.0f h", s / 3600) : sprintf("%.0f days", s / 86400)
    }
    {
      value = substr($0, length($1) + 2)
      if (value ~ /^"/) { value = substr(value, 2, length(value) - 2); gsub(/\\"/, "\"", value); gsub(/\\\\/, "\\", value) }
      fact[$1] = value
    }
    END {
      print "holdcheck " now
      swap = fact["system.swap_mb"] + 0 ? \
        sprintf("swap %.0f / %.0f MiB", fact["system.swap_used_mb"], fact["system.swap_mb"]) : "no swap"
      amount("system", fact["system.used_mb"], fact["system.limit_mb"], swap)
      if (tells("process.rss_mb")) {
        more = sprintf("peak %.0f", fact["process.peak_mb"])
        if (tells("process.pid")) more = more sprintf(", %.0f anonymous, pid %d", fact["process.anonymous_mb"], fact["process.pid"])
        # Calm: much of it are pages of the models, which the kernel drops before it kills.
        amount("process", fact["process.rss_mb"], fact["process.limit_mb"], more, 1)
      } else say("process", "not found", 0)
      if (tells("container.limit_mb")) {
        more = tells("container.charged_mb") ? sprintf("%.0f with page cache", fact["container.charged_mb"]) : ""
        if (fact["container.oom_kills"] + 0) more = more ", " fact["container.oom_kills"] " killed for memory"
        amount("container", fact["container.used_mb"], fact["container.limit_mb"], more)
      } else if (tells("container_error")) say("container", fact["container_error"], 90)
      else if (tells("process.rss_mb") && !tells("container.status")) say("container", "no limit of its own", 0)
      if (tells("container.status")) {
        more = fact["container.name"] " " fact["container.status"]
        if (tells("container.health")) more = more ", " fact["container.health"]
        more = more ", " fact["container.restarts"] " restarts"
        if (fact["container.oom_killed"] == "true") more = more ", killed for memory"
        say("", more, fact["container.status"] != "running" || fact["container.health"] == "unhealthy" ? 90 : 0)
      }
      if (tells("data.limit_mb")) amount("data", fact["data.used_mb"], fact["data.limit_mb"], "")
      if (tells("service.status")) {
        say("queue", fact["service.running"] " running, " fact["service.waiting"] \
          (tells("service.queue_limit") ? " of " fact["service.queue_limit"] : "") " waiting", \
          fact["service.queue_limit"] + 0 ? \
          100 * fact["service.waiting"] / fact["service.queue_limit"] : 0)
        last = tells("service.last_analysis_s") ? "last took " fact["service.last_analysis_s"] " s" : "none finished yet"
        if (tells("service.done")) last = last ", " fact["service.done"] " done, " fact["service.failed"] " failed"
        say("analyses", last, 0)
        level = fact["service.status"] == "ok" ? 0 : fact["service.status"] == "degraded" ? 80 : 90
        say("service", fact["service.status"] (fact["service.ready"] == "true" ? "" : ", not ready") \
          ", " fact["service.version"] ", up " span(fact["service.uptime_s"]), level)
        if (tells("service.error_reason")) say("", fact["service.error_reason"], level)
      }
      if (tells("service_error")) say("service", fact["service_error"], 90)
    }'
}
