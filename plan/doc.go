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
//	address.go    what -target and the like mean
//	inventory.go  what exists: hosts with their domains, stores with their chains
//	survey.go     how it is looked up
//	claims.go     which block takes which domain
//	want.go       what one instance is meant to be: address, policy, store, host
//	decide.go     Decide(want, seen, now): the actions of one instance, with reasons
//	due.go        is a backup due? every, schedule, the newest sound point
//	schedule.go   a cron line, day by day
//	backup.go     full or increment
//	chain.go      when a new chain begins
//	disks.go      which disks take part, and how each joins the chain
//	redefine.go   a checkpoint that libvirt has forgotten
//	offline.go    a domain that is shut off
//	cleanup.go    what an interrupted run left
//	retention.go  which points are kept by which rule
//	prune.go      which chains go, and when
//	merge.go      which points inside a chain go
//	departed.go   folders that nobody claims, and when their chains go
//	estimate.go   bytes and time, by history; what a plan does to a store's space
//	check.go      is a planned action still right? holds, satisfied or stale
//	file.go       the saved plan: Encode, Decode, Bind
//	results.go    what check blocks see
//	simulate.go   a policy played for days to come
//	compare.go    what a change of the configuration does, and nothing else
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
