#!/usr/bin/env bash
# Builds what the benchmark needs, installs its load generator wrk when it is missing, and runs it. `make bench` calls it; run it alone with
# flags, such as bench/run.sh --quick, or set BENCH_ARGS: make bench BENCH_ARGS=--quick. See bench/README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v wrk >/dev/null; then
	echo "installing wrk, the load generator" >&2
	sudo=
	if [ "$(id -u)" != 0 ]; then
		sudo="sudo -n"
	fi
	if ! command -v apt-get >/dev/null || ! $sudo apt-get update -qq >&2 || ! $sudo apt-get install -y -qq --no-install-recommends wrk >&2; then
		echo "bench/run.sh: wrk cannot be installed here with apt-get; install it by hand (https://github.com/wg/wrk, or the wrk package of your system) and run this again" >&2
		exit 1
	fi
fi

mkdir -p bin
for program in benchhost benchplugins benchupstream benchrun; do
	go build -o "bin/$program" "./bench/cmd/$program"
done

# shellcheck disable=SC2086 # BENCH_ARGS is a list of words
exec bin/benchrun ${BENCH_ARGS:-} "$@"
