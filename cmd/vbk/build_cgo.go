//go:build cgo

package main

// build says what this build can do.
const build = "with libvirt and NBD"

// overwritesImages: images that exist are written through NBD.
const overwritesImages = true

// hasLibvirt: machines can be defined and started.
const hasLibvirt = true
