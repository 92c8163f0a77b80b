package deploykey_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/forge/deploykey"
	"github.com/bot-bottle/action/internal/forge/forgetest"
	"github.com/bot-bottle/action/runner/journal"
	"github.com/bot-bottle/action/runner/ledger"
)

// life is a run with one key, on a real ledger whose clock is the double's.
type life struct {
	t      *testing.T
	rand   *rand.Rand
	forge  *forgetest.KeyForge
	keys   forge.Keys
	ledger *ledger.Ledger
	die    bool // in the next undo
}

// died is what a process ends of.
const died = "died"

func (l *life) registry() journal.Registry {
	return journal.Registry{deploykey.Kind: journal.UndoFunc(func(ctx context.Context, version int, raw json.RawMessage) error {
		args, err := deploykey.Decode(version, raw)
		if err != nil {
			return err
		}
		err = deploykey.Undo(ctx, l.keys, args)
		if l.die {
			panic(died)
		}
		return err
	})}
}

// effect registers the key and dies, or fails, where point says.
func (l *life) effect(point int, key *deploykey.Key, args deploykey.Args) func(context.Context) error {
	register := func(ctx context.Context) error {
		err := deploykey.Register(ctx, l.keys, key, args)
		if deploykey.Refused(err) {
			err = journal.Over(err)
		}
		return err
	}
	return func(ctx context.Context) error {
		switch point {
		case 0: // before the request
			panic(died)
		case 1: // the request goes out, and the sender dies
			l.forge.LoseNext(time.Duration(l.rand.Int64N(int64(deploykey.LandsIn))))
			_ = register(ctx)
			panic(died)
		case 2: // after the answer
			_ = register(ctx)
			panic(died)
		case 3: // the forge refuses
			l.forge.SetExpired(true)
			return register(ctx)
		case 4: // no answer, and a refusal on the second try
			l.forge.LoseNext(5 * time.Second)
			_ = register(ctx)
			l.forge.SetExpired(true)
			return register(ctx)
		}
		return register(ctx)
	}
}

// live is the supervisor's life up to its death; its lock is free afterwards.
func (l *life) live(point int) string {
	r, lock, err := l.ledger.Begin(l.t.Context(), ledger.NewRun{})
	must(l.t, err)
	defer func() {
		if p := recover(); p != nil && p != died {
			panic(p)
		}
		must(l.t, lock.Release())
	}()
	p := place()
	key, args, err := deploykey.Generate(l.ledger.HostID(), r.ID, l.forge.Now().Add(24*time.Hour), p)
	must(l.t, err)
	j := journal.New(l.ledger, lock, l.registry())
	_ = j.Effect(l.t.Context(), deploykey.Kind, args, deploykey.LandsIn, l.effect(point, key, args))
	return key.Fingerprint()
}

// trouble is what meets a reap.
func (l *life) trouble() {
	l.heal()
	switch l.rand.IntN(6) {
	case 0:
		l.forge.SetExpired(true)
	case 1:
		l.forge.Hide(repository)
	case 2:
		l.forge.Rename(repository, fmt.Sprintf("acme/gadgets%d", l.rand.IntN(3)))
	case 3:
		l.forge.SetFault(func(r *http.Request) (forgetest.Answer, bool) {
			return forgetest.Answer{Status: 204}, r.Method == http.MethodDelete
		})
	case 4:
		l.die = true
	}
}

func (l *life) heal() {
	l.die = false
	l.forge.SetExpired(false)
	l.forge.SetFault(nil)
	l.forge.Add(repository, "acme/widgets")
}

// reap gives whether anything is owed after it. What isn't owed must not be there,
// or come.
func (l *life) reap() (owing bool) {
	l.t.Helper()
	_, err := journal.Reap(l.t.Context(), l.ledger, l.registry())
	must(l.t, err)
	runs, err := l.ledger.OpenRuns(l.t.Context())
	must(l.t, err)
	if len(runs) == 0 && (len(l.forge.Held(repository)) != 1 || l.forge.Landing() != 0) {
		l.t.Fatalf("nothing is owed, and there are %+v, with %d to come", l.forge.Held(repository), l.forge.Landing())
	}
	return len(runs) > 0
}

// However a run dies, and whatever meets the reaps after it, a key that the ledger
// doesn't owe any more is gone for good; and none is owed at the landing time once
// the forge is in order.
func TestNoKeySurvivesACrashAtAnyPoint(t *testing.T) {
	eachForge(t, func(t *testing.T, f *forgetest.KeyForge, keys forge.Keys) {
		clock := ledger.Clock{Now: f.Now, Boot: func() (string, time.Duration, error) { return "boot", f.Now().Sub(noon) + time.Hour, nil }}
		book, _, err := ledger.Open(t.Context(), filepath.Join(t.TempDir(), "state"), ledger.Options{Clock: clock})
		must(t, err)
		defer book.Close()
		operators, _ := generate(t)
		f.Put(repository, "the operator's own", operators.Public(), true)
		for seed := range uint64(36) {
			l := &life{t: t, rand: rand.New(rand.NewPCG(seed, 6)), forge: f, keys: keys, ledger: book}
			l.live(int(seed % 6))
			for range l.rand.IntN(4) {
				l.trouble()
				f.Advance(time.Duration(l.rand.Int64N(int64(deploykey.LandsIn / 2))))
				l.reap()
			}
			l.heal()
			f.Advance(deploykey.LandsIn)
			if l.reap() {
				t.Fatalf("seed %d: still owed at the landing time", seed)
			}
		}
	})
}
