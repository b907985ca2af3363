//go:build !cgo

package main

// build says what this build can do.
const build = "static, without libvirt and NBD"

// overwritesImages: images that exist are written through NBD.
const overwritesImages = false

// hasLibvirt: machines can be defined and started.
const hasLibvirt = false
