// Package local keeps a store in a directory of a file system.
//
//	STORE/vbk.json                      the mark: Init writes it, Open asks for it
//	STORE/web01-4c1f9d2a/lock           who works here, and what it has begun
//	STORE/web01-4c1f9d2a/outcomes/      how attempts and drills went, N.json
//	STORE/web01-4c1f9d2a/CHAIN/         data files, other files, chain.NNNNNN.json
//
// Three handles, from what anybody may do to what only one may do:
//
//   - Store surveys (Domains, Domain) and checks (Check) without a lock. It
//     believes the manifest with the highest number and compares it with the
//     names and sizes of the listing.
//   - Reader holds a shared lock on one chain, so that its files stay.
//   - Folder holds the exclusive lock of one domain. Only it writes: files are
//     created under names that are never used again, synced when they are
//     closed, and become a point when Commit has linked the next manifest. It
//     deletes only what the newest manifest does not name, and only files whose
//     names say that vbk made them. After points were merged, Trim also frees
//     what nobody needs any more inside files that stay.
//
// Adopt lists what another program wrote, by hard links; Rebuild makes a manifest
// that was lost of the headers of its chain's files, and sets aside what is of no
// point.
//
// The lock is flock(2), so that the kernel frees it when its holder dies. The
// lock file is a log of records, each with its sum; what a dead run has begun
// stays there until a later run has dealt with it. Who finds it commits the newest
// manifests once more before anything else.
//
// Two things are written without the lock, because no point depends on them: what was
// found when files were read (verified), and how attempts and drills went of which no
// chain tells (outcomes). Both are books: folders of numbered records.
//
// OpenPath makes a Store of what was copied away: a store, or the folder of one
// domain or one chain without the store around it.
//
// What is missing or damaged is reported, never repaired. In particular a
// damaged newest manifest, or files newer than any manifest, close a chain:
// its older points can be read, nothing is added, nothing is deleted.
//
// Everything goes through FS, one small interface, because the promises above
// are about the moment between two system calls: package storetest dies at
// each of them.
package local
