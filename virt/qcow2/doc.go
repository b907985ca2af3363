// Package qcow2 reads and lays out image files of QEMU's format, without QEMU.
// The specification is QEMU's docs/interop/qcow2.txt.
//
// Read tells what the header of a file says, and what its bitmaps hold.
//
// A Layout is a new image of which everything is known but the guest's bytes: which
// ranges hold data, and so where each of them lies in the file. Header, refcounts and
// tables come first, then the data in the order of the disk:
//
//	header | refcount table | refcount blocks | L1 table | L2 tables | data
//
// Nothing of it depends on the order in which the data is written, so that may be any
// order, from several goroutines, and a file that was left half written is completed
// by writing what differs. What is not data has no cluster and reads as zeroes.
package qcow2
