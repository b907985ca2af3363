// Package store is the vocabulary of a place where restore points live: the
// mark of a store, the folder of a domain, its chains, and the manifest that
// alone decides which restore points exist. docs/format.md, "Folders" and
// "Commit", is the specification.
//
// A point exists if and only if the newest manifest of its chain lists it.
// Order is by chain number and sequence, never by a clock.
//
// Every name on disk is made and taken apart in names.go. A manifest that
// contradicts itself is neither written nor read: what DecodeManifest returns
// has plain file names, rising sequences and parents that exist.
//
// Package store/local keeps a store in a directory; package store/storetest
// is a disk that forgets what was not synced, to test it on.
package store
