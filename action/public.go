package action

import (
	"context"
	"fmt"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/scan"
	"github.com/bot-bottle/action/internal/secret"
)

// public gives text as it may stand where others read it: a summary, a comment, an
// issue. Names of files, for one, were the guest's choice. What holds a secret, or could
// not be looked at, is withheld as a whole: it is on the host.
func public(ctx context.Context, text string, known ...secret.Value) string {
	return newCensor(known).pass(ctx, text)
}

// censor is public for several texts: to load the rules takes longer than most of them.
type censor struct {
	scanner *scan.Scanner
	err     error // why there is none
}

func newCensor(known []secret.Value) (c censor) {
	c.scanner, c.err = scan.New(known)
	return c
}

func (c censor) pass(ctx context.Context, text string) string {
	if mutation.On(mutation.ResultsUnscanned) {
		return text
	}
	if c.err != nil {
		return withheld(c.err.Error())
	}
	found, err := c.scanner.Text(context.WithoutCancel(ctx), text) // that of a cancelled job has ended
	if err != nil {
		return withheld(err.Error())
	}
	if len(found) > 0 {
		return withheld(fmt.Sprintf("%s found one, by its rule %q", found[0].Detector, found[0].Rule))
	}
	return text
}

func withheld(why string) string {
	return "This is withheld, because it may hold a secret: " + report.Code(why) + ". It is in the report on the host.\n"
}
