#!/bin/busybox sh
# The agent calls it with "freeze" before it freezes file systems, and with
# "thaw" after it has thawed them.
case "$1" in
freeze)
	while ! mkdir /tmp/writing 2>/dev/null; do sleep 0.05; done
	echo "guest: freeze" >/dev/console
	;;
thaw)
	rmdir /tmp/writing
	echo "guest: thaw" >/dev/console
	;;
esac
