# Three classes. A machine says which one it is in by a tag in its metadata:
#
#   virsh metadata db-1 urn:vbk:tags:1 --key vbk --set '<tags tier="gold"/>' --config --live
#
# One without a tag is silver: nothing is forgotten because somebody forgot a tag. What is to have
# no backup says so, by tier="none", and "Not backed up" of vbk plan lists it.
policy "base" {
  store    = store.local.nas
  schedule = "30 1 * * *"
  rpo      = "30h" # one missed night shows

  retention {
    keep_daily  = 14
    keep_weekly = 8
  }

  verify {
    every = "30d"
  }
}

# Six points a day. Merging keeps the 70 that the rules name, and not the 1400 of all chains that hold
# one of them; a full every 90 days is one to fall back on.
policy "gold" {
  extends  = policy.base
  schedule = "0 */4 * * *"
  rpo      = "8h"

  chain {
    full_every = "90d"
  }

  retention {
    keep_last    = 12 # two days, each point
    keep_daily   = 30
    keep_weekly  = 12
    keep_monthly = 24
    prune        = "merge"
  }

  # No point of a file system that was not at rest. Needs qemu-guest-agent in the guest; databases
  # that want more than that are told by its freeze hook.
  quiesce {
    mode = "require"
  }
}

policy "bronze" {
  extends = policy.base

  retention { # replaces that of base whole
    keep_within = "7d"
  }
}

domain "gold" {
  tags   = { tier = "gold" }
  policy = policy.gold
}

domain "silver" {
  fallback     = true # what no other block claims
  exclude_tags = { tier = "none" }
  policy       = policy.base
  min_change   = "16MiB" # an idle machine gets no point for its log files, as long as rpo allows
}

domain "lab" {
  tags    = { tier = "bronze" }
  policy  = policy.bronze
  offline = "skip" # what is shut off in the lab stays as it was backed up last

  disks {
    exclude = ["vdz"] # scratch: not in the points, and not in what is restored
  }
}

# vbk status fails by this, too, and exits 4; vbk plan warns.
check "late" {
  assert {
    condition     = alltrue([for i in vbk.instances : i.age != null && i.age <= i.rpo])
    error_message = "Late: ${join(", ", [for i in vbk.instances : i.name if i.age == null || try(i.age > i.rpo, true)])}."
  }
}
