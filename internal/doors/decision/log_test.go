package decision_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
)

func newFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "decisions.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func open(t *testing.T, f *os.File, o decision.Options) *decision.FileLog {
	t.Helper()
	g, err := decision.OpenLog(f, o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func verdict(t *testing.T, g *decision.FileLog, l decision.Line) uint64 {
	t.Helper()
	id, err := g.Verdict(l)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func lines(t *testing.T, f *os.File) []decision.Line {
	t.Helper()
	r, err := os.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return slices.Collect(decision.Read(r))
}

var (
	allowed = decision.Line{Door: decision.Egress, Epoch: 3, Verdict: decision.Allow, Rule: "route", Route: "a.example:443", Method: "GET", Host: "a.example", Port: 443, Path: "/x"}
	refused = decision.Line{Door: decision.Egress, Verdict: decision.Refuse, Rule: "no-route", Host: "b.example"}
)

func TestAVerdictAndItsEndShareAnID(t *testing.T) {
	f := newFile(t)
	g := open(t, f, decision.Options{})
	before := time.Now()
	first, second := verdict(t, g, allowed), verdict(t, g, refused)
	g.End(second, decision.Line{Door: decision.Egress, Status: 403})
	g.End(first, decision.Line{Door: decision.Egress, Status: 200, Sent: 1, Received: 2, Error: "broken"})

	got := lines(t, f)
	if len(got) != 4 || first == second {
		t.Fatalf("ids %d and %d, lines %+v", first, second, got)
	}
	for i, want := range []decision.Line{
		{ID: first, Kind: decision.KindVerdict, Verdict: decision.Allow, Route: "a.example:443"},
		{ID: second, Kind: decision.KindVerdict, Verdict: decision.Refuse},
		{ID: second, Kind: decision.KindEnd, Status: 403},
		{ID: first, Kind: decision.KindEnd, Status: 200, Error: "broken"},
	} {
		l := got[i]
		if l.ID != want.ID || l.Kind != want.Kind || l.Verdict != want.Verdict || l.Route != want.Route || l.Status != want.Status || l.Error != want.Error {
			t.Errorf("line %d is %+v, want %+v", i, l, want)
		}
		if l.Time.Before(before.Add(-time.Second)) || l.Time.After(time.Now().Add(time.Second)) || l.Time.Location() != time.UTC {
			t.Errorf("line %d has time %v", i, l.Time)
		}
		if (l.Duration > 0) != (l.Kind == decision.KindEnd) {
			t.Errorf("line %d has duration %v", i, l.Duration)
		}
	}
}

func TestAVerdictNamesTheStageItBelongsTo(t *testing.T) {
	f := newFile(t)
	g := open(t, f, decision.Options{})
	verdict(t, g, allowed)
	g.SetPhase("escape")
	verdict(t, g, refused)
	got := lines(t, f)
	if len(got) != 2 || got[0].Phase != "" || got[1].Phase != "escape" {
		t.Errorf("%+v", got)
	}
}

func TestADurationThatTheDoorMeasuredStays(t *testing.T) {
	f := newFile(t)
	g := open(t, f, decision.Options{})
	g.End(verdict(t, g, allowed), decision.Line{Duration: time.Minute})
	if got := lines(t, f)[1].Duration; got != time.Minute {
		t.Errorf("the duration is %v", got)
	}
}

func TestManyDoorsMayWriteAtOnce(t *testing.T) {
	f := newFile(t)
	g := open(t, f, decision.Options{})
	var writing sync.WaitGroup
	for range 8 {
		writing.Go(func() {
			for range 100 {
				id, err := g.Verdict(allowed)
				if err != nil {
					t.Error(err)
				}
				g.End(id, decision.Line{Door: decision.Egress})
			}
		})
	}
	writing.Wait()
	seen := map[uint64]int{}
	for _, l := range lines(t, f) {
		seen[l.ID]++
	}
	if len(seen) != 800 {
		t.Errorf("%d ids, want 800", len(seen))
	}
	for id, n := range seen {
		if n != 2 {
			t.Errorf("id %d has %d lines", id, n)
		}
	}
}

// tally sums a log up: lines by kind, and what it says was dropped.
func tally(t *testing.T, f *os.File) (allowed, refused, ends int, dropped int64) {
	t.Helper()
	for _, l := range lines(t, f) {
		switch {
		case l.Kind == decision.KindDropped:
			dropped += l.Count
		case l.Kind == decision.KindEnd:
			ends++
		case l.Verdict == decision.Allow:
			allowed++
		default:
			refused++
		}
	}
	return allowed, refused, ends, dropped
}

func TestAFullLogSaysWhatItDroppedAndTheDoorGoesOn(t *testing.T) {
	const bound, requests = 100 << 10, 2000
	f := newFile(t)
	g := open(t, f, decision.Options{MaxBytes: bound})
	for range requests {
		g.End(verdict(t, g, allowed), decision.Line{Door: decision.Egress, Status: 200})
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	kept, _, ends, dropped := tally(t, f)
	if kept == 0 || kept != ends {
		t.Errorf("%d verdicts and %d ends were kept", kept, ends)
	}
	if total := int64(kept+ends) + dropped; total != 2*requests {
		t.Errorf("%d lines are accounted for, want %d", total, 2*requests)
	}
	if info, err := f.Stat(); err != nil || info.Size() > bound {
		t.Errorf("the log has %d bytes (%v), want at most %d", info.Size(), err, bound)
	}
}

func TestWhatWasDroppedIsToldBeforeTheEnd(t *testing.T) {
	f := newFile(t)
	g := open(t, f, decision.Options{MaxBytes: 20 << 10})
	for range 1000 {
		verdict(t, g, allowed)
	} // and no Close: the process was killed
	kept, _, _, dropped := tally(t, f)
	if lost := int64(1000 - kept); dropped < lost/2 || dropped > lost {
		t.Errorf("%d of %d dropped lines are told", dropped, lost)
	}
}

func TestAVerdictThatWasWrittenHasRoomForItsEnd(t *testing.T) {
	f := newFile(t)
	g := open(t, f, decision.Options{MaxBytes: 100 << 10})
	var ids []uint64
	for range 1000 {
		ids = append(ids, verdict(t, g, allowed))
	}
	long := decision.Line{Door: decision.Egress, Rule: strings.Repeat("\x00", 4000), Error: strings.Repeat("\x00", 4000), Status: 502, Received: 7}
	for _, id := range ids {
		g.End(id, long)
	}
	ended := map[uint64]bool{}
	var kept []uint64
	for _, l := range lines(t, f) {
		switch l.Kind {
		case decision.KindEnd:
			ended[l.ID] = l.Status == 502 && l.Received == 7 && l.Error != ""
		case decision.KindVerdict:
			kept = append(kept, l.ID)
		}
	}
	if len(kept) == 0 {
		t.Error("no verdict was kept")
	}
	for _, id := range kept {
		if !ended[id] {
			t.Errorf("verdict %d has no end", id)
		}
	}
	if info, _ := f.Stat(); info.Size() > 100<<10 {
		t.Errorf("the log has %d bytes", info.Size())
	}
}

func TestAFloodOfRefusalsLeavesRoomForWhatWasAllowed(t *testing.T) {
	f := newFile(t)
	g := open(t, f, decision.Options{MaxBytes: 200 << 10})
	for range 5000 {
		g.End(verdict(t, g, refused), decision.Line{Door: decision.Egress, Status: 403})
	}
	for range 100 {
		g.End(verdict(t, g, allowed), decision.Line{Door: decision.Egress, Status: 200})
	}
	kept, flood, _, dropped := tally(t, f)
	if kept != 100 || flood == 0 || flood > 1000 || dropped == 0 {
		t.Errorf("%d allowed and %d refused requests were kept, %d lines dropped", kept, flood, dropped)
	}
}

func TestAFileThatCanNotBeWrittenIsAnErrorOfTheVerdict(t *testing.T) {
	f := newFile(t)
	g := open(t, f, decision.Options{})
	verdict(t, g, allowed)
	f.Close()
	if _, err := g.Verdict(allowed); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the error is %v", err)
	}
}

func TestOnlyARegularFileIsALog(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := decision.OpenLog(w, decision.Options{}); err == nil {
		t.Error("a pipe was taken for a log")
	}
}

func TestAVerdictThatNoDoorBoundedIsAnError(t *testing.T) {
	f := newFile(t)
	g := open(t, f, decision.Options{})
	if _, err := g.Verdict(decision.Line{Verdict: decision.Allow, Path: strings.Repeat("x", 1<<20)}); !errors.Is(err, decision.ErrLineTooLong) {
		t.Errorf("the error is %v", err)
	}
	if _, err := g.Verdict(decision.Line{Verdict: decision.Refuse, Error: strings.Repeat("x", 1<<20)}); err != nil {
		t.Errorf("a long cause: %v", err)
	}
}

func TestLinesThatWereCutShortAreSkipped(t *testing.T) {
	const line = `{"id":%d,"kind":"verdict","time":"2026-01-02T03:04:05Z","door":"egress","verdict":"allow"}`
	whole := func(id int) string { return fmt.Sprintf(line, id) }
	for name, log := range map[string]string{
		"at the end":       whole(1) + "\n" + whole(2) + "\n" + whole(3)[:40],
		"in the middle":    whole(1) + "\n" + whole(9)[:40] + "\n" + whole(2) + "\n",
		"not JSON":         "\x00\xff\n[]\n" + whole(1) + "\n\n{}\n" + whole(2) + "\n",
		"far too long":     whole(1) + "\n" + strings.Repeat("x", 1<<20) + "\n" + whole(2) + "\n",
		"too long, no end": whole(1) + "\n" + whole(2) + "\n" + strings.Repeat("x", 1<<20),
		"without newline":  whole(1) + "\n" + whole(2),
	} {
		t.Run(name, func(t *testing.T) {
			var ids []uint64
			for l := range decision.Read(strings.NewReader(log)) {
				ids = append(ids, l.ID)
			}
			if !slices.Equal(ids, []uint64{1, 2}) {
				t.Errorf("ids %v", ids)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("{\"id\":1,\"kind\":\"end\"}\n{\"kind\""))
	f.Add([]byte("\n\n\x00"))
	f.Fuzz(func(t *testing.T, log []byte) {
		const good = "{\"id\":77,\"kind\":\"dropped\"}\n"
		var last decision.Line
		for l := range decision.Read(strings.NewReader(string(log) + "\n" + good)) {
			if l.Kind == "" {
				t.Error("a line without kind")
			}
			last = l
		}
		if last.ID != 77 {
			t.Errorf("the whole line after it reads as %+v", last)
		}
	})
}

func BenchmarkVerdictAndEnd(b *testing.B) {
	file, err := os.OpenFile(filepath.Join(b.TempDir(), "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	g, err := decision.OpenLog(file, decision.Options{MaxBytes: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		id, err := g.Verdict(allowed)
		if err != nil {
			b.Fatal(err)
		}
		g.End(id, decision.Line{Door: decision.Egress, Status: 200})
	}
}
