policy "gold" {
  copy "offsite" {
    to   = store.s3.offsite
    only = "full"

    retention {
      keep_monthly = 12
    }
  }
}
