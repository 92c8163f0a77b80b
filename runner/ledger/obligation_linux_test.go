package ledger

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func intend(t *testing.T, l *Ledger, run, kind string, landsIn time.Duration) Obligation {
	t.Helper()
	o, err := l.Intend(t.Context(), Obligation{Run: run, Kind: kind, Version: 3, Args: []byte(`{"run":"x"}`), LandsIn: landsIn})
	must(t, err)
	return o
}

func TestObligationsComeBackNewestFirstAndAsWritten(t *testing.T) {
	l := open(t, stateDir(t))
	r, _ := begin(t, l, "")
	other, _ := begin(t, l, "")
	first := intend(t, l, r.ID, "first", 0)
	intend(t, l, other.ID, "other", 0)
	second := intend(t, l, r.ID, "second", time.Second)
	must(t, l.Hold(t.Context(), first))

	got, err := l.Obligations(t.Context(), r.ID)
	must(t, err)
	if len(got) != 2 || got[0].Seq != second.Seq || got[1].Seq != first.Seq {
		t.Fatalf("got %+v", got)
	}
	if got[0].Holding != Intended || got[1].Holding != Held {
		t.Errorf("holdings %s, %s", got[0].Holding, got[1].Holding)
	}
	if got[0].Version != 3 || string(got[0].Args) != `{"run":"x"}` || got[0].LandsIn != time.Second {
		t.Errorf("got %+v", got[0])
	}
}

func TestDroppingTwiceIsNothing(t *testing.T) {
	l := open(t, stateDir(t))
	r, _ := begin(t, l, "")
	o := intend(t, l, r.ID, "toy", 0)
	must(t, l.Drop(t.Context(), o))
	must(t, l.Drop(t.Context(), o))
	left, err := l.Obligations(t.Context(), r.ID)
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestArgumentsAreBoundedJSON(t *testing.T) {
	l := open(t, stateDir(t))
	r, _ := begin(t, l, "")
	for _, args := range []string{``, `{`, `"` + strings.Repeat("x", MaxArgs) + `"`} {
		if _, err := l.Intend(t.Context(), Obligation{Run: r.ID, Kind: "toy", Args: []byte(args)}); err == nil {
			t.Errorf("%.20q was taken", args)
		}
	}
}

// The clock that counts is the boot clock; see MayLand.
func TestHowLongAnEffectMayStillLand(t *testing.T) {
	const at, landsIn = 100 * time.Second, 30 * time.Second
	for _, c := range []struct {
		name    string
		boot    string
		since   time.Duration
		held    bool
		landsIn time.Duration
		want    time.Duration
	}{
		{"at once", "a", at, false, landsIn, landsIn},
		{"later", "a", at + 10*time.Second, false, landsIn, 20 * time.Second},
		{"landed", "a", at + landsIn, false, landsIn, 0},
		{"long ago", "a", at + time.Hour, false, landsIn, 0},
		{"held", "a", at, true, landsIn, 0},
		{"local", "a", at, false, 0, 0},
		{"just rebooted", "b", 5 * time.Second, false, landsIn, 25 * time.Second},
		{"rebooted some time ago", "b", landsIn, false, landsIn, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := &testClock{boot: "a", since: at}
			l := open(t, stateDir(t), Options{Clock: clock.clock()})
			r, _ := begin(t, l, "")
			o := intend(t, l, r.ID, "toy", c.landsIn)
			if c.held {
				must(t, l.Hold(t.Context(), o))
			}
			clock.boot, clock.since = c.boot, c.since
			read, err := l.Obligations(t.Context(), r.ID)
			must(t, err)
			if got, err := l.MayLand(read[0]); err != nil || got != c.want {
				t.Errorf("it may land for %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestWithoutAClockNothingIsIntended(t *testing.T) {
	clock := SystemClock()
	clock.Boot = func() (string, time.Duration, error) { return "", 0, errors.New("no clock") }
	l := open(t, stateDir(t), Options{Clock: clock})
	r, _ := begin(t, l, "")
	if _, err := l.Intend(t.Context(), Obligation{Run: r.ID, Kind: "toy", Args: []byte(`{}`)}); err == nil {
		t.Error("it was intended")
	}
}
