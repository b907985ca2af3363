store "local" "nas" {
  path     = "/srv/backup"
  min_free = "200GiB"

  limits {
    write = "200MiB/s"
  }
}
