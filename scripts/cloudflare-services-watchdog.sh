#!/usr/bin/env bash
# Looks whether the four services run, answer and make progress, restarts those that do not, and tells people.
#
#   cloudflare-services-watchdog.sh                       one look, from cron every five minutes
#   cloudflare-services-watchdog.sh --dry-run             say what it would do, and do nothing
#   cloudflare-services-watchdog.sh --failed UNIT         tell that a unit failed for good (OnFailure= of the units)
#   cloudflare-services-watchdog.sh --maintenance 2h WHY  leave everything alone for so long (also 30m, 1d; at most 7d)
#   cloudflare-services-watchdog.sh --maintenance off     look again
#
# systemd restarts what dies and kills what stands still (WatchdogSec=). This is for what systemd does not see: a unit that
# it gave up, a service that is "active" and does not answer, one whose signs of life in the database are old.
#
# Must hold: a unit stopped or disabled on purpose is left alone; no unit is restarted more than once in half an hour, and
# never for a bad configuration (78); a restart counts only once the service answers and beats again; each condition is
# told once and its end once, through the outbox if possible, else straight to Telegram, and if neither works again at the
# next look; it runs once at a time and ends within four minutes. It does not decide anything about prefixes.
set -uo pipefail
export LC_ALL=C

readonly SERVICES="cloudflare-webhook cloudflare-analytics-monitor cloudflare-autowithdraw cloudflare-dashboard"
CONFIG_DIR=${CLOUDFLARE_MT_CONFIG_DIR:-/etc/cloudflare-mt}
STATE=${WATCHDOG_STATE_DIR:-/run/cloudflare-services-watchdog}
MAINTENANCE=${WATCHDOG_MAINTENANCE_FILE:-$CONFIG_DIR/maintenance}
SERVICE_USER=${WATCHDOG_SERVICE_USER:-cloudflare-mt}
CREDENTIALS=${WATCHDOG_CREDENTIALS:-/etc/credstore}
# Seconds: a heartbeat is written every 15 s; a service answers at once; what restarts needs a moment.
readonly BEAT_LIMIT=180 ANSWER_LIMIT=5 PROOF_LIMIT=${WATCHDOG_PROOF_LIMIT:-60} RESTART_PAUSE=1800 BUDGET=${WATCHDOG_BUDGET:-240}
# Restarts by systemd since the last look that make a crash loop.
readonly CRASHES=3

dry_run=no
token_file=
# shellcheck disable=SC2317 # called by a trap
clean_up() { [ -z "$token_file" ] || rm -f "$token_file"; }
trap clean_up EXIT

# --- words ---

log() { # priority, text
  logger -t cloudflare-services-watchdog -p "daemon.$1" -- "$2" 2> /dev/null || true
  printf '%s: %s\n' "$1" "$2" >&2
}

now() { date +%s; }
left() { echo $((BUDGET - SECONDS)); }

# A time of ours as people say it.
lasted() { # seconds
  local m=$(($1 / 60))
  if [ "$m" -ge 120 ]; then echo "$((m / 60)) h $((m % 60)) min"; else echo "$m min"; fi
}

# Runs a command as the services' user where we are root: no file of ours in their folder, no right more than theirs.
as_service() {
  if [ "$(id -u)" = 0 ] && id "$SERVICE_USER" > /dev/null 2>&1; then
    setpriv --reuid "$SERVICE_USER" --regid "$SERVICE_USER" --init-groups --inh-caps=-all -- "$@"
  else
    "$@"
  fi
}

admin() { as_service timeout -k 5 20 cloudflare-mt --config-dir "$CONFIG_DIR" "$@"; }

# --- configuration, read without our programs: it must work when they do not ---

# The members of one section of a JSON object on one line. Good for settings.json, whose sections with what is needed
# here hold no braces of their own.
section() { # file, section
  tr '\n\t' '  ' < "$1" 2> /dev/null | sed -n "s/.*\"$2\"[[:space:]]*:[[:space:]]*{\([^{}]*\)}.*/\1/p" | head -n 1
}

member() { # members, key
  sed -n "s/.*\"$2\"[[:space:]]*:[[:space:]]*\"\{0,1\}\([^\",}]*[^\",} ]\)\"\{0,1\}.*/\1/p" <<< "$1" | head -n 1
}

# A value of the chat, from a credential, a file that the settings name, or the settings.
telegram() { # key
  local file members value
  if [ -r "$CREDENTIALS/telegram.$1" ]; then
    head -n 1 "$CREDENTIALS/telegram.$1"
    return
  fi
  members=$(section "$CONFIG_DIR/settings.json" telegram)
  file=$(member "$members" "$1_file")
  if [ -n "$file" ]; then
    case $file in /*) ;; *) file=$CONFIG_DIR/$file ;; esac
    head -n 1 "$file" 2> /dev/null
    return
  fi
  value=$(member "$members" "$1")
  [ "$value" = null ] || printf '%s\n' "$value"
}

# host:port of a service: as configured, else the default.
address() { # unit
  local name default listen
  case $1 in
    cloudflare-webhook) name=webhook default=127.0.0.1:8080 ;;
    cloudflare-dashboard) name=dashboard default=127.0.0.1:8081 ;;
    cloudflare-analytics-monitor) name=analytics default=127.0.0.1:8082 ;;
    *) name=autowithdraw default=127.0.0.1:8083 ;;
  esac
  # direct_route holds braces, so the section is cut before the key.
  listen=$(tr '\n\t' '  ' < "$CONFIG_DIR/settings.json" 2> /dev/null |
    sed -n "s/.*\"$name\"[[:space:]]*:[[:space:]]*{[^{}]*\"listen\"[[:space:]]*:[[:space:]]*\"\([^\"]*\)\".*/\1/p" | head -n 1)
  listen=${listen:-$default}
  # Listening everywhere is answered on loopback.
  listen=${listen/#0.0.0.0:/127.0.0.1:}
  printf '%s\n' "${listen/#\[::\]:/[::1]:}"
}

# --- telling people ---

# Through the outbox: any living service sends it, and it is on record.
by_outbox() { # title, text, priority
  admin notice raise --title "$1" --text "$2" --priority "$3" > /dev/null 2>&1
}

# Is anybody there who would send it? Without a living service the outbox keeps it, and nobody reads it.
outbox_lives() {
  local service age
  while read -r service age; do
    [ -n "$service" ] && [ "$age" -ge 0 ] && [ "$age" -le "$BEAT_LIMIT" ] && return 0
  done <<< "$beats"
  return 1
}

direct() { # title, text
  local token chat thread url answer
  token=$(telegram bot_token)
  chat=$(telegram chat_id)
  thread=$(telegram message_thread_id)
  url=$(telegram api_url)
  if [ -z "$token" ] || [ -z "$chat" ]; then
    log err "no chat is configured, nobody can be told: $1"
    return 1
  fi
  # The token is in a file of ours and not among the arguments, which every user of the host can read.
  token_file=$(mktemp "$STATE/curl.XXXXXX") || return 1
  printf 'url = "%s/bot%s/sendMessage"\n' "${url:-https://api.telegram.org}" "$token" > "$token_file"
  answer=$(printf '%s\n\n%s\n\nServer: %s\n(sent by the watchdog itself, without the services)' "$1" "$2" "$(uname -n)" |
    timeout -k 5 30 curl --silent --show-error --config "$token_file" --connect-timeout 10 --max-time 20 \
      --retry 2 --retry-delay 1 --retry-max-time 25 --data-urlencode "chat_id=$chat" ${thread:+--data-urlencode "message_thread_id=$thread"} \
      --data-urlencode "text@-" 2>&1)
  local code=$?
  rm -f "$token_file"
  token_file=
  case $code/$answer in
    0/*'"ok":true'* | 0/*'"ok": true'*) return 0 ;;
  esac
  log err "Telegram took no message: ${answer//"$token"/TOKEN}"
  return 1
}

tell() { # title, text, priority
  if [ "$dry_run" = yes ]; then
    log info "would tell: $1: $2"
    return 0
  fi
  if outbox_lives && by_outbox "$1" "$2" "$3"; then
    log notice "told through the outbox: $1"
  elif direct "$1" "$2"; then
    log notice "told straight by Telegram: $1"
  else
    return 1
  fi
}

# --- conditions: told once, and their end once ---
# A file per condition: first line since when, second line whether it was told, third line the title.

raise() { # key, title, text, [priority]
  local file=$STATE/conditions/$1 since told=no
  seen[$1]=yes
  if [ -f "$file" ]; then
    { read -r since && read -r told; } < "$file"
  fi
  since=${since:-$(now)}
  log err "$2: $3"
  if [ "$told" != yes ]; then
    tell "$2" "$3" "${4:-critical}" && told=yes
  fi
  [ "$dry_run" = yes ] || printf '%s\n%s\n%s\n' "$since" "$told" "$2" > "$file"
}

# A condition that this look could not judge stays as it is.
spare() { # key
  seen[$1]=yes
}

settle() { # ends every condition that was not met again
  local file key since told title
  for file in "$STATE"/conditions/*; do
    [ -f "$file" ] || continue
    key=${file##*/}
    [ -z "${seen[$key]:-}" ] || continue
    since='' told='' title=''
    { read -r since && read -r told && read -r title; } < "$file"
    log notice "over: $title"
    # Nobody hears of the end of something that nobody heard of.
    if [ "$told" != yes ] ||
      tell "Over: $title" "Restored after $(lasted $(($(now) - since)))." medium; then
      [ "$dry_run" = yes ] || rm -f "$file"
    fi
  done
}

# --- what is the case ---

unit_property() { # unit properties, name
  sed -n "s/^$2=//p" <<< "$1" | head -n 1
}

# Seconds since a service left a sign of life, "SERVICE AGE" per line; "unreadable" when the database says nothing.
read_beats() {
  local answer
  answer=$(admin db query --json \
    "SELECT service || ' ' || CAST(strftime('%s','now') - strftime('%s', beat_at) AS INTEGER) AS beat FROM heartbeats" 2>&1) || {
    log warning "the signs of life cannot be read: $(tr '\n' ' ' <<< "$answer" | cut -c 1-300)"
    return 1
  }
  grep -oE '"[a-z-]+ -?[0-9]+"' <<< "$answer" | tr -d '"'
}

beat_age() { # unit
  local service age
  while read -r service age; do
    [ "$service" = "$1" ] && { echo "$age"; return; }
  done <<< "$beats"
}

# 200 or 503 with words, or nothing: the service does not answer. The monitor knows by the name that the watchdog looks, and
# tells people when it does not any more.
health() { # unit
  timeout -k 2 $((ANSWER_LIMIT + 3)) curl --silent --output /dev/null --write-out '%{http_code}' --noproxy '*' \
    --user-agent cloudflare-services-watchdog --connect-timeout 3 --max-time "$ANSWER_LIMIT" "http://$(address "$1")/health" 2> /dev/null || echo 000
}

# Restarts and waits until the unit is active, answers, and has beaten since. Says why not.
restart() { # unit
  local unit=$1 began mark=$STATE/restarted/$1 last=0 state age code limit
  [ ! -f "$mark" ] || read -r last < "$mark"
  if [ $(($(now) - last)) -lt "$RESTART_PAUSE" ]; then
    why="it was restarted $(lasted $(($(now) - last))) ago already; not again within half an hour"
    return 1
  fi
  limit=$((PROOF_LIMIT + 30))
  if [ "$(left)" -lt "$limit" ]; then
    why="no time is left in this look; the next one restarts it"
    return 1
  fi
  if [ "$dry_run" = yes ]; then
    why="would be restarted"
    return 1
  fi
  now > "$mark"
  log warning "restarting $unit"
  timeout 10 systemctl reset-failed "$unit.service" > /dev/null 2>&1
  began=$(now)
  if ! timeout 40 systemctl restart --no-block "$unit.service" > /dev/null 2>&1; then
    why="systemd refused the restart"
    return 1
  fi
  why="it did not come back within $PROOF_LIMIT s"
  while [ $(($(now) - began)) -lt "$PROOF_LIMIT" ]; do
    sleep 1
    state=$(timeout 5 systemctl show -p ActiveState --value "$unit.service" 2> /dev/null)
    case $state in
      active) ;;
      failed)
        why="it failed again at once; journalctl -u $unit says why"
        return 1
        ;;
      *) continue ;;
    esac
    code=$(health "$unit")
    [ "$code" = 200 ] || { why="it runs again but its health says $code"; continue; }
    [ "$beats_known" = yes ] || return 0
    beats=$(read_beats) || return 0
    age=$(beat_age "$unit")
    if [ -n "$age" ] && [ "$age" -le $(($(now) - began + 1)) ]; then
      return 0
    fi
    why="it answers but leaves no sign of life in the database"
  done
  return 1
}

# Restarts a unit for a reason and tells how it went. A restart that helped is told once too: that it was needed is news.
repair() { # unit, kind of trouble, what is the matter
  local why=
  if restart "$1"; then
    log notice "$1 was restarted and works: $3"
    # The end of a condition that people know of is told as such; else beginning and end are one message.
    [ -f "$STATE/conditions/$1.$2" ] || tell "$1 was restarted" "$3. It answers and makes progress again." high || true
    return 0
  fi
  raise "$1.$2" "$1 does not work" "$3. The watchdog could not mend it: $why."
}

look_at() { # unit
  local unit=$1 all load active sub result file code status restarts known=0 age health_code
  all=$(timeout 10 systemctl show "$unit.service" \
    -p LoadState,ActiveState,SubState,UnitFileState,Result,ExecMainStatus,NRestarts,ActiveEnterTimestampMonotonic 2> /dev/null)
  load=$(unit_property "$all" LoadState)
  active=$(unit_property "$all" ActiveState)
  sub=$(unit_property "$all" SubState)
  file=$(unit_property "$all" UnitFileState)
  result=$(unit_property "$all" Result)
  status=$(unit_property "$all" ExecMainStatus)
  restarts=$(unit_property "$all" NRestarts)
  if [ -z "$load" ]; then
    spare "$unit.down" && spare "$unit.health" && spare "$unit.silent" && spare "$unit.crashes"
    raise systemd "systemd does not answer" "systemctl show $unit gave nothing; no unit can be judged."
    return
  fi
  if [ "$load" != loaded ] || { [ "$file" = disabled ] && [ "$active" != active ]; }; then
    log info "$unit is ${load/loaded/$file}: left alone"
    return
  fi
  # systemd's own restarts since the last look.
  [ ! -f "$STATE/restarts/$unit" ] || read -r known < "$STATE/restarts/$unit"
  [ "$dry_run" = yes ] || printf '%s\n' "${restarts:-0}" > "$STATE/restarts/$unit"
  if [ "${restarts:-0}" -ge $((known + CRASHES)) ]; then
    raise "$unit.crashes" "$unit starts again and again" \
      "systemd restarted it $((restarts - known)) times since the last look. journalctl -u $unit says why."
  fi
  case $active in
    activating | deactivating | reloading)
      # systemd is at work, with limits of its own.
      spare "$unit.down" && spare "$unit.health" && spare "$unit.silent"
      [ "$sub" != auto-restart ] || spare "$unit.crashes"
      log info "$unit is $active ($sub): systemd is at work"
      ;;
    inactive)
      if [ "$(unit_property "$all" ActiveEnterTimestampMonotonic)" = 0 ] && [ "$result" = success ]; then
        # Enabled, and not once started since the host came up.
        if [ -f "$CONFIG_DIR/settings.json" ]; then
          repair "$unit" down "It was not started since the host came up"
        else
          log info "$unit is not configured yet: left alone"
        fi
      else
        log info "$unit was stopped on purpose: left alone"
      fi
      ;;
    failed)
      if [ "$result" = exit-code ] && [ "$status" = 78 ]; then
        raise "$unit.down" "$unit does not start" \
          "Its configuration is bad, so starting it again is useless. $unit --check-config names every problem."
      else
        repair "$unit" down "systemd gave it up ($result, exit status $status)"
      fi
      ;;
    active)
      health_code=$(health "$unit")
      age=$(beat_age "$unit")
      if [ "$health_code" = 000 ]; then
        # Once more: a moment of load is no fault.
        sleep 2
        health_code=$(health "$unit")
      fi
      case $health_code in
        200)
          if [ "$beats_known" != yes ]; then
            spare "$unit.silent"
          elif { [ -z "$age" ] || [ "$age" -gt "$BEAT_LIMIT" ]; } && ! outbox_lives; then
            # Nobody beats: that is not this service's fault, and restarting all of them would mend nothing.
            raise silence "No service leaves a sign of life" \
              "They run and answer, but nothing new is in the database: is its disk full or read-only? Alarms may be lost. docs/40-runbooks.md says what to do."
            spare "$unit.silent"
          elif [ -z "$age" ] || [ "$age" -gt "$BEAT_LIMIT" ]; then
            repair "$unit" silent "It runs and answers, but its last sign of life is ${age:-an unknown number of} s old"
          elif [ "$age" -lt -60 ]; then
            raise "$unit.silent" "Signs of life come from the future" \
              "$unit: the newest is $((-age)) s ahead of this host's clock. Check the clock (timedatectl)." high
          fi
          ;;
        000) repair "$unit" health "It runs but does not answer at http://$(address "$unit")/health" ;;
        [0-9]*)
          if [ "$beats_known" = yes ] && ! outbox_lives; then
            raise silence "No service leaves a sign of life" \
              "They run, but nothing new is in the database: is its disk full or read-only? Alarms may be lost. docs/40-runbooks.md says what to do."
            spare "$unit.health" && spare "$unit.silent"
            return
          fi
          # It answers and says that it does not work; what it says names the cause, and a restart rarely mends it.
          code=1
          [ ! -f "$STATE/conditions/$unit.health" ] || code=2
          if [ "$code" = 1 ]; then
            raise "$unit.health" "$unit says that it does not work" \
              "Its health answers $health_code. curl http://$(address "$unit")/health names the part; docs/40-runbooks.md what to do."
          else
            repair "$unit" health "Its health has answered $health_code since the last look"
          fi
          ;;
      esac
      ;;
    *) raise "$unit.down" "$unit is in an unknown state" "systemd calls it $active ($sub)." ;;
  esac
}

# --- maintenance ---

# Whether everything is to be left alone now. A forgotten maintenance ends by itself.
in_maintenance() {
  local until why
  [ -f "$MAINTENANCE" ] || return 1
  { read -r until && read -r why; } < "$MAINTENANCE"
  case $until in
    '' | *[!0-9]*)
      # Made by hand (touch): for four hours from then on.
      until=$(($(stat -c %Y "$MAINTENANCE") + 14400))
      ;;
  esac
  if [ "$(now)" -ge "$until" ]; then
    log warning "the maintenance is over (until $(date -u -d "@$until" '+%d/%m/%Y %H:%M UTC')); looking again"
    [ "$dry_run" = yes ] || rm -f "$MAINTENANCE"
    return 1
  fi
  log info "maintenance until $(date -u -d "@$until" '+%d/%m/%Y %H:%M UTC'): ${why:-no reason given}; nothing is looked at"
}

maintain() { # off | duration reason...
  local length=0
  if [ "${1:-}" = off ]; then
    rm -f "$MAINTENANCE"
    log notice "maintenance is over"
    return
  fi
  if [[ ${1:-} =~ ^([1-9][0-9]{0,4})([mhd])$ ]]; then
    case ${BASH_REMATCH[2]} in
      m) length=60 ;;
      h) length=3600 ;;
      d) length=86400 ;;
    esac
    length=$((BASH_REMATCH[1] * length))
    shift
  fi
  if [ "$length" = 0 ] || [ "$length" -gt 604800 ] || [ -z "$*" ]; then
    echo "usage: $0 --maintenance 2h REASON (30m, 2h, 1d; at most 7d), or --maintenance off" >&2
    exit 2
  fi
  printf '%s\n%s\n' "$(($(now) + length))" "$*" > "$MAINTENANCE" || exit 1
  log notice "maintenance for $(lasted "$length"): $*"
}

# --- the order ---

usage() { sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

take_lock() { # seconds to wait
  mkdir -p "$STATE/conditions" "$STATE/restarts" "$STATE/restarted" || {
    # Without a memory of its own it would tell the same every five minutes; but it must not be silent either.
    log err "$STATE cannot be written: what is told may be told again"
    STATE=$(mktemp -d) && mkdir -p "$STATE/conditions" "$STATE/restarts" "$STATE/restarted"
  }
  chmod 700 "$STATE" 2> /dev/null
  exec 9> "$STATE/lock"
  flock --wait "$1" 9
}

failed=
case ${1:-} in
  '') ;;
  --dry-run) dry_run=yes ;;
  --failed)
    failed=${2:-}
    # The name comes from systemd and goes into a file name.
    case $failed in '' | *[!A-Za-z0-9@:._-]*) usage >&2; exit 2 ;; esac
    ;;
  --maintenance)
    shift
    maintain "$@"
    exit 0
    ;;
  -h | --help)
    usage
    exit 0
    ;;
  *)
    echo "$0: unknown argument $1; see --help" >&2
    exit 2
    ;;
esac

# Nothing here may hang for ever, whatever the rest of the machine does.
if [ -z "${WATCHDOG_BOUNDED:-}" ]; then
  WATCHDOG_BOUNDED=yes timeout -k 10 $((BUDGET + 40)) "${BASH_SOURCE[0]}" "$@"
  exit
fi

if ! take_lock "$([ -n "$failed" ] && echo 60 || echo 0)"; then
  log info "another look is under way"
  exit 0
fi
declare -A seen=()
beats_known=yes
beats=$(read_beats) || beats_known=no

if [ -n "$failed" ]; then
  unit=${failed%.service}
  properties=$(timeout 10 systemctl show "$unit.service" -p Result,ExecMainStatus 2> /dev/null)
  result=$(unit_property "$properties" Result)
  status=$(unit_property "$properties" ExecMainStatus)
  if [ "$result/$status" = exit-code/78 ]; then
    words="Its configuration is bad, so starting it again is useless. $unit --check-config names every problem."
  else
    words="systemd gave it up (${result:-unknown}, exit status ${status:-unknown}). journalctl -u $unit says why."
  fi
  case " $SERVICES " in
    *" $unit "*) raise "$unit.down" "$unit has failed" "$words" ;;
    *)
      # Jobs start again at their next time by themselves; each failure is news.
      tell "$unit has failed" "$words" high || log err "nobody could be told"
      ;;
  esac
  exit 0
fi

if in_maintenance; then
  # Nothing is looked at, but the watchdog itself lives.
  health cloudflare-analytics-monitor > /dev/null
  exit 0
fi
if [ "$beats_known" = no ]; then
  raise database "The database cannot be read" \
    "The watchdog cannot see the signs of life of the services. cloudflare-mt db check says more; docs/40-runbooks.md what to do."
fi
for service in $SERVICES; do
  if [ "$(left)" -lt 20 ]; then
    log err "no time is left to look at $service"
    for kind in down health silent crashes; do spare "$service.$kind"; done
    continue
  fi
  look_at "$service"
done
settle
exit 0
