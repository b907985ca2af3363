// Package config reads what an operator declares, in HCL, and returns it as
// values with every default filled in, or as diagnostics that name the file,
// the line and the text at fault. It knows neither hypervisor nor store.
//
// # The language
//
// A configuration is all *.vbk.hcl and *.vbk.json files of one directory, not
// of those below it; the order of files and of blocks has no meaning.
// docs/language.md explains it, docs/reference.md has every block and argument.
//
//	variable "site" {
//	  default = "ams"
//	}
//
//	host "hv" {
//	  for_each = { hv1 = "ams", hv2 = "fra" }
//	  labels   = { site = each.value }
//	}
//
//	store "local" "nas" {
//	  path = "/srv/backup"
//	}
//
//	policy "gold" {
//	  store    = store.local.nas
//	  schedule = "30 1 * * *"
//
//	  retention {
//	    keep_daily = 7
//	  }
//	}
//
//	domain "web" {
//	  match   = ["web*"]
//	  exclude = ["*-scratch"]
//	  hosts   = [for h in host.hv : h if h.labels.site == var.site]
//	  policy  = policy.gold
//	  every   = "6h"
//	}
//
//	domain "rest" {
//	  fallback = true # what no other block claims
//	  policy   = policy.gold
//	}
//
// # Meaning
//
// A policy block and a domain block hold the same policy attributes. They
// override one by one: default, then extended policy, then policy, then domain;
// null resets to the default. Blocks merge attribute by attribute, but a
// retention block replaces the whole retention, and a copy or a hook the one
// with its label.
//
// References are values: objects with attributes for expressions, which carry
// in a capsule what they refer to. They are evaluated in phases: variables,
// locals, hosts and stores, policies (which see these), domains (which see all).
// A variable without a value is unknown, and so is what hangs on it; it is
// checked as far as its type goes. A sensitive one is marked, and refused
// wherever it would get into a plan.
//
// What the language has but this version does not act on is never ignored: it
// is an error, or it stands in Pending, for which the planner refuses the
// domains it concerns, or it is a warning where backups are the same without.
//
// # Reading the source
//
// Load and Parse in load.go are the entry; parse.go is one pass over the
// phases: variables.go, locals.go, places.go (encryptions and stores), host.go,
// domain.go (policies and domains), check.go. spec.go is how a table of the
// language is written, spec_policy.go the largest of them, decode.go the one
// function that reads a block against its table and notes where each setting
// comes from. scope.go evaluates expressions, reference.go is what they pass
// around, functions_table.go what they can call; kinds.go, value.go and units.go
// are the kinds of value, schedule.go and version.go two of their own.
// selector.go says what a domain block claims, results.go evaluates checks after
// a survey, effective.go and pending.go are about what came out.
//
// # The language as data
//
// The same tables describe the language: an argument is declared by its name, its
// kind, the place that it sets and a sentence about it, so there is none without
// the others. Describe in schema.go returns all of it: blocks (language.go),
// arguments, types (forms.go), values, functions, each block with an example from
// the directory examples, each function with a call and its result. The reference
// (docs/reference.md, vbk manual language) is written from it and from nothing
// else, and unexpected.go tells by it where a name belongs that stands in the
// wrong place. Who adds an argument adds one line to a table and one to an
// example, and runs make docs.
package config
