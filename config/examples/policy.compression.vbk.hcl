policy "gold" {
  compression {
    codec = "zstd"
    level = 3
  }
}
