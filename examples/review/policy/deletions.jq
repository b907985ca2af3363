# The first rules of deletions.rego, where there is jq and no conftest:
#
#   vbk show -json plan | jq -r -f policy/deletions.jq
#
# prints a line for each rule that is broken, and nothing if all is well.
([.resource_changes[] | select(.change.actions | index("delete"))] | length) as $deleted
| if $deleted > 20 then "\($deleted) points would be deleted, 20 are allowed" else empty end,
  if .summary.freed_bytes > 536870912000 then "\(.summary.freed_bytes) bytes of points would be deleted, 536870912000 are allowed" else empty end,
  (.instances[] | select(.release) | "all points of \(.domain) would be deleted: \(.release)")
