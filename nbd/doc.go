// Package nbd reads and writes disks that QEMU, qemu-nbd and others export by
// the NBD protocol, over a unix socket; and it exports disks to others.
//
// # A connection
//
//	c, err := nbd.Dial(ctx, socket, "vda", nbd.Options{Bitmap: "backup-vda"})
//	extents, err := c.Extents(ctx, 0, c.Size())
//	err = c.ReadBatch(ctx, reads)
//	err = c.Close()
//
// Extents says which ranges read as zeroes and which are dirty, ReadBatch fills
// many buffers with several requests in flight, WriteBatch, Zero and Flush do the
// other direction. ReadAt and WriteAt fit io.ReaderAt and io.WriterAt.
//
// A Conn belongs to one goroutine at a time. Every error is final: the
// connection is closed there and then, and each later call returns the first
// error again. Only io.EOF of ReadAt is not an error. Whoever wants to go on
// dials again.
//
// # What is trusted
//
// Nothing that a server says is taken for data unless it is complete. A
// structured reply may come in pieces, in any order; NBD clients in the field
// take "done" for an answer when pieces are missing, and hand out zeroes. Here
// the pieces of each reply must tile the request: none missing, none twice,
// none outside. A hole in a reply is zeroes because the server said so, for
// exactly that range.
//
// Block status is believed as far as the protocol goes. Each context (base:
// allocation, and a dirty bitmap) keeps its own coverage, because a server may
// answer less than asked, and by a different amount for each; the next query
// starts where the shorter one ends. Only NBD_STATE_ZERO makes a range zero: a
// hole without it has to be read. Where a server offers no base:allocation,
// everything is data; where it lacks a bitmap that was asked for, Dial fails.
//
// # A server
//
//	s := nbd.Server{Offers: []nbd.Offer{{Name: "vda", Disk: disk}}}
//	err := s.Serve(ctx, listener)
//
// A Disk is an io.ReaderAt that knows where it is zero; a WritableDisk takes
// changes too, and an Overlay keeps them in a file beside a disk that is never
// changed. The server is plain Go, so every build has it: serve.go accepts,
// negotiate.go haggles about options, transmit.go answers requests, four at a
// time on each connection, and reply.go is what they answer with. What a client
// can make it hold is bounded: options, bytes of requests under way, and 64
// connections, beyond which one is closed at once. A part of a disk that cannot be
// read is an error for the client, never zeroes, and is told to Server.Report.
//
// # How the client works
//
// The C library libnbd speaks the protocol. The Go side (conn.go, batch.go,
// extent.go) checks ranges, splits and names what failed; wire_cgo.go carries a
// batch over to wire.c in one call, which keeps the requests in flight, counts
// and returns when the last has been answered. Buffers are pinned for the
// length of that call, no Go function is called back. A failure closes
// libnbd's handle before the call returns, so nothing writes into a buffer
// afterwards.
//
// When a context ends, a goroutine shuts the socket down under the call, which
// then returns at once. This needs a descriptor of our own: libnbd closes its
// own one whenever it sees fit, and the number may belong to someone else by
// then.
//
// Without cgo (nocgo.go) Dial says what is missing.
//
// Package nbdtest has a server whose replies a test writes itself, lies
// included.
//
// Protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md.
// Bitmaps: QEMU's docs/interop/nbd.txt.
package nbd
