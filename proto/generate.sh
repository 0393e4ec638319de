#!/bin/sh
# Generates everything that comes from the .proto files:
#
#   proto/gen                            Go messages and gRPC stubs
#   sdk-python/src/outrigger/_gen/proto  Python messages, stubs and type stubs
#   sdk-js/src/gen/proto                 TypeScript messages and service descriptors
#
# Tools: Go and Node ones are pinned in .ci/tools, the Python one is grpcio-tools of the interpreter named by PYTHON (default:
# .venv/bin/python). The Node ones have no lock file: buf names packages for other machines that not every registry has, and
# npm ci refuses a lock without them. "proto/generate.sh go" (or python, es) generates one language only.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
what=${1:-all}
tools="$root/.ci/tools"
bin="$root/build/tools/bin"

wants() { [ "$what" = all ] || [ "$what" = "$1" ]; }

if wants go || wants es; then
	if [ ! -x "$tools/node_modules/.bin/buf" ]; then
		(cd "$tools" && npm install --no-package-lock --no-audit --no-fund --loglevel=error)
	fi
	PATH="$bin:$tools/node_modules/.bin:$PATH"
	export PATH
	(cd proto && buf lint)
fi

if wants go; then
	mkdir -p "$bin"
	(cd "$tools" && GOBIN="$bin" go install tool)
	rm -rf proto/gen/outrigger
	(cd proto && buf generate --template buf.gen.go.yaml --path outrigger)
fi

if wants es; then
	rm -rf sdk-js/src/gen/proto
	(cd proto && buf generate --template buf.gen.es.yaml --path outrigger --path goplugin)
fi

if wants python; then
	python=${PYTHON:-"$root/.venv/bin/python"}
	out=sdk-python/src/outrigger/_gen/proto
	rm -rf "$out"
	mkdir -p "$out"
	# The descriptors keep their full path, so that they meet no other package's plugin.proto; the modules lie flat in one package.
	nested=$(mktemp -d)
	trap 'rm -rf "$nested"' EXIT
	"$python" -m grpc_tools.protoc -I proto --python_out="$nested" --pyi_out="$nested" --grpc_python_out="$nested" \
		outrigger/plugin/v1/plugin.proto goplugin/grpc_controller.proto
	find "$nested" -type f -exec mv {} "$out" \;
	"$python" proto/pystubs.py "$out"
fi
