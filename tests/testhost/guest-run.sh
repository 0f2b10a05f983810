#!/run/testhost/busybox sh
# guest-run.sh - the test host's init, second half: in the machine's own root.
#
# Makes the system complete, runs the command that /run/testhost/job defines, and
# tells the outside how it ended. The command's output goes through pipes, since a
# virtio port can be opened only once and a program may reopen /dev/stderr.
#
# The job sets `token`, `modules`, `patience` and `lost_status`, and defines mount_shares and
# run_command.

die() {
	echo "testhost: $*"
	echo o >/proc/sysrq-trigger
	sleep 60
}

# mount_share TAG DIR
mount_share() {
	mkdir -p "$2"
	mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=mmap "$1" "$2" ||
		die "cannot mount $2"
}

mount_kernel_filesystems() {
	mount -t sysfs sysfs /sys
	mkdir -p /dev/pts /dev/shm /dev/hugepages /dev/mqueue
	mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
	mount -t tmpfs -o mode=1777 tmpfs /dev/shm
	mount -t hugetlbfs hugetlbfs /dev/hugepages
	mount -t mqueue mqueue /dev/mqueue
	mount -t tracefs tracefs /sys/kernel/tracing
	mount -t debugfs debugfs /sys/kernel/debug
	mount -t securityfs securityfs /sys/kernel/security
	mount -t bpf bpf /sys/fs/bpf
}

mount_cgroups() {
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
		echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
	done
}

# Device nodes whose opening loads their module: tun, vhost-net, loop-control...
make_static_nodes() {
	while read -r module name number; do
		[ "$module" = '#' ] && continue
		type=${number%%[0-9]*}
		number=${number#"$type"}
		case $name in */*) mkdir -p "/dev/${name%/*}" ;; esac
		[ -e "/dev/$name" ] || mknod -m 600 "/dev/$name" "$type" "${number%:*}" "${number#*:}"
	done <"/lib/modules/$(uname -r)/modules.devname"
}

make_devices() {
	ln -sfn /proc/self/fd /dev/fd
	ln -sf fd/0 /dev/stdin
	ln -sf fd/1 /dev/stdout
	ln -sf fd/2 /dev/stderr
	make_static_nodes
	chmod 666 /dev/net/tun /dev/fuse
}

# port NAME prints the device of the virtio port called NAME.
port() {
	for dir in /sys/class/virtio-ports/*; do
		read -r name <"$dir/name"
		[ "$name" = "$1" ] && echo "/dev/${dir##*/}"
	done
}

# What KVM is told of a guest's timer, and what becomes of it, in a ring; and what it tells the
# guest of its timers, among others (CPUID leaf 1).
trace_timers() {
	modprobe kvm_amd
	echo function==1 >/sys/kernel/tracing/events/kvm/kvm_cpuid/filter
	for event in kvm_msr kvm_apic_accept_irq kvm_inj_virq kvm_cpuid; do
		echo 1 >"/sys/kernel/tracing/events/kvm/$event/enable"
	done
}

# The machines whose vCPUs halt, each as PID-FD:EXITS. One that is paused is not in KVM_RUN.
halted_machines() {
	for dir in /sys/kernel/debug/kvm/[0-9]*; do
		name=${dir##*/}
		grep -q kvm_vcpu_block "/proc/${name%-*}/task/"*/wchan &&
			echo "$name:$(cat "$dir/exits")"
	done 2>/dev/null
}

# events_of PID PATTERN prints the events of PID's guest that match.
events_of() {
	threads=$(cd "/proc/$1/task" && echo * | tr ' ' '|') &&
		grep -E -- "-($threads) .*($2)" /sys/kernel/tracing/trace
}

# timer_events PID prints the last that happened to the local APIC timers of PID's guest: its
# writes of MSR 6e0 (the deadline) and registers 832 (the mode) and 838 (the count), and
# interrupts of Linux's vector for them.
timer_events() {
	events_of "$1" 'msr_write (6e0|832|838)|IRQ 0xec|vec 236' | tail -n 24
}

# features_told PID prints which features PID's guest was told of, and how often. Those that go
# by the guest's own registers make a difference.
features_told() {
	echo "CPUID leaf 1, times told:"
	events_of "$1" kvm_cpuid: | sed 's/.* rax /rax /' | sort | uniq -c
}

# A guest of Linux leaves KVM_RUN every second or two, if only because of its timers. One that
# has set a timer and halts for good has lost it, or never could use it. Notes that, and shows
# what there is to see.
watch_guests() {
	before=
	while sleep "$patience"; do
		now=$(halted_machines)
		for machine in $before; do
			echo "$now" | grep -qx "$machine" || continue
			grep -qsx "$machine" /run/testhost/lost && continue
			events=$(timer_events "${machine%%-*}")
			case $events in *msr_write*) ;; *) continue ;; esac
			echo "$machine" >>/run/testhost/lost
			echo "testhost: a guest of process ${machine%%-*} has stood still for $patience s"
			echo "$events"
			features_told "${machine%%-*}"
		done
		before=$now
	done
}

# Ends every process but init and the two that carry output. A process with an executable
# is one of user space. Says whether there was one.
kill_rest() {
	found=1
	for dir in /proc/[0-9]*; do
		pid=${dir#/proc/}
		case $pid in 1 | "$out_pid" | "$err_pid") continue ;; esac
		[ -e "$dir/exe" ] || continue
		kill -9 "$pid"
		found=0
	done 2>/dev/null
	return $found
}

cd /
mount_kernel_filesystems
. /run/testhost/job
rm /run/testhost/job
kernel_modules=/lib/modules/$(uname -r)
mkdir -p "$kernel_modules"
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro modules \
	"$kernel_modules" || die "cannot mount the kernel's modules"
mount_cgroups
make_devices
hostname testhost
ip link set lo up
for module in $modules; do
	modprobe "$module" || die "cannot load the module $module"
done
mount_shares
trace_timers

mkfifo /run/testhost/stdout /run/testhost/stderr
exec 3>"$(port stdout)" 4>"$(port stderr)"
cat /run/testhost/stdout >&3 4>&- &
out_pid=$!
cat /run/testhost/stderr >&4 3>&- &
err_pid=$!
ulimit -Hn 1048576
echo "testhost: the command starts"
watch_guests </dev/null >/run/testhost/stderr 2>&1 3>&- 4>&- &
run_command </dev/null >/run/testhost/stdout 2>/run/testhost/stderr 3>&- 4>&- &
wait $!
status=$?
# 77: skipped.
case $status in
0 | 77) ;;
*) [ ! -e /run/testhost/lost ] || status=$lost_status ;;
esac

while kill_rest; do
	usleep 10000
done
wait "$out_pid" "$err_pid"
sync
printf '\0%s %d\n' "$token" "$status" >&3
printf '\0%s %d\n' "$token" "$status" >&4
# The outside ends this machine as soon as it has read both.
while :; do sleep 60; done
