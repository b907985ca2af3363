// Package bind makes a local store fit the interfaces through which package executor
// acts, for commands and tests alike:
//
//	bindings.Stores["store.local.nas"] = bind.Store{Store: opened}
//
// It decides nothing. That the executor has interfaces of its own, and does not know
// store/local, is what lets another kind of store stand beside it.
package bind
