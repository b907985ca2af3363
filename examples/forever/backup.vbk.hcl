# One full, then increments for ever. What no rule keeps is merged into the next point, so that the
# folder holds the kept points and nothing else, and no second full is ever read from the machines:
# about three times the space of a full, where whole chains take ten (docs/policy.md).
#
# Everything builds on one full: a damaged block in it is damaged in every point. So all of it is
# read again and again (verify), what a bitmap calls clean is compared with the chain in each run
# (audit, by default), and a copy elsewhere is due: docs/offsite.md.
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

  # Damage is found within two weeks, and closes the chain: the next point is a full of a new one.
  verify {
    every = "14d"
  }
}
