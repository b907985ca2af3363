# Machines that virtnbdbackup has backed up so far: see README.md beside it.
store "local" "nas" {
  path = "/srv/backup"
}

# Its chain goes on as it is: virtnbdrestore still reads every point.
domain "legacy" {
  match  = ["erp"]
  store  = store.local.nas
  stream = "virtnbdbackup"
  retention { keep_daily = 14 }
}

# The others begin anew, or go on after vbk convert.
domain "rest" {
  fallback = true
  store    = store.local.nas
  retention { keep_daily = 14 }
}
