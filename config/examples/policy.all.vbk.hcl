policy "nightly" {
  store      = store.local.nas
  schedule   = "30 1 * * *"
  rpo        = "30h"
  mode       = "incremental"
  offline    = "backup"
  min_change = "16MiB"
  stream     = "v3"
  audit      = 128
}

policy "often" {
  store = store.local.nas
  every = "1h"
}
