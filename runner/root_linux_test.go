package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bot-bottle/action/internal/term"
)

func TestAfterABootARootThatIsNotThereIsGone(t *testing.T) {
	p := placesIn(ownDir(t), filepath.Join(ownDir(t), "missing"))
	undo := func(boot string) error {
		args, err := json.Marshal(runFolderArgs{runArgs{"abcdefghij"}, rootRef{RootSession, "x", boot}})
		must(t, err)
		return undoRunFolder{places: p}.Undo(t.Context(), 2, args)
	}
	if err := undo("an earlier boot"); err != nil {
		t.Errorf("after a boot: %v", err)
	}
	now := placesIn(ownDir(t), ownDir(t))
	ref, err := now.ref()
	must(t, err)
	if err := undo(ref.Boot); !errors.Is(err, errNotThatRoot) {
		t.Errorf("in the same boot: %v", err)
	}
}

func TestARootHasOneIDForAllWhoUseIt(t *testing.T) {
	p := placesIn(ownDir(t), ownDir(t))
	ids := make([]string, 16)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			ref, err := p.ref()
			if err != nil {
				t.Error(err)
			}
			ids[i] = ref.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if len(id) != rootIDLength || id != ids[0] {
			t.Errorf("ids %v", ids)
		}
	}
	if other, err := placesIn(ownDir(t), ownDir(t)).ref(); err != nil || other.ID == ids[0] {
		t.Errorf("another root: %+v, %v", other, err)
	}
}

func TestARootThatIsNotOursAloneIsNotUsed(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"open to others": func(dir string) error { return os.Chmod(dir, 0o755) },
		"a link": func(dir string) error {
			return errors.Join(os.Rename(dir, dir+".real"), os.Symlink(dir+".real", dir))
		},
		"without a whole mark": func(dir string) error { return os.WriteFile(filepath.Join(dir, rootMark), []byte("x"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			p := placesIn(ownDir(t), filepath.Join(ownDir(t), "root"))
			must(t, os.Mkdir(p.Roots[RootSession], 0o700))
			ref, err := p.ref()
			must(t, err)
			folder := p.runFolder("abcdefghij")
			must(t, os.Mkdir(folder, 0o700))
			must(t, spoil(p.Roots[RootSession]))
			args, err := json.Marshal(runFolderArgs{runArgs{"abcdefghij"}, ref})
			must(t, err)
			if err := (undoRunFolder{places: p}).Undo(t.Context(), 2, args); err == nil || !there(folder) {
				t.Errorf("undone in it: %v", err)
			}
			if _, err := p.ref(); err == nil {
				t.Error("a new run would use it")
			}
		})
	}
}

// FuzzRunFolderArgs has anybody write the row of a run's folder: nothing but
// folders with the id of a run, right below a root, may go.
func FuzzRunFolderArgs(f *testing.F) {
	p := placesIn(ownDir(f), ownDir(f))
	ref, err := p.ref()
	must(f, err)
	for _, run := range []string{"abcdefghij", "..", "../abcdefgh", "/etc/passwd", "", ".root-id"} {
		for _, kind := range []RootKind{RootSession, RootState, RootSystem, "/", ".."} {
			args, err := json.Marshal(runFolderArgs{runArgs{run}, rootRef{kind, ref.ID, ref.Boot}})
			must(f, err)
			f.Add(2, args)
			f.Add(1, args)
		}
	}
	f.Add(2, []byte(`{"run":["abcdefghij"],"root":{}}`))
	kept := []string{filepath.Join(p.Roots[RootSession], rootMark), filepath.Join(p.State, "kept")}
	must(f, os.WriteFile(kept[1], nil, 0o600))
	f.Fuzz(func(t *testing.T, version int, args []byte) {
		_ = undoRunFolder{places: p}.Undo(t.Context(), version, args)
		for _, path := range append(kept, p.Roots[RootSession]) {
			if !there(path) {
				t.Fatalf("%q removed %s", args, path)
			}
		}
	})
}

func TestDefaultPlacesTakeNothingFromTheEnvironment(t *testing.T) {
	const nobody = 1_999_000_777 // has no session
	t.Setenv("XDG_RUNTIME_DIR", ownDir(t))
	for _, runner := range []bool{false, true} {
		p, err := DefaultPlaces("/srv/state", nobody, runner)
		if err != nil || p.Roots[p.Runtime] != "/srv/state/run" {
			t.Errorf("runner %v: %+v, %v", runner, p, err)
		}
		if _, known := p.Roots[RootSystem]; known {
			t.Error("root's own is a root of another user")
		}
		p, err = DefaultPlaces("/srv/state", 0, runner)
		if err != nil || p.Roots[p.Runtime] != "/run/bot-bottle" {
			t.Errorf("root, runner %v: %+v, %v", runner, p, err)
		}
	}
}

func TestTheRootOfNewRuns(t *testing.T) {
	session := filepath.Join(ownDir(t), "bot-bottle") // in a folder of ours alone, as a session's is
	long := "/" + strings.Repeat("x", maxRootPath)
	for i, c := range []struct {
		session, state string
		order          []RootKind
		want           RootKind
	}{
		{session, "/state/run", []RootKind{RootSession, RootState}, RootSession},
		{"/missing/bot-bottle", "/state/run", []RootKind{RootSession, RootState}, RootState},
		{"/etc/bot-bottle", "/state/run", []RootKind{RootSession, RootState}, RootState}, // /etc is not ours alone
		{session, "/state/run", []RootKind{RootState, RootSession}, RootState},
		{session, long, []RootKind{RootState, RootSession}, RootSession},
		{"/missing/bot-bottle", long[:maxRootPath], []RootKind{RootState, RootSession}, RootState},
	} {
		p := Places{State: "/state", Roots: map[RootKind]string{RootSession: c.session, RootState: c.state}}
		if got, err := p.choose(c.order); err != nil || got.Runtime != c.want {
			t.Errorf("%d: %s, %v; want %s", i, got.Runtime, err, c.want)
		}
	}
	p := Places{Roots: map[RootKind]string{RootSession: "/missing/bot-bottle", RootState: long}}
	_, err := p.choose([]RootKind{RootState, RootSession})
	if text := term.Explain(err); !strings.Contains(text, fmt.Sprintf("longer than %d bytes", maxRootPath)) || !strings.Contains(text, "hint: ") {
		t.Errorf("it says %q", text)
	}
}
