package attack

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bot-bottle/action/internal/guest/probe"
)

// Main is `bot-bottle guest attack`: a Plan comes in as JSON, Results go out. It
// gives the exit code, which is 0 whatever the attempts met. The caller's user is
// the one that tries.
func Main(stdin io.Reader, stdout io.Writer) int {
	results, code := Results{UID: os.Geteuid()}, 0
	plan, err := ReadPlan(stdin)
	if err == nil && plan.Leave != "" {
		if err := leave(plan, stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	if err == nil {
		err = results.run(plan)
	}
	if err != nil {
		results.Error, code = err.Error(), 1
	}
	if err := json.NewEncoder(stdout).Encode(results); err != nil {
		return 1 // nobody is there to be told
	}
	return code
}

func (r *Results) run(plan Plan) error {
	pem, err := os.ReadFile(plan.CAFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for i, id := range plan.Cases {
		c, ok := Find(id)
		if !ok {
			return fmt.Errorf("there is no case %q", id)
		}
		p := &prober{plan: plan, canary: plan.Canary[id], twin: plan.Twin[id], roots: roots}
		r.Cases = append(r.Cases, p.play(c, i))
	}
	return nil
}

// play runs one case between two marks at the egress door, by which the host tells
// whose the lines in its log are: the attempts, a mark, the twin, a mark. Then it
// looks for what is left of it.
func (p *prober) play(c Case, number int) (result Result) {
	result.ID = c.ID
	before := present()
	defer func() { result.Left = left(before) }()
	if err := p.mark(number, "attack"); err != nil {
		result.Error = err.Error()
		return result
	}
	switch {
	case c.paths:
		result.Tries = p.paths(c.ID)
	case c.run != nil:
		result.Tries = c.run(p)
	}
	if err := p.mark(number, "twin"); err != nil {
		result.Error = err.Error()
		return result
	}
	if c.twin != nil {
		t := c.twin(p)
		result.Twin = &t
	}
	return result
}

// Mark is the host of the request that begins a part of a case.
func Mark(number int, part string) string {
	return fmt.Sprintf("case-%d-%s.mark.invalid", number, part)
}

func (p *prober) mark(number int, part string) error {
	host := Mark(number, part)
	a, err := say(p.egress(), absolute(host, "/", host))
	if err == nil && a.status < 400 {
		err = errors.New("the door let a mark pass")
	}
	if err != nil {
		return fmt.Errorf("marking the log: %w", err)
	}
	return nil
}

// paths makes the tries that the host gave, all at once.
func (p *prober) paths(id string) []Try {
	plan := probe.Plan{Nonce: p.canary, Tries: p.plan.Paths[id]}
	var tries []Try
	for _, r := range probe.Run(context.Background(), plan).Tries {
		tries = append(tries, Try{Name: r.Try.String(), Want: WantPath, Outcome: r.Outcome, Errno: r.Errno, Detail: r.Detail, Elapsed: r.Elapsed, Probe: &r})
	}
	return tries
}
