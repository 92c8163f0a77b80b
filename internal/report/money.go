package report

import "fmt"

// Dollars shows millionths of a US dollar, to the cent, rounded up: a cost that is
// more than nothing doesn't look like nothing.
func Dollars(micros int64) string {
	const dollar, cent = 1_000_000, 10_000
	cents := micros/cent + min(micros%cent, 1)
	return fmt.Sprintf("$%d.%02d", cents/(dollar/cent), cents%(dollar/cent))
}
