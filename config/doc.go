// Package config reads what an operator declares, in HCL, and returns it as
// values with every default filled in, or as diagnostics that name the file,
// the line and the text at fault. It knows neither hypervisor nor store.
//
// # The language
//
// A configuration is all *.vbk.hcl and *.vbk.json files of one directory, not
// of those below it; the order of files and of blocks has no meaning.
//
//	vbk {
//	  name      = "site-a"        # recorded as the owner of chains
//	  time_zone = "Europe/Berlin" # "UTC" unless set
//	}
//
//	host "hv1" {                  # without any host block: host.local
//	  uri          = "qemu:///system"
//	  max_parallel = 2
//	  scratch_dir  = "/var/tmp"
//	}
//
//	store "local" "nas" {
//	  path     = "/srv/backup"    # relative: to the directory
//	  min_free = "0B"
//	}
//
//	policy "gold" {
//	  store   = store.local.nas
//	  every   = "24h"
//	  offline = "backup"          # or "skip"
//
//	  chain {
//	    full_every     = "7d"     # or "never"
//	    max_increments = 30
//	  }
//
//	  retention {                 # no keep rule: every point stays
//	    keep_daily = 7            # keep_last, _hourly, _weekly, _monthly, _yearly
//	    max_prune  = "50%"        # keep_within = "14d", min_chains = 1
//	  }
//
//	  disks {
//	    exclude = ["vdz"]         # include = ["vd*"]
//	  }
//
//	  compression {
//	    codec = "zstd"            # or "none"
//	    level = 1
//	  }
//	}
//
//	domain "web" {
//	  match   = ["web*"]
//	  exclude = ["*-scratch"]
//	  hosts   = [host.hv1]        # all hosts unless set
//	  policy  = policy.gold
//	  every   = "6h"
//	}
//
//	domain "rest" {
//	  fallback = true             # what no other block claims
//	  policy   = policy.gold
//	}
//
// # Meaning
//
// A domain block selects by match, uuids or fallback. Lists OR, attributes
// AND, exclude wins, an omitted criterion does not restrict. In a pattern *
// stands for any characters, ? for one, [a-z] for one of a class.
//
// A policy block and a domain block hold the same policy attributes. They
// override one by one: default, then policy, then domain; null resets to the
// default. Blocks merge attribute by attribute, but a retention block replaces
// the whole retention.
//
// References are values: store.local.nas, host.hv1 and policy.gold can stand
// in any expression that yields them. They are evaluated in phases: hosts and
// stores, then policies (which see both), then domains (which see all).
//
// Durations are whole numbers of w, d, h, m and s ("36h", "1d12h"), sizes of
// B, KiB, MiB, GiB, TiB, PiB or KB, MB, GB, TB, PB.
//
// What the language has but this version does not act on is refused with a
// sentence that says so. It is never ignored: a setting that silently does
// nothing is a backup that silently is not there.
//
// # Reading the source
//
// Load and Parse in load.go are the entry; parse.go is one pass over the
// phases. spec.go holds the blocks of the language as tables, decode.go the
// one function that reads a block against its table, scope.go the references,
// value.go and units.go the kinds of value, selector.go what a domain block
// claims.
package config
