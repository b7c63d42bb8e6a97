#!/bin/bash
# Builds the fuzz targets and runs each for SECONDS (30), two at a time:
#
#   tests/fuzz/run.sh [SECONDS] [TARGET…]        an hour each: tests/fuzz/run.sh 3600
#
# Inputs that reached something new are kept in build-fuzz/corpus/TARGET and used by the next run.
# Ends with 1 and the input's path when a target found something; the same input again:
# build-fuzz/bin/TARGET build-fuzz/findings/TARGET-…
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-30}
shift || true
if ! [[ $seconds =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: $0 [SECONDS] [TARGET…], not '$seconds'" >&2
  exit 2
fi
build=$PWD/build-fuzz
all=()
for source in tests/fuzz/fuzz_*.c; do
  all+=("$(basename "$source" .c)")
done
targets=("${@:-${all[@]}}")
for target in "${targets[@]}"; do
  if ! [[ -f tests/fuzz/$target.c ]]; then
    echo "$0: no such target: $target; there are ${all[*]}" >&2
    exit 2
  fi
done

mkdir -p "$build/findings" "$build/logs"
if ! { cmake --preset fuzz && cmake --build --preset fuzz; } >"$build/logs/build" 2>&1; then
  tail -n 40 "$build/logs/build" >&2
  echo "$0: the build failed; see $build/logs/build" >&2
  exit 2
fi

# How long an input is worth being: a ClientHello above 16 KiB, or a list of events.
longest() {
  case $1 in
    fuzz_client_hello | fuzz_opening) echo 20000 ;;
    fuzz_wire) echo 1300 ;;
    fuzz_prelude | fuzz_proxy_header) echo 4200 ;;
    *) echo 1500 ;;
  esac
}

# Words that chance would take long to find: the schema's, and those spoken before TLS. libFuzzer takes ASCII, and what is
# a character is the locale's affair.
words() {
  {
    grep -ohE '\b\w{3,} = [0-9]' proto/turbotls/v1/*.proto | sed 's/ = .*//'
    grep -ohE '"[^"\\%]{2,24}"' proxy/prelude/*.c | tr -d '"'
  } | LC_ALL=C grep -v '[^ -~]' | sort -u | sed 's/.*/"&"/'
}

dictionary() {
  case $1 in
    fuzz_config | fuzz_text_reader | fuzz_prelude | fuzz_tunnel_settings) echo "-dict=$build/words" ;;
  esac
}

fuzz() {
  local target=$1 corpus=$build/corpus/$1
  mkdir -p "$corpus"
  rm -f "$corpus"/seed-* # a seed's meaning may have changed
  "$build/bin/$target" --seeds "$corpus"
  if [[ $target = fuzz_wire ]]; then
    tests/vectors/check.py --seeds "$corpus"
  fi
  # shellcheck disable=SC2046
  exec "$build/bin/$target" "$corpus" $(dictionary "$target") -max_total_time="$seconds" -max_len="$(longest "$target")" \
    -artifact_prefix="$build/findings/$target-" -print_final_stats=1 -timeout=10 \
    -rss_limit_mb=1024 -reload=0 -verbosity=1 >"$build/logs/$target" 2>&1
}

summary() {
  local log=$build/logs/$1 runs speed coverage
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  speed=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
  coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
  printf '%-18s %s: %s runs, %s/s, coverage %s, %s s\n' \
    "$1" "$2" "${runs:-?}" "${speed:-?}" "${coverage:-?}" "$3"
}

declare -A target_of=() started=()
failed=0

collect() { # waits for one of those that run
  local pid status=0 target found
  wait -n -p pid || status=$?
  target=${target_of[$pid]}
  local took=$((SECONDS - started[$pid]))
  unset "target_of[$pid]" "started[$pid]"
  if [[ $status -eq 0 ]]; then
    summary "$target" ok $took
    return
  fi
  failed=1
  summary "$target" FOUND $took
  grep -m 1 -E 'Assertion|ERROR: |runtime error' "$build/logs/$target" || tail -n 5 "$build/logs/$target"
  found=$(sed -n 's/.*Test unit written to //p' "$build/logs/$target" | tail -n 1)
  echo "  input: ${found:-none written}"
  echo "  log:   $build/logs/$target"
}

progress() { # what the running ones say, now and then
  local every=$((seconds / 4 < 60 ? seconds / 4 + 1 : 60)) target
  while sleep "$every"; do
    for target in "${targets[@]}"; do
      if ! [[ -f $build/logs/$target ]] || grep -q '^stat::' "$build/logs/$target"; then
        continue # not begun, or over
      fi
      printf '  %s %s\n' "$target" "$(grep -oE '^#[0-9]+|cov: [0-9]+|exec/s: [0-9]+' \
        "$build/logs/$target" | tail -n 3 | tr '\n' ' ')"
    done
  done
}

words >"$build/words"
echo "${#targets[@]} targets, $seconds s each, two at a time"
for target in "${targets[@]}"; do
  rm -f "$build/logs/$target"
done
progress &
ticker=$!
trap 'kill $ticker "${!target_of[@]}" 2>/dev/null || true' EXIT
for target in "${targets[@]}"; do
  [[ ${#target_of[@]} -lt 2 ]] || collect
  fuzz "$target" &
  target_of[$!]=$target
  started[$!]=$SECONDS
done
while [[ ${#target_of[@]} -gt 0 ]]; do
  collect
done
exit $failed
