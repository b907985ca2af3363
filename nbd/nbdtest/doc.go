// Package nbdtest is an NBD server for tests whose every reply is written by
// the test: honest ones, and lies that a client must not believe.
//
//	socket := nbdtest.Serve(t, nbdtest.Export{Size: 4096}, func(p *nbdtest.Peer, r nbdtest.Request) {
//		p.Chunk(r, nbdtest.Done, nbdtest.TypeNone, nil) // "done", and not a byte of data
//	})
//
// Honest is a Handler for a disk in memory; a scripted one may fall back on it.
// The handshake is fixed newstyle with structured replies and meta contexts, as
// far as clients of today need it. Server code is the place where this package
// is simple: one connection after the other, no TLS, no lists.
package nbdtest
