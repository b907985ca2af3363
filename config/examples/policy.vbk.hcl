policy "base" {
  store    = store.local.nas
  schedule = "30 1 * * *"
  rpo      = "26h"

  retention {
    keep_daily  = 14
    keep_weekly = 8
  }
}

policy "gold" {
  extends = policy.base

  quiesce {
    mode = "require"
  }
}
