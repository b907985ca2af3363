# One machine, one folder, a week of daily points.
store "local" "nas" {
  path = "/srv/backup"
}

domain "web" {
  match = ["web01"]
  store = store.local.nas
  retention { keep_daily = 7 }
}
