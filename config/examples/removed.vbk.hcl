removed {
  from = domain.old_erp
}
