# Grandfather, father, son: daily points for two weeks, weekly ones for two months, monthly ones for
# a year. Each week has a chain of its own, a full and six increments. What is kept of the weeks and
# months is their fulls, which need no other point: a damaged file costs a week at most. That safety
# has its price, because a chain goes as a whole: 20 times the space of a full. "forever" is the
# other end: a third of that, and all of it builds on one full.
vbk {
  time_zone = "Europe/Berlin" # of the schedule, and of days, weeks and months
}

store "local" "nas" {
  path     = "/srv/backup"
  min_free = "100GiB" # below it no backup begins, and one under way is given up; other people use the disk, too
}

domain "all" {
  match    = ["*"] # machines to come as well
  store    = store.local.nas
  schedule = "30 1 * * *"
  rpo      = "30h" # one missed night shows in vbk status the next morning; the default, 48h, lets it pass

  # From the first full on, so on the weekday on which that was made; vbk apply -full domain.all moves it.
  chain {
    full_every = "7d"
  }

  retention {
    keep_daily   = 14
    keep_weekly  = 8
    keep_monthly = 12
    anchor       = "full" # weeks and months are kept as fulls
  }

  # Every stored byte is read once in 30 days, some of it each night.
  verify {
    every = "30d"
  }
}
