//go:build !cgo

package main

// build says what this build can do.
const build = "static, without libvirt and NBD"
