package plan

import (
	"fmt"
	"math"
	"time"
)

// Age prints a span the way a person says it: 40m, 25h, 9d.
func Age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 72*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(math.Round(d.Hours()/24)))
}

// Bytes prints a size with three digits: 512 B, 1.50 KiB, 118 GiB.
func Bytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), 0
	for value >= 1000 && unit < 5 {
		value /= 1024
		unit++
	}
	name := [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}[unit]
	switch {
	case value < 10:
		return fmt.Sprintf("%.2f %s", value, name)
	case value < 100:
		return fmt.Sprintf("%.1f %s", value, name)
	}
	return fmt.Sprintf("%.0f %s", value, name)
}
