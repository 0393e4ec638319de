#!/bin/sh
# Starts a plugin server in place of itself. While $CHAOS_DIR/clock holds a number, the server gets a time namespace of its own, in which
# the monotonic clock and the time since boot are that many seconds ahead. While $CHAOS_DIR/faketime names libfaketime, the server's wall
# clock jumps as $CHAOS_DIR/wall says, such as +2d. The clocks of the gateway and of the machine stay as they are.
if [ -e "$CHAOS_DIR/faketime" ]; then
	set -- env "LD_PRELOAD=$(cat "$CHAOS_DIR/faketime")" "FAKETIME_TIMESTAMP_FILE=$CHAOS_DIR/wall" FAKETIME_CACHE_DURATION=1 FAKETIME_DONT_FAKE_MONOTONIC=1 "$@"
fi
if [ -e "$CHAOS_DIR/clock" ]; then
	ahead=$(cat "$CHAOS_DIR/clock")
	exec unshare --time --monotonic "$ahead" --boottime "$ahead" -- "$@"
fi
exec "$@"
