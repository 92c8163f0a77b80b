package ledger

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/internal/child"
	"golang.org/x/sync/errgroup"
)

func TestAliasesOf200ProcessesAtOnceAreDifferent(t *testing.T) {
	processes := 200
	if testing.Short() {
		processes = 40 // the race detector makes each process five times as slow; `make test` has them all without it
	}
	dir := stateDir(t)
	aliases := make([]string, processes)
	var g errgroup.Group
	for i := range processes {
		p := child.Start(t, child.Command("lease", dir)) // lives until the test ends
		g.Go(func() (err error) {
			aliases[i], err = p.Line()
			return err
		})
	}
	must(t, g.Wait())
	owner := map[string]int{}
	for i, a := range aliases {
		if other, taken := owner[a]; taken {
			t.Errorf("processes %d and %d both have %s", other, i, a)
		}
		owner[a] = i
	}
	// As many as there are, from the first on, without a hole.
	for n := range processes {
		if a := fmt.Sprintf("127.0.0.%d", firstAlias+n); owner[a] == 0 && aliases[0] != a {
			t.Errorf("nobody has %s", a)
		}
	}
	runs, err := open(t, dir).OpenRuns(t.Context())
	must(t, err)
	if len(runs) != processes {
		t.Errorf("%d open runs, want %d", len(runs), processes)
	}
}

func TestAnAliasIsLeasedOnceAndFreeAfterItsRelease(t *testing.T) {
	l := open(t, stateDir(t))
	lease := func(run string) netip.Addr {
		t.Helper()
		a, err := l.LeaseAlias(t.Context(), run)
		must(t, err)
		return a
	}
	a, _ := begin(t, l, "a")
	b, _ := begin(t, l, "b")
	c, _ := begin(t, l, "c")
	if first, again := lease(a.ID), lease(a.ID); first != again || first.String() != "127.0.0.16" {
		t.Errorf("leased %s, then %s", first, again)
	}
	lease(b.ID)
	must(t, l.ReleaseAlias(t.Context(), a.ID))
	must(t, l.ReleaseAlias(t.Context(), a.ID)) // nothing to release is nothing
	if got := lease(c.ID); got.String() != "127.0.0.16" {
		t.Errorf("the freed alias is not leased again, but %s", got)
	}
	if got := lease(a.ID); got.String() != "127.0.0.18" {
		t.Errorf("got %s, want the lowest that is free", got)
	}
}

func TestWhenAllAliasesAreLeasedItIsSaid(t *testing.T) {
	l := open(t, stateDir(t))
	_, err := l.db.Exec(`
		INSERT INTO runs (id, name, state, created, bottle, agent, backend, isolation, workspace)
		WITH RECURSIVE n(i) AS (VALUES (?) UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		SELECT 'run-' || i, '', 'open', 0, '', '', '', '', '' FROM n;
		INSERT INTO aliases SELECT substr(id, 5), id FROM runs;`, firstAlias, lastAlias)
	must(t, err)
	r, _ := begin(t, l, "")
	_, err = l.LeaseAlias(t.Context(), r.ID)
	refused(t, err, term.StageLedger, "all 239 are leased", "reap")
	must(t, l.ReleaseAlias(t.Context(), fmt.Sprintf("run-%d", lastAlias)))
	alias, err := l.LeaseAlias(t.Context(), r.ID)
	if err != nil || alias.String() != "127.0.0.254" {
		t.Errorf("leased %s, %v; want the last one", alias, err)
	}
}
