# One full, then increments for ever. What no rule keeps is merged into the next
# point, so that the folder holds the kept points and nothing else, and no
# second full is ever read.
store "local" "nas" {
  path = "/srv/backup"
}

domain "web" {
  match = ["web*"]
  store = store.local.nas

  chain {
    full_every = "never"
  }

  retention {
    keep_daily   = 7
    keep_weekly  = 4
    keep_monthly = 6
    prune        = "merge"
  }
}
