package action

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
)

// Output is one of action.yml's outputs.
type Output struct{ Name, Value string }

// Outputs are what the step hands to later ones. Their values are ours alone:
// words, numbers, ids and paths of files.
func Outputs(r runner.Result) []Output {
	return []Output{
		{"verdict", string(r.Report.Outcome.Verdict)},
		{"exit-code", strconv.Itoa(int(r.Code))},
		{"run-id", r.Report.Run.ID},
		{"report", r.Report.Dir},
		{"patch", patchFile(r.Report)},
		{"branch", pushed(r.Report).Branch()},
		{"refused", strconv.FormatInt(refusals(r.Report), 10)},
		{"backend", r.Report.Backend},
	}
}

// pushed is the branch of the job's repository that the agent pushed last; the zero
// value: none.
func pushed(r report.Report) (last report.Push) {
	for _, p := range r.Pushes {
		if p.Repository == policy.SelfRemote && p.Branch() != "" {
			last = p
		}
	}
	return last
}

// patchFile is the patch, where there is one with something in it.
func patchFile(r report.Report) string {
	if r.Changes == nil || r.Changes.Refused != "" || r.Changes.Withheld != "" || len(r.Changes.Files) == 0 {
		return ""
	}
	return filepath.Join(r.Dir, runner.PatchName)
}

// refusals counts the requests that the doors refused.
func refusals(r report.Report) int64 {
	var n int64
	for _, d := range r.Doors.Doors {
		n += d.Refused
	}
	return n
}

// writeOutputs appends to the runner's file of outputs, each value between
// delimiters that nobody can have known (docs.github.com, "Workflow commands",
// multiline strings).
func writeOutputs(path string, outputs []Output) error {
	var b strings.Builder
	for _, o := range outputs {
		delimiter := "bot-bottle-" + rand.Text()
		if strings.ContainsAny(o.Value, "\r\n\x00") {
			return term.Errorf(term.StagePost, path, "writing output %q: it has more than one line", o.Name)
		}
		fmt.Fprintf(&b, "%s<<%s\n%s\n%s\n", o.Name, delimiter, o.Value, delimiter)
	}
	return appendTo(path, "outputs", b.String())
}

// maxSummary is what GitHub takes of one step (docs.github.com, "Workflow
// commands", adding a job summary).
const maxSummary = 1 << 20

func writeSummary(path, markdown string) error {
	if len(markdown) > maxSummary {
		markdown = "The report is too long for a summary; it is in the report folder.\n"
	}
	return appendTo(path, "summary", markdown)
}

// appendTo does nothing where the runner has no such file.
func appendTo(path, what, text string) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}
	if err != nil {
		return term.Errorf(term.StagePost, path, "writing the runner's %s: %w", what, err)
	}
	return nil
}

// stepCode is how the step ends: what fail-on doesn't name does not fail it.
func stepCode(r runner.Result, on []Failure) runner.ExitCode {
	kind, mild := map[runner.ExitCode]Failure{
		runner.ExitAgent: FailAgent, runner.ExitEscape: FailEscape, runner.ExitPost: FailPost, runner.ExitSettle: FailCleanup,
	}[r.Code]
	if mild && !slices.Contains(on, kind) {
		r.Code = runner.ExitOK
	}
	if r.Code == runner.ExitOK && slices.Contains(on, FailRefused) && refusals(r.Report) > 0 {
		return runner.ExitAgent
	}
	return r.Code
}
