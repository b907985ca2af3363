// Package storetest holds the file systems on which package local is put to
// the test: a Disk in memory that knows which of its bytes and names have
// reached the platter, and Faults, which lets any file system die or fail at
// its N-th effect.
//
//	for n := 1; ; n++ {
//		disk := storetest.NewDisk()
//		faults := &storetest.Faults{FS: disk, At: n, Die: true}
//		run(faults)
//		if !faults.Fired() {
//			break
//		}
//		check(disk.Crash(storetest.Lose))
//	}
package storetest
