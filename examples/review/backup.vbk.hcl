# A configuration that is changed by merge requests: see README.md beside it.
vbk {
  name = "reviewed"
}

store "local" "nas" {
  path = "/srv/backup"
}

domain "web" {
  match = ["web*"]
  store = store.local.nas

  chain {
    max_increments = 6 # a full and six increments: one chain a week
  }

  retention {
    keep_daily = 7
  }
}

check "coverage" {
  assert {
    condition     = length(vbk.unclaimed) == 0
    error_message = "Not backed up: ${join(", ", vbk.unclaimed)}."
  }
}
