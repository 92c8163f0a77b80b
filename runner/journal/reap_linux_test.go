package journal

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/internal/child"
	"github.com/bot-bottle/action/runner/ledger"
)

func TestReapLeavesNothingOfAKilledRun(t *testing.T) {
	w := newWorld(t)
	p := child.Start(t, w.command("live"))
	id := p.MustLine(t)
	p.Kill(t)
	if got := w.there(t); len(got) != 2 {
		t.Fatalf("the run left %v, want two folders", got)
	}
	report := w.reap(t)
	if !slices.Equal(report.Reaped, []string{id}) || len(report.Live)+len(report.Remainders) > 0 {
		t.Errorf("report %+v", report)
	}
	w.nothingLeft(t)
}

func TestReapUndoesWhatWasKilledHalfWay(t *testing.T) {
	w := newWorld(t)
	p := child.Start(t, w.command("half"))
	p.MustLine(t)
	p.Kill(t)
	w.reap(t)
	w.nothingLeft(t)
}

func TestReapFinishesWhatAKilledReapBegan(t *testing.T) {
	w := newWorld(t)
	p := child.Start(t, w.command("live"))
	p.MustLine(t)
	p.Kill(t)
	reaper := child.Start(t, w.command("half-reap"))
	reaper.MustLine(t)
	if report := w.reap(t); len(report.Live) != 1 || len(report.Reaped) > 0 {
		t.Errorf("beside another reap of that run: %+v", report)
	}
	reaper.Kill(t)
	w.reap(t)
	w.nothingLeft(t)
}

func TestReapNeverTouchesALiveRun(t *testing.T) {
	w := newWorld(t)
	live := child.Start(t, w.command("live"))
	id := live.MustLine(t)
	dead := child.Start(t, w.command("live"))
	dead.MustLine(t)
	dead.Kill(t)
	report := w.reap(t)
	if !slices.Equal(report.Live, []string{id}) || len(report.Reaped) != 1 {
		t.Errorf("report %+v", report)
	}
	if got := w.there(t); len(got) != 2 || !strings.HasPrefix(got[0], id) || !strings.HasPrefix(got[1], id) {
		t.Errorf("of the live run there is %v", got)
	}
	live.Kill(t)
	w.reap(t)
	w.nothingLeft(t)
}

func TestReapFromAnotherPIDNamespace(t *testing.T) {
	w := newWorld(t)
	live := child.Start(t, w.command("live"))
	id := live.MustLine(t)
	cmd := w.command("reap")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	var report Report
	must(t, json.Unmarshal([]byte(child.Start(t, cmd).MustLine(t)), &report))
	if !slices.Equal(report.Live, []string{id}) || len(w.there(t)) != 2 {
		t.Errorf("report %+v, there is %v", report, w.there(t))
	}
}

func TestReapsSideBySideUndoEverythingOnce(t *testing.T) {
	const dead, reaps = 12, 4
	w := newWorld(t)
	live := child.Start(t, w.command("live"))
	id := live.MustLine(t)
	for range dead {
		p := child.Start(t, w.command("live"))
		p.MustLine(t)
		p.Kill(t)
	}
	var wg sync.WaitGroup
	for range reaps {
		p := child.Start(t, w.command("reap"))
		wg.Go(func() {
			if _, err := p.Line(); err != nil {
				t.Errorf("reap: %v", err)
			}
		})
	}
	wg.Wait()
	text, err := os.ReadFile(w.undone())
	must(t, err)
	undone := strings.Fields(string(text))
	if slices.Sort(undone); len(undone) != 2*dead || len(slices.Compact(undone)) != 2*dead {
		t.Errorf("%d effects undone, %d different ones; want %d", len(undone), len(slices.Compact(undone)), 2*dead)
	}
	for _, name := range w.there(t) {
		if !strings.HasPrefix(name, id) {
			t.Errorf("%s is left", name)
		}
	}
	live.Kill(t)
	w.reap(t)
	w.nothingLeft(t)
}

// deadRun gives the ledger with a run that was killed while it was live.
func (w world) deadRun(t *testing.T) (*ledger.Ledger, Registry, string) {
	t.Helper()
	p := child.Start(t, w.command("live"))
	id := p.MustLine(t)
	p.Kill(t)
	l, err := w.open(t.Context())
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l, w.registry(l), id
}

func TestReapTellsWhatIsLeftAndKeepsIt(t *testing.T) {
	w := newWorld(t)
	l, registry, id := w.deadRun(t)
	registry["folder"] = UndoFunc(func(context.Context, int, json.RawMessage) error { return errors.New("busy") })
	report, err := Reap(t.Context(), l, registry)
	must(t, err)
	if len(report.Reaped) > 0 || len(report.Remainders) != 1 {
		t.Fatalf("report %+v", report)
	}
	if m := report.Remainders[0]; m.Run != id || m.Kind != "folder" || term.StageOf(m.Err, "") != term.StageSettle {
		t.Errorf("remainder %+v", m)
	}
	w.reap(t) // busy no more
	w.nothingLeft(t)
}

func TestReapKeepsWhatComesAfterAGuestThatRemains(t *testing.T) {
	w := newWorld(t)
	l, registry, id := w.deadRun(t)
	registry["guest"] = UndoFunc(func(context.Context, int, json.RawMessage) error { return errors.New("it does not die") })
	registry["folder"] = last{w, []string{"guest"}}
	for range 2 { // the second finds what the first has left
		report, err := Reap(t.Context(), l, registry)
		must(t, err)
		if len(report.Remainders) != 2 || len(report.Reaped) > 0 || !slices.Contains(w.there(t), id+"-disk") {
			t.Fatalf("report %+v, there is %v", report, w.there(t))
		}
	}
	w.reap(t)
	w.nothingLeft(t)
}

func TestReapHeedsItsContextBetweenRuns(t *testing.T) {
	w := newWorld(t)
	for range 2 {
		p := child.Start(t, w.command("live"))
		p.MustLine(t)
		p.Kill(t)
	}
	l, err := w.open(t.Context())
	must(t, err)
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	registry := w.registry(l)
	registry["guest"] = UndoFunc(func(inner context.Context, version int, args json.RawMessage) error {
		cancel()
		return w.Undo(inner, version, args)
	})
	report, err := Reap(ctx, l, registry)
	if !errors.Is(err, context.Canceled) || len(report.Reaped) != 1 {
		t.Errorf("report %+v, %v; want one run reaped", report, err)
	}
	w.reap(t)
	w.nothingLeft(t)
}
