locals {
  tiers   = ["gold", "silver"]
  pattern = "${local.tiers[0]}-*"
}
