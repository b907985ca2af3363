// Package executor acts: it is the only package that changes anything.
//
//	Run(ctx, plan, bindings)   does what a plan says
//	Restore(ctx, point, ...)   writes disks of a point
//	RestoreTo(ctx, point, ...) writes a disk over what exists
//	Machine.Define(point, ...) makes a definition, which is registered on a host
//	Drill.Run(ctx, point, ...) boots a point, apart from everything
//	Instant                    runs a machine on a point while QEMU copies its disks
//	Import(ctx, importation)   lists the points of a folder of virtnbdbackup
//	Protect(ctx, point, ...)   keeps a point whatever the rules say
//
// Run locks the folder of each instance, looks again, cleans up what an
// interrupted run left, and asks plan.Check about each action right before it
// is done. Instances run side by side, bounded per host and in all; those of
// one domain follow each other. Where chains are only to be released there is no
// host: files go, and what an interrupted run had begun elsewhere stays recorded.
//
// A backup keeps the order of docs/format.md, "Commit":
//
//	record the attempt -> begin the job with a new checkpoint -> stream each
//	disk, every byte counted -> end the job -> sync files and folders ->
//	write the manifest: now the point exists -> delete what it makes useless
//
// Whatever fails before the manifest ends the job first, because the guest pays
// for it, and then deletes the new checkpoint and the files of the attempt; the
// older checkpoint has recorded all along, so the next increment holds every
// change. Cleaning up uses a context that outlives the cancelled one. What
// cannot be cleaned up stays in the record, and the next run does it. Where a
// commit cannot tell whether it happened (store.ErrUncertain), both checkpoints
// stay until the next run knows.
//
// A merge writes new files beside the old ones, compares what they show with what
// was there, extent by extent, and commits; only then the old files go.
//
// A disk that no bitmap describes is resynced: all of it that holds data is read
// and compared with the chain by the hashes of its grains, and what differs is
// stored as an increment.
//
// What a bitmap calls clean is audited: compared with the chain where allocation,
// or grains drawn at random, can show that it is not. A disk that fails is resynced
// in the same job. A checkpoint that libvirt has forgotten is redefined from the
// chain's copy of its XML before the job, if its bitmaps are sound.
//
// A domain that is shut off has no job: new bitmaps are added to its image files,
// which qemu-nbd then serves without a lock. As they record from before the first
// byte is read, images that are as they were when the last byte has been read are
// one instant; anything else is discarded.
//
// The guest comes first: a job ends early when its scratch files are about to
// fill their file system, when nothing moves any more, and when the store has no
// more than is to stay free; no call of the hypervisor is waited for without
// limit. A panic ends one instance, as a BugError.
//
// Or its QEMU is started for the time of the backup, paused; the record says so
// beforehand, and what ends it wants it to be that very start, whose guest never ran.
//
// What a verification that is planned finds is recorded beside the manifest. Damage
// ends the instance; the next plan closes the chain.
//
// Exports are read, and files of a chain are written, no faster than host and store
// allow (limit.go): all instances of a run share these rates.
//
// Convert and WritePeerFolder write what a chain holds anew, in another stream,
// and compare every byte before anything depends on it.
//
// All data moves through one loop, Copy, between a Source (an NBD export, a
// chain seen as one disk) and a Sink (a stream file, a raw file, an NBD
// export).
package executor
