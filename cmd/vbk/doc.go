// Command vbk backs up libvirt/QEMU virtual machines as a configuration
// declares: it compares what is wanted with what is there (vbk plan), does
// what was reviewed (vbk apply), and brings data back (vbk restore).
//
// Reading the source: main.go holds the table of commands and the only exit;
// each command is the file of its name; shelf.go opens what -i PATH names; world.go opens hosts and stores;
// view_*.go and bars.go turn plans and events into text and JSON, which count the same: changes.go lists what a plan
// does, point by point. Nothing below this package prints or exits.
package main
