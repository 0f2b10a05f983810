#!/bin/sh
# test_testhost.sh CASE TESTHOST KVM_VERSION WISP GUESTS - one promise of the test host a case.
#
# TESTHOST and KVM_VERSION are the programs under test; WISP runs what is in the folder GUESTS.
# Ends with 0, 1, or 77 for a machine that lacks what a test host needs.
set -eu
case=$1 testhost=$2 kvm_version=$3 wisp=$4 guests=$5

fail() {
	echo "test_testhost: $case: $*" >&2
	cat "$scratch/err" >&2 || true
	exit 1
}

# host [OPTION...] -- CMD... runs it; its exit code is in $code, its output in files.
host() {
	code=0
	"$testhost" run --timeout 120 "$@" >"$scratch/out" 2>"$scratch/err" || code=$?
}

expect() { # WHAT WANTED GOT
	[ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

case_prepare() {
	[ -z "$missing" ] || "$testhost" prepare >"$scratch/out" 2>"$scratch/err" ||
		fail "cannot prepare"
}

case_output() {
	host -- sh -c 'echo to-stdout; echo to-stderr >/dev/stderr; exit 7'
	expect "exit code" 7 "$code"
	expect "stdout" to-stdout "$(cat "$scratch/out")"
	expect "stderr" to-stderr "$(cat "$scratch/err")"
}

# The last byte arrives, whatever is left running behind the command.
case_tail() {
	host -- sh -c 'sleep 1000 & head -c 3000001 /dev/zero'
	expect "exit code" 0 "$code"
	expect "bytes" 3000001 "$(wc -c <"$scratch/out")"
}

case_environment() {
	cd "$scratch"
	odd="it's \$HOME; a=b" host -- sh -c 'pwd; echo "$odd"; echo "$1"; id -u; echo $WISP_TESTHOST' \
		sh "c'd \\"
	expect "exit code" 0 "$code"
	expect "what the command saw" "$scratch
it's \$HOME; a=b
c'd \\
0
1" "$(cat "$scratch/out")"
}

case_kvm() {
	host -- "$kvm_version"
	expect "exit code" 0 "$code"
	expect "KVM_GET_API_VERSION" 12 "$(cat "$scratch/out")"
}

case_cgroup() {
	host -- sh -c 'mkdir /sys/fs/cgroup/inner && cat /sys/fs/cgroup/inner/cgroup.controllers'
	expect "exit code" 0 "$code"
	for controller in cpuset cpu io memory hugetlb pids; do
		grep -qw "$controller" "$scratch/out" || fail "no controller $controller"
	done
}

# A share is written through; all else is not, but can be written inside.
case_share() {
	mkdir "$scratch/share,d"
	host --share "$scratch/share,d" -- sh -ec "cd $scratch; echo kept >share,d/file
		echo lost >outside; cat outside"
	expect "exit code" 0 "$code"
	expect "stdout" lost "$(cat "$scratch/out")"
	expect "the file in the share" kept "$(cat "$scratch/share,d/file")"
	[ ! -e "$scratch/outside" ] || fail "a write reached the machine"
}

case_devices() {
	host --module dummy -- sh -ec 'ip link add b0 type bridge; ip tuntap add t0 mode tap
		ip link add v0 type veth; unshare --user --net true; losetup -f
		: >/dev/shm/file; : >/dev/vhost-net; ls -d /sys/module/dummy'
	expect "exit code" 0 "$code"
}

case_missing() {
	host -- /no/such/command
	expect "exit code" 127 "$code"
}

case_signal() {
	host -- sh -c 'kill -SEGV $$'
	expect "exit code" 139 "$code"
}

case_timeout() {
	host --timeout 1 -- sleep infinity
	expect "exit code" 124 "$code"
	grep -q 'not done after 1 s' "$scratch/err" || fail "no message"
}

case_panic() {
	host -- sh -c 'echo c >/proc/sysrq-trigger; sleep infinity'
	expect "exit code" 125 "$code"
	grep -q 'Kernel panic' "$scratch/err" || fail "no word of the panic"
}

# stand_still GUEST CODE runs a guest that halts for good beside a command that ends with CODE.
stand_still() {
	printf '{"boot-source": {"kernel_image_path": "%s/%s"}}' "$guests" "$1" >"$scratch/vm.json"
	host --patience 2 -- sh -c "'$wisp' --no-api --config-file '$scratch/vm.json' &
		sleep 8; exit $2"
}

# A guest without its timer takes what failed beside it to a new host, once.
case_lost() {
	stand_still deadline 1
	expect "exit code" 123 "$code"
	expect "hosts" 2 "$(grep -c 'has stood still for 2 s' "$scratch/err")"
	grep -q 'msr_write 6e0 = 0x1' "$scratch/err" || fail "no word of the timer"
}

# What passes has passed, and a guest that never had a timer has not lost it.
case_still() {
	stand_still deadline 0
	expect "exit code" 0 "$code"
	stand_still hlt-loop 1
	expect "exit code" 1 "$code"
}

# A signal ends the test host as it ends any program, and QEMU before it.
case_interrupt() {
	mkfifo "$scratch/up"
	"$testhost" run -- sh -c 'echo up; sleep infinity' >"$scratch/up" 2>"$scratch/err" &
	pid=$!
	read -r _ <"$scratch/up"
	qemu=$(pgrep -P "$pid")
	kill -TERM "$pid"
	code=0
	wait "$pid" || code=$?
	expect "exit code" 143 "$code"
	! kill -0 "$qemu" 2>/dev/null || fail "QEMU is still there"
}

case_icount() {
	host --icount -- nproc
	expect "exit code" 0 "$code"
	expect "CPUs" 1 "$(cat "$scratch/out")"
}

case_vfio() {
	host --vfio -- sh -ec 'device=/sys/bus/pci/devices/0000:00:04.0
		echo vfio-pci >$device/driver_override
		echo 0000:00:04.0 >/sys/bus/pci/drivers_probe
		basename $(readlink $device/driver)
		test -c /dev/vfio/$(basename $(readlink $device/iommu_group))'
	expect "exit code" 0 "$code"
	expect "driver" vfio-pci "$(cat "$scratch/out")"
}

case_usage() {
	for wrong in "--smp 0 -- true" "--mem 2G -- true" "--module a;b -- true" "--bogus -- true" \
		"--icount --smp 2 -- true" "--share /no/such/folder -- true" "--verbose=1 -- true" \
		"--cpu" "--"; do
		# shellcheck disable=SC2086 # a list of words
		host $wrong
		expect "exit code of run $wrong" 2 "$code"
	done
}

missing=$("$testhost" check) || true
case $missing in
*apt-get\ install*)
	echo "test_testhost: skipped: $missing"
	exit 77
	;;
esac
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"case_$case"
