// Package virttest is the in-memory twin of package virt/libvirt, and the
// contract both of them keep.
//
// A [Host] has the methods of libvirt.Host. Its domains are defined by a test,
// their disks are byte slices, and what a guest would do is a method: Write,
// Zero, Resize. Every checkpoint has a dirty bitmap of 64 KiB grains a disk; a
// backup job copies the disks at its first instant, and Open serves that copy
// as the NBD export would, for as long as the job lives.
//
// What goes wrong on a real host goes wrong here on demand: Kill ends QEMU
// with its bitmaps unsaved, BreakBitmap loses one, ForeignJob occupies a
// domain, and the hooks Before and After make a call fail without or with its
// effect.
//
// While a domain is shut off, AddBitmap, RemoveBitmap, Still and Serve are what
// QEMU's programs do to its image files; Sneak and Forget are what bitmaps and
// libvirt do not see.
//
// [Contract] is the suite that the twin and a real libvirt both pass.
package virttest
