domain "web" {
  match        = ["web*", "www-[0-9]"]
  exclude      = ["*-scratch"]
  exclude_tags = { backup = "off" }
  hosts        = [host.local]
  policy       = policy.gold
  every        = "6h" # instead of what the policy says
}

domain "databases" {
  tags   = { tier = "gold*" }
  policy = policy.gold
}

domain "mail" {
  uuids  = ["4c1f9d2a-7d1e-4d0a-9b55-0a1b2c3d4e5f"]
  policy = policy.gold
}

domain "rest" {
  fallback = true # what the other blocks leave
  store    = store.local.nas
}
