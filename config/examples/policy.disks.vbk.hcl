policy "gold" {
  disks {
    include   = ["vd*"]
    exclude   = ["vdz"]
    raw       = "resync"
    encrypted = "fail"
  }
}
