# Three classes. A machine says which one it is in by a tag in its metadata:
#
#   virsh metadata db-1 urn:vbk:tags:1 --key vbk --set '<tags tier="gold"/>' --config --live
policy "base" {
  store    = store.local.nas
  schedule = "30 1 * * *"
  rpo      = "30h"

  retention {
    keep_daily  = 14
    keep_weekly = 8
  }
}

policy "gold" {
  extends  = policy.base
  schedule = "0 */4 * * *"
  rpo      = "8h"

  chain {
    full_every     = "14d"
    max_increments = 90
  }

  retention {
    keep_last    = 12
    keep_daily   = 30
    keep_weekly  = 12
    keep_monthly = 24
    keep_yearly  = 5
  }
}

policy "bronze" {
  extends = policy.base

  retention {
    keep_within = "7d"
  }
}

domain "gold" {
  tags   = { tier = "gold" }
  policy = policy.gold
}

domain "silver" {
  fallback     = true
  exclude_tags = { tier = "none" }
  policy       = policy.base
  min_change   = "16MiB"
}

domain "lab" {
  tags    = { tier = "bronze" }
  policy  = policy.bronze
  offline = "skip"

  disks {
    exclude = ["vdz"] # scratch
  }
}

check "late" {
  assert {
    condition     = alltrue([for i in vbk.instances : i.age == null ? true : i.age <= i.rpo])
    error_message = "Late: ${join(", ", [for i in vbk.instances : i.name if i.age == null ? false : i.age > i.rpo])}."
  }
}
