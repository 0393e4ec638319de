#!/bin/sh
# Starts a plugin server in place of itself. While $CHAOS_DIR/clock holds a number, the server gets a time namespace of its own, in which
# the monotonic clock and the time since boot are that many seconds ahead. The gateway's clocks stay as they are.
if [ -e "$CHAOS_DIR/clock" ]; then
	ahead=$(cat "$CHAOS_DIR/clock")
	exec unshare --time --monotonic "$ahead" --boottime "$ahead" -- "$@"
fi
exec "$@"
