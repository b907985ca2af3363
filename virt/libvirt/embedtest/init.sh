#!/bin/busybox sh
# The first process of the guest: mounts vda, writes to it for ever, and runs the
# guest agent. What it says goes to the serial console.
/bin/busybox mkdir -p /proc /sys /dev /run /mnt /etc /tmp
/bin/busybox --install -s /bin
export PATH=/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules.order); do insmod "$module"; done
ln -sf /proc/mounts /etc/mtab # where the agent looks for file systems
for tries in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] && break; sleep 1; done
mount -t ext4 /dev/vda /mnt || echo "guest: vda does not mount"

# Two files that are equal whenever the hook lets the agent freeze the file
# system: a lock is held while they differ.
writer() {
	n=$(cat /mnt/second 2>/dev/null || echo 0)
	while :; do
		n=$((n + 1))
		while ! mkdir /tmp/writing 2>/dev/null; do sleep 0.05; done
		echo "$n" >/mnt/first
		sync
		echo "$n" >/mnt/second
		rmdir /tmp/writing
	done
}
writer &

mkdir -p /dev/virtio-ports
for port in /sys/class/virtio-ports/*; do
	[ -e "$port/name" ] && ln -sf "/dev/${port##*/}" "/dev/virtio-ports/$(cat "$port/name")"
done
agent=/dev/virtio-ports/org.qemu.guest_agent.0
if [ -e "$agent" ]; then
	qemu-ga -m virtio-serial -p "$agent" -t /run -F/hook &
	until ls -l "/proc/$!/fd" | grep -q vport; do sleep 0.1; done
fi
echo "guest: ready"
while :; do sleep 3600; done
