package action

import (
	"context"
	"strings"

	"github.com/bot-bottle/action/internal/escape"
)

// alone tells whether nothing but the suite is asked for: it needs neither a
// bottle nor an agent.
func (in Inputs) alone() bool {
	return in.Escape != "" && len(in.Bottles) == 0 && in.Agent == "" && in.Command == "" && in.Prompt == "" && in.PromptFile == ""
}

// attack boots a bottle for the suite alone, has it attacked, and tells.
func (w World) attack(ctx context.Context, v *voice, h Handover, in Inputs) done {
	suite, err := escape.New(ctx, in.Escape, nil)
	if err != nil {
		return done{Result: Refusal(err)}
	}
	defer suite.Close()
	result := w.Attack(ctx, h.runName(), in.Backend, suite, v)
	return done{Result: result, suite: w.tellSuite(v, suite, result.Report.Dir)}
}

// quickly gives the suite that is to run in the job's own bottle, or nil.
func (in Inputs) quickly(ctx context.Context) (*escape.Suite, error) {
	if in.Escape != escape.Quick {
		return nil, nil
	}
	return escape.New(ctx, escape.Quick, nil)
}

// tellSuite writes what came of a suite into the log, in a group of its own, into
// the summary, and into the report's folder. It gives nil if its bottle never came
// to it.
func (w World) tellSuite(v *voice, suite *escape.Suite, dir string) *escape.Report {
	r := suite.Report()
	if len(r.Cases) == 0 {
		return nil
	}
	var table strings.Builder
	if err := r.Table(&table); err != nil {
		v.failure(err)
	}
	v.action.Group("sandbox-escape suite")
	for line := range strings.Lines(table.String()) {
		v.line(strings.TrimSuffix(line, "\n"))
	}
	v.action.EndGroup()
	if err := writeSummary(w.Getenv("GITHUB_STEP_SUMMARY"), r.Markdown()+"\n"); err != nil {
		v.failure(err)
	}
	if dir != "" {
		if err := r.Write(dir); err != nil {
			v.failure(err)
		}
	}
	return &r
}
