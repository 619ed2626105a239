# shellcheck shell=bash
# What scripts/check and scripts/test share: steps, their tally, and finding tools. To be sourced from the repository's top.
#
# A step is a command with a name. Its end is one line in the tally file: passed|failed|skipped, count, name, reason.

if ! command -v cargo > /dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
  PATH=$HOME/.cargo/bin:$PATH
fi

# The first script to source this makes the tally; a script that it calls adds to the same one.
if [ -z "${STEPS_TALLY:-}" ]; then
  STEPS_TALLY=$(mktemp)
  export STEPS_TALLY
  steps_owner=yes
  trap 'rm -f "$STEPS_TALLY"' EXIT
else
  steps_owner=no
fi

has() { command -v "$1" > /dev/null 2>&1; }

note() { # passed|failed|skipped, count, name, reason
  printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:-}" >> "$STEPS_TALLY"
}

# Runs a command as one step; says how long it took.
step() { # name, command ...
  local name=$1 began=$SECONDS code=0
  shift
  echo "==> $name"
  "$@" || code=$?
  if [ "$code" = 0 ]; then
    note passed 1 "$name"
    echo "    ok ($((SECONDS - began)) s)"
  else
    note failed 1 "$name" "exit code $code"
    echo "    FAILED with exit code $code ($((SECONDS - began)) s): $*"
  fi
}

skip() { # name, reason
  note skipped 1 "$1" "$2"
  echo "==> $1: skipped, $2"
}

# Makes sure of a tool that only tests need. Installs its Debian package where that is possible; says whether it is there.
want() { # command, package
  has "$1" && return 0
  if [ "$(id -u)" = 0 ] && has apt-get; then
    echo "==> installing $2 (for the tests)"
    if [ -z "${steps_apt_updated:-}" ]; then
      DEBIAN_FRONTEND=noninteractive apt-get update -qq || true
      steps_apt_updated=yes
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" > /dev/null || true
  fi
  has "$1"
}

# The last line: `N passed, M failed, K skipped`, with reasons above. The exit code says whether anything failed.
conclude() {
  [ "$steps_owner" = yes ] || return 0
  local failed
  failed=$(sum failed)
  echo
  awk -F '\t' '$1 == "skipped" { print "skipped: " $3 ": " $4 }
               $1 == "failed" { print "FAILED: " $3 (($4 == "") ? "" : ": " $4) }' "$STEPS_TALLY"
  echo "$(sum passed) passed, $failed failed, $(sum skipped) skipped"
  [ "$failed" = 0 ]
}

sum() { awk -F '\t' -v kind="$1" '$1 == kind { total += $2 } END { print total + 0 }' "$STEPS_TALLY"; }
