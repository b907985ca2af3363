// Package format reads and writes v3 files: one disk of one restore point, in
// one file, with an index. It reads the streams of virtnbdbackup, v1 and v2, and
// raw images into the same index. docs/format.md is the specification; this page
// is the map.
//
// # A file
//
//	header | chunks | hashes | index | footer
//
// It is appended once, front to back, and never rewritten, so that it can go
// to a pipe as well as to a disk. The header says what is known before the
// first byte of the guest: which disk of which point of which chain, and
// whether the file stands alone (Base). Chunks hold data of the guest, at most
// 1 MiB each, compressed one by one. The hashes are keyed, one for every 64 KiB
// of data (a grain), so that what a guest holds today can be compared with what
// the chain holds without reading the chain. The index says where each chunk
// lies and which ranges are zero. The footer seals all of it: a file without a
// valid footer holds nothing.
//
//	w, err := format.NewWriter(f, header, format.Options{Codec: format.Zstd})
//	w.Data(0, buf)              // from any number of goroutines
//	w.Zero(1<<20, 1<<30)
//	summary, err := w.Close()   // then fsync f
//
// # A chain
//
// An Image lays the files of a chain over one another, newest on top, and is
// the disk as the guest saw it at the newest point:
//
//	img, err := format.NewImage(base, inc1, inc2)
//	for x := range img.Extents(0, img.Size()) {
//		if x.Zero { continue }              // any length
//		...                                 // data
//	}
//	img.ReadAt(buf[:length], offset)
//
// What lies under newer data is never read. No chunk of a v3 file crosses a
// multiple of 1 MiB, and many extents may show the same chunk. So who reads a
// whole disk joins data extents that touch, cuts them at multiples of 1 MiB and
// reads each piece with one ReadAt, from as many goroutines as there are cores.
// A chunk that is read in part, at the edge of zeroes, is kept for the next call.
//
// # A merge
//
// Merge makes one file of neighbours, which shows what they show. It decodes no
// chunk, and moves none where it need not: the caller can share ranges of files
// (reflink), or else the new file names chunks where they lie. Such a file is opened
// with those that it names:
//
//	m, err := format.Merge(ctx, out, []format.Named{{"a.v3", base}, {"b.v3", inc}}, format.MergeOptions{})
//	f, err := format.OpenWith(r, size, open)
//	err = format.SameMapping(before, after)    // of images without and with it
//	err = f.CheckStored(ctx, m.Probes)
//	unused, err := format.Unused("a.v3", f)    // what may be punched out of a.v3 now
//
// # Other streams
//
// To an Image a file is a Layer: facts, entries, and chunks that can be read. A
// File is one, and so is a Stream, which is a file of virtnbdbackup. Its chunks
// are compressed in pieces of up to 32 MiB; the Image keeps the last few, so that
// pieces of 1 MiB, read in order, decode each once. It has no hashes.
//
//	s, err := format.OpenStream(f, size)      // v1, v2
//	s, err := format.NewRaw(f, size, header)  // an image as it is
//	img, err := format.NewImage(full, inc1, inc2)
//
// Which files make a disk, package store/virtnbdbackup finds out. A StreamWriter
// writes v2, for those who want to restore without vbk, a RawWriter the disk as it
// is. Both are used like a Writer; but a stream says first how much data it holds.
//
// # Damage
//
// Readers trust nothing: whatever the bytes are, they end in an error that says
// what was expected, what was found and where; never in a panic, a loop or an
// allocation larger than the file itself justifies. Open refuses a file whose
// footer or header is unusable. Where only a page of the index is bad, the rest
// of the disk is still there: Open succeeds, File.Damage names the ranges that
// are lost, NewImage refuses such a file, and Salvage takes it and answers with
// an error where, and only where, something was lost. File.Check reads
// everything and lists every violation. That a reader failed (an I/O error, no more
// file descriptors) is no damage: IsUnread tells.
package format
