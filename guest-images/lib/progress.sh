# progress.sh - long steps: their output in a log, a line now and then on the terminal.

progress_every_s=4

# fail TEXT: says what is wrong and gives up on this image.
fail() {
	echo "${image_name:-build}: $*" >&2
	exit 1
}

# step TEXT COMMAND...: runs the command with its output in a log of its own. Prints TEXT
# at once, then the time spent every few seconds; when step_lines is set, also how much
# of that many log lines is done. On failure shows the log's tail and gives up.
step() {
	step_text=$1
	shift
	step_log=$(mktemp "$scratch/log.XXXXXX")
	step_start=$(date +%s)
	echo "$image_name: $step_text"
	"$@" >"$step_log" 2>&1 </dev/null &
	step_pid=$!
	step_watch &
	step_watcher=$!
	if wait "$step_pid"; then step_status=0; else step_status=$?; fi
	kill "$step_watcher" 2>/dev/null || :
	wait "$step_watcher" 2>/dev/null || :
	step_pid= step_watcher=
	if [ "$step_status" -ne 0 ]; then
		tail -n 25 "$step_log" >&2
		fail "$step_text: failed with status $step_status (the end of its output is above)"
	fi
}

# In the background, until killed. (The sleep may live on: it must not hold the pipe open
# that somebody reads our output from.)
step_watch() {
	while sleep "$progress_every_s" >/dev/null 2>&1; do
		step_spent="$(($(date +%s) - step_start)) s"
		if [ -n "${step_lines:-}" ]; then
			step_done=$(($(wc -l <"$step_log") * 100 / step_lines))
			[ "$step_done" -lt 100 ] || step_done=99
			step_spent="$step_done %, $step_spent"
		fi
		echo "$image_name: $step_text: $step_spent"
	done
}

# Ends the step that runs, if any. Its command may be a shell function: then what that has
# started is what must end.
step_abandon() {
	[ -z "$step_watcher" ] || kill "$step_watcher" 2>/dev/null || :
	[ -n "$step_pid" ] || return 0
	pkill -P "$step_pid" || kill "$step_pid" 2>/dev/null || :
	wait "$step_pid" || :
}
