policy "gold" {
  chain {
    full_every     = "30d"
    max_increments = 90
    on_broken      = "resync"
  }
}
