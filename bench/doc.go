// Package bench compares vbk with the programs that people use today, on a real
// QEMU under libvirt, and prints the tables of docs/performance.md. It is no test:
// what it measures is this machine on this day, and nothing is asserted but that
// restored disks are equal. It has code only with the build tag bench:
//
//	make bench                 # or: TMPDIR=/dev/shm go test -tags bench -v -timeout 90m ./bench
//
// Every measured command gets a QEMU that was started for it, the commands that
// are compared take turns, and a table has medians and their ratio.
package bench
