package manifest

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/bot-bottle/action/internal/policy"
)

var limitsLater = map[string]string{
	"bandwidth": "a bandwidth",
}

func (r *reader) limits(n ast.Node, at string) policy.Limits {
	var l policy.Limits
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"memory":       func(n ast.Node, at string) { l.MemoryBytes = r.size(n, at) },
			"disk":         func(n ast.Node, at string) { l.DiskBytes = r.size(n, at) },
			"cpus":         func(n ast.Node, at string) { l.CPUs = r.count(n, at) },
			"pids":         func(n ast.Node, at string) { l.PIDs = r.count(n, at) },
			"timeout":      func(n ast.Node, at string) { l.Timeout = r.duration(n, at) },
			"requests":     func(n ast.Node, at string) { l.Requests = r.count64(n, at, math.MaxInt64) },
			"egress_bytes": func(n ast.Node, at string) { l.EgressBytes = r.size(n, at) },
			"tokens":       func(n ast.Node, at string) { l.Tokens = r.count64(n, at, math.MaxInt64) },
			"cost":         func(n ast.Node, at string) { l.Cost = r.cost(n, at) },
			"best_effort":  func(n ast.Node, at string) { l.BestEffort, _ = r.boolean(n, at) },
		},
		later: limitsLater,
	})
	return l
}

// count reads a limit, of which zero would mean the default in a policy and
// "none" to a reader.
func (r *reader) count(n ast.Node, at string) int { return int(r.count64(n, at, math.MaxInt32)) }

func (r *reader) count64(n ast.Node, at string, most int64) int64 {
	v, ok := r.integer(n, at)
	if ok && (v <= 0 || v > most) {
		r.at(at, "remove the key for the default; there is no unlimited one", fmt.Errorf("%d is no limit", v))
	}
	return v
}

// duration reads what time.ParseDuration does; it has to be positive.
func (r *reader) duration(n ast.Node, at string) time.Duration {
	const hint = "write a positive time such as 30m or 1h30m; there is no unlimited one"
	if i, isNumber := n.(*ast.IntegerNode); isNumber {
		r.at(at, hint, fmt.Errorf("%s has no unit", i.Token.Value))
		return 0
	}
	text, ok := r.text(n, at)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		r.at(at, hint, fmt.Errorf("%.80q is not a time", text))
	case d <= 0:
		r.at(at, hint, fmt.Errorf("%q is not positive", text))
	}
	return d
}

// units of sizes: those of IEC 80000-13, and the decimal ones that look like
// them. Bare letters are refused because people disagree about them.
var units = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
}

func (r *reader) size(n ast.Node, at string) int64 {
	const hint = "write a whole number and a unit, such as 512MiB or 2GiB"
	if i, isNumber := n.(*ast.IntegerNode); isNumber {
		r.at(at, hint, fmt.Errorf("%s has no unit", i.Token.Value))
		return 0
	}
	text, ok := r.text(n, at)
	if !ok {
		return 0
	}
	size, err := parseSize(text)
	if err != nil {
		r.at(at, hint, err)
	}
	return size
}

func parseSize(text string) (int64, error) {
	for _, u := range units {
		digits, found := strings.CutSuffix(text, u.name)
		if !found {
			continue
		}
		v, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || v < 0 || v > math.MaxInt64/u.bytes {
			break
		}
		if v == 0 {
			return 0, errors.New("0 is no limit")
		}
		return v * u.bytes, nil
	}
	return 0, fmt.Errorf("%.80q is not a size", text)
}
