policy "gold" {
  verify {
    every = "30d"
  }
}
