// Package plan decides what is to be done, and why.
//
//	Make(want config.Config, have Inventory, now) Plan
//
// is total, deterministic and touches nothing. Survey is the one function here
// that looks outside, through read-only interfaces.
//
// The parts, each a file:
//
//	plan.go       the plan, as data
//	make.go       Make: all instances, and what is not one
//	inventory.go  what exists: hosts with their domains, stores with their chains
//	survey.go     how it is looked up
//	claims.go     which block takes which domain
//	want.go       what one instance is meant to be: address, policy, store, host
//	decide.go     Decide(want, seen, now): the actions of one instance, with reasons
//	backup.go     full or increment, per disk
//	cleanup.go    what an interrupted run left
//	retention.go  which points are kept by which rule
//	prune.go      which chains go, and when
//	check.go      is a planned action still right? holds, satisfied or stale
//	file.go       the saved plan: Encode, Decode, Bind
//	units.go      spans and sizes as people say them
//
// A domain on a store is an instance. Everything that is decided about it is
// decided by Decide, from values alone: Make calls it for every instance, and
// the executor calls it again under the lock, right before it acts, to see
// whether a planned action still is what would be planned. So a saved plan
// can only become weaker by waiting, and editing one cannot make it do
// anything that the configuration and plan's flags could not.
//
// Damage never leads to less: a damaged point counts for no rule and is held
// where it would be if it were sound, and nothing is built on it.
//
// docs/behaviours.md is the table of what is found and what is done.
package plan
