// Package virt is the vocabulary of a hypervisor: domains, their disks,
// checkpoints with the health of their bitmaps, and active jobs, as plain
// values. It also turns libvirt's XML into these values and back, and reads the
// header and the bitmaps of a qcow2 file (qcow2.go), which is pure work: no
// connection and no file is opened here.
//
// Package virt/libvirt looks at and acts on a real libvirt; package
// virt/virttest is an in-memory twin. Both pass the one contract suite in
// virttest, so what the planner and the executor are tested against is what
// they meet.
//
// A checkpoint proves nothing: libvirt creates it before a byte is read.
// Only a manifest in a store makes a checkpoint the base of an increment.
package virt
