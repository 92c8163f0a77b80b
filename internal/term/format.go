package term

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bytes formats a size with three significant figures in powers of 1024:
// "312 B", "1.5 KiB", "4 GiB".
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 && n > -1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for (value >= 1023.5 || value <= -1023.5) && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%s %ciB", significant(value), units[unit])
}

// Duration formats d with about three significant figures, in the unit a person
// would use: "0.4 ms", "61 ms", "4.21 s", "3 min 20 s", "2 h 5 min".
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Duration(-d)
	case d < 9950*time.Microsecond:
		return significant2(float64(d)/float64(time.Millisecond)) + " ms"
	case d < 999500*time.Microsecond:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond)/time.Millisecond)
	case d < 59950*time.Millisecond:
		return significant(d.Seconds()) + " s"
	case d < time.Hour-500*time.Millisecond:
		return pair(d.Round(time.Second), time.Minute, "min", time.Second, "s")
	default:
		return pair(d.Round(time.Minute), time.Hour, "h", time.Minute, "min")
	}
}

func pair(d, big time.Duration, bigName string, small time.Duration, smallName string) string {
	text := fmt.Sprintf("%d %s", d/big, bigName)
	if rest := d % big / small; rest > 0 {
		text += fmt.Sprintf(" %d %s", rest, smallName)
	}
	return text
}

// significant gives v with three significant figures, without trailing zeros.
func significant(v float64) string {
	decimals := 2
	for limit := 9.995; v >= limit && decimals > 0; limit *= 10 {
		decimals--
	}
	return trimZeros(strconv.FormatFloat(v, 'f', decimals, 64))
}

// significant2 is for what is measured too coarsely for three figures.
func significant2(v float64) string {
	return trimZeros(strconv.FormatFloat(v, 'f', 1, 64))
}

func trimZeros(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}

// Count formats n with its noun: "1 file", "3 files". The plural is plural, or
// the noun with an "s" where that is empty.
func Count(n int64, noun, plural string) string {
	if plural == "" {
		plural = noun + "s"
	}
	if n == 1 {
		plural = noun
	}
	return fmt.Sprintf("%d %s", n, plural)
}

// Shorten gives s, or its first characters and an ellipsis if it has more than
// limit characters.
func Shorten(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}
