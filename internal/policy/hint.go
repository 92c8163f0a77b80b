package policy

import (
	"fmt"
	"strings"
)

// maxHintPath bounds the path in a hint; a longer one is left out.
const maxHintPath = 512

// hint gives the lines of a bottle that would allow r. What the guest chose is
// in canonical form here, so only the method needs a check before it is quoted.
func hint(r Request, rule string) string {
	if r.Host.IsZero() || r.Port == 0 || rule == RuleMethodOverride {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "egress:\n  routes:\n    - host: %q\n", r.Host.String())
	if r.Port != DefaultPort {
		fmt.Fprintf(&b, "      port: %d\n", r.Port)
	}
	if lines := hintMatch(r); len(lines) > 0 && (rule == RuleMethod || rule == RuleNoMatch) {
		b.WriteString("      matches:\n        - " + strings.Join(lines, "          "))
	}
	return b.String()
}

func hintMatch(r Request) []string {
	var lines []string
	if isToken(r.Method) && len(r.Method) <= maxMethod {
		lines = append(lines, fmt.Sprintf("methods: [%q]\n", r.Method))
	}
	if len(r.Path) <= maxHintPath {
		lines = append(lines, fmt.Sprintf("path: {type: Exact, value: %q}\n", r.Path))
	}
	return lines
}
