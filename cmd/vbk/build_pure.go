//go:build !cgo

package main

// build says what this build can do.
const build = "static, without libvirt and NBD"

// writesQcow2: qcow2 images are written through NBD.
const writesQcow2 = false

// hasLibvirt: machines can be defined and started.
const hasLibvirt = false
