policy "databases" {
  quiesce {
    mode        = "require"
    timeout     = "30s"
    filesystems = ["/", "/var/lib/postgresql"]
  }
}
