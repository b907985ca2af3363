# Daily points for two weeks, weekly ones for two months, monthly ones for a
# year. Every Sunday night a full; what a week no longer needs goes with its chain.
vbk {
  time_zone = "Europe/Berlin"
}

store "local" "nas" {
  path     = "/srv/backup"
  min_free = "100GiB"
}

domain "all" {
  match    = ["*"]
  store    = store.local.nas
  schedule = "30 1 * * *"
  rpo      = "30h"

  chain {
    full_every = "7d"
  }

  retention {
    keep_daily   = 14
    keep_weekly  = 8
    keep_monthly = 12
    anchor       = "full" # weeks and months are kept as fulls, which need nothing else
  }
}
