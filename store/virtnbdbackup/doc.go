// Package virtnbdbackup reads the folders of virtnbdbackup, and never writes
// one. docs/format.md, "Streams of virtnbdbackup", says what is in them.
//
//	folder, err := virtnbdbackup.Open(os.DirFS(dir))
//	for _, p := range folder.Points { ... }    // oldest first
//	disk, err := folder.OpenDisk(p.Name, "vda") // a *format.Image; Close it
//	err = folder.Check(ctx, true, report)       // every byte
//	chains, left, err := folder.Chains(ctx)     // for an import
//
// A folder holds the files of one domain: for each disk a full, increments and
// differences, or a copy. Nothing in it says which files make a restore point;
// virtnbdrestore takes all whose names begin with the disk's, by modification
// time. Here the headers decide: a file belongs to the checkpoint it names, and
// builds on the file of the checkpoint it calls its parent. The files of one
// checkpoint, over all disks, are a point; those that one difference run made,
// and the copies, are points too, on which nothing builds.
//
// Where that does not add up, because a file is missing, was overwritten, or two
// build on the same one, nothing is guessed: the disk of that point, and of all
// that build on it, has a Problem that names the files, and OpenDisk refuses it
// with the points that do restore.
//
// A point is what virtnbdbackup stored. Its increments since 2.21 leave out what
// the guest zeroed; there the older bytes come back, as with virtnbdrestore. One
// thing differs: where it stored a full in the middle of a chain, because a
// bitmap was lost, nothing older shows through.
package virtnbdbackup
