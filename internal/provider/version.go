package provider

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// version is major, minor and patch.
type version [3]int

// parseVersion reads "v20.1.2", "2.1.197" or "20"; what is no number counts as 0.
func parseVersion(s string) version {
	var v version
	s, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimSpace(s), "v"), "-")
	for i, part := range strings.SplitN(s, ".", len(v)) {
		v[i], _ = strconv.Atoi(strings.TrimSpace(part))
	}
	return v
}

func (v version) compare(o version) int {
	return cmp.Or(cmp.Compare(v[0], o[0]), cmp.Compare(v[1], o[1]), cmp.Compare(v[2], o[2]))
}

func (v version) atLeast(o version) bool { return v.compare(o) >= 0 }

// String gives "20.1.2".
func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }
