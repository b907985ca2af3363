policy "gold" {
  extra {
    nvram  = true
    tpm    = true
    kernel = false
  }
}
