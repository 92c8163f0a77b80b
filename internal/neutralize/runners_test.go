package neutralize_test

import (
	"regexp"
	"strings"
	"unicode"
)

// What the runners take for a command, each written down from its source (see
// the package comment). GitHub's looks at the names it knows; here every name
// counts as known.
var (
	actColons    = regexp.MustCompile(`^::([^ ]+?)( (.+?))?::([^\r\n]*)[\r\n]*$`)
	actBrackets  = regexp.MustCompile(`^##\[([^ ]+)( (.+))?]([^\r\n]*)[\r\n]*$`)
	giteaColons  = regexp.MustCompile(`^::([^ :]+)( .*)?::(.*)$`)
	giteaLogView = regexp.MustCompile(`^(::(group|endgroup|error|warning|notice|debug|add-matcher|remove-matcher)|##\[)`)
)

// commandIn gives the first line of log that any runner takes for a command. It
// looks at each line as it is, and as one sees it who counts what is invisible
// and what is colour as absent.
func commandIn(log string) (line string, found bool) {
	for _, line := range strings.FieldsFunc(log, endsLine) {
		for _, seen := range []string{line, colour.ReplaceAllString(line, ""), strings.Map(visible, line), strings.Map(visible, colour.ReplaceAllString(line, ""))} {
			if isCommand(seen) {
				return line, true
			}
		}
	}
	return "", false
}

var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

func isCommand(line string) bool {
	return actColons.MatchString(line) || actBrackets.MatchString(line) || giteaColons.MatchString(line) ||
		giteaLogView.MatchString(line) || gitHubColons(line) || gitHubBrackets(line)
}

// gitHubColons is ActionCommand.TryParseV2.
func gitHubColons(line string) bool {
	info, ok := strings.CutPrefix(strings.TrimLeftFunc(line, unicode.IsSpace), "::")
	return ok && strings.Contains(info, "::")
}

// gitHubBrackets is ActionCommand.TryParse.
func gitHubBrackets(line string) bool {
	_, info, ok := strings.Cut(line, "##[")
	return ok && strings.Contains(info, "]")
}

// endsLine is the union of what readers take for the end of a line.
func endsLine(r rune) bool { return strings.ContainsRune("\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029", r) }

func visible(r rune) rune {
	if r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)) {
		return -1
	}
	return r
}
