check "age" {
  assert {
    condition     = alltrue([for i in vbk.instances : i.age != null && i.age <= i.rpo])
    error_message = "Too old: ${join(", ", [for i in vbk.instances : i.name if i.age == null || try(i.age > i.rpo, true)])}."
  }
}

check "all_claimed" {
  assert {
    condition     = length(vbk.unclaimed) == 0
    error_message = "No block claims ${join(", ", vbk.unclaimed)}."
  }
}
