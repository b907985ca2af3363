// Package libvirt looks at and acts on a hypervisor through libvirt's C
// library. It turns what libvirt says into the values of package virt and
// decides nothing.
//
// A C call cannot be cancelled, so each runs in a goroutine of its own. When
// the context ends first, the method returns an error that says "outcome
// unknown" and wraps the context's; the call goes on behind it and may still
// have its effect. Whoever gets that error from an effect looks again
// before he acts on it.
//
// The same caution holds for an ordinary error of BeginBackup: libvirt may have
// created the checkpoint, may begin the job later, or may leave a job that it
// cannot abort (a zombie; EndBackup and AbortZombie can). A zombie also leaves
// its checkpoint's bitmaps without a record; as names are never used twice they
// do no harm but their cost.
//
// libvirt itself may be killed in the middle of BeginBackup, and then know nothing of what
// QEMU does: EndLeftover ends that, by what lies in the folder of the job.
//
// A survey of a host gives each domain some seconds. One whose QEMU does not
// answer in time is returned with what libvirt knows by itself, and with a job
// that stands for the call that still waits. A domain that libvirt refuses to
// describe is returned with the reason. Neither hides the others.
//
// Of a domain that is shut off libvirt tells nothing of bitmaps: they are read from
// its image files, which are taken to be on this machine.
//
// Connections are read-only or not; a read-only one is enough for a survey. The
// URI is libvirt's. qemu:///embed?root=DIR runs libvirt's QEMU driver in this
// process, with all its files below DIR: QEMU outlives the process, and the
// next process that connects to DIR finds it again. libvirt never stops the
// driver, so a process can open one such root in its life, and a root belongs
// to one process at a time; read-only and other connections share it, up to
// some twenty in all, which libvirt 9.0 never takes off its list.
//
// Built without cgo, the package has Connect alone, which fails and names
// the build that has it.
package libvirt
