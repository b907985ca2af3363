// Package embedtest gives tests a real hypervisor: libvirt's QEMU driver inside
// the process (qemu:///embed?root=DIR), with QEMU under software emulation. No
// daemon, no configuration of the machine and no guest is needed: machines
// start paused, and what a guest would write is written through QEMU, so that
// dirty bitmaps see it.
//
// A package that uses it wraps its tests:
//
//	func TestMain(m *testing.M) { os.Exit(embedtest.Main{M: m}.Run()) }
//
// libvirt allows one root in the life of a process, and one process at a time
// in a root. So there are two kinds:
//
//   - [New] is for tests that connect by themselves, in this process. They share
//     one root; machines are removed after each test. They had better share
//     connections as well: libvirt 9.0 runs out of room for drivers after some
//     twenty of them in the life of a process.
//   - [Detached] is for tests that run programs which connect, one after the
//     other. Each has its own root, which this process never opens: machines
//     are defined, started and stopped by virsh.
//
// [NewDaemon] is the third: a libvirtd, to be killed, configured and started again, and
// with secrets, which the driver inside a process has not. [Daemon.NewPolkit] gives
// it a polkit, and [Account] the sandbox a user.
//
// Writes go to a QMP socket of the machine's own, and Copy reads the image
// file, so both work in either kind, at any time, and share no code with vbk.
//
// Where libvirt, QEMU or qemu-img is missing, tests are skipped with the
// reason; with VBK_REQUIRE_PEERS=1 in the environment they fail.
package embedtest
