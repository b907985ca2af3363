# One machine, one folder, a week of daily points. Everything else is the default: an increment a
# day, a full every seven days, so that 7 to 14 points are there, in two chains: a little more than
# twice the space of a full (vbk simulate).
store "local" "nas" {
  path = "/srv/backup"
}

domain "web" {
  match = ["web01"]
  store = store.local.nas
  retention { keep_daily = 7 }
}
