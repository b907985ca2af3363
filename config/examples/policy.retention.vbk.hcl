policy "gold" {
  retention {
    keep_last    = 3
    keep_hourly  = 24
    keep_daily   = 14
    keep_weekly  = 8
    keep_monthly = 12
    keep_yearly  = 5
    keep_within  = "2d"
    anchor       = "any"
    prune        = "chain"
    min_chains   = 2
    max_prune    = "25%"
    departed     = "90d"
  }
}
