package guest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestStatIsReadWhateverTheNameOfTheProcess(t *testing.T) {
	for stat, want := range map[string]process{
		"7 (sh) S 3 7 5 0 -1 0":            {7, 3, 5},
		"7 (a) R 1 1 (b) S 3 7 5 0 -1 0\n": {7, 3, 5},
		"7 () R 99 99) S 3 7 5 0":          {7, 3, 5},
		"7 (a\nb c) D 3 7 5 0":             {7, 3, 5},
	} {
		if got, ok := parseStat([]byte(stat)); !ok || got != want {
			t.Errorf("%q: %+v, %v", stat, got, ok)
		}
	}
	for _, stat := range []string{"", "7", "7 (sh", "7 sh) S 3 7 5", "7 (sh) Z 3 7 5 0", "7 (sh) X 3 7 5", "7 (sh) S 3", "7 (sh) S x 7 5"} {
		if got, ok := parseStat([]byte(stat)); ok {
			t.Errorf("%q: %+v", stat, got)
		}
	}
}

func TestDescendantsAreFoundAtAnyDepth(t *testing.T) {
	all := []process{{1, 0, 1}, {2, 1, 2}, {5, 4, 9}, {4, 3, 4}, {3, 2, 2}, {6, 1, 2}}
	if got := descendants(all, 2); !slices.Equal(got, []int{3, 4, 5}) {
		t.Errorf("got %v", got)
	}
	if got := descendants(all, 6); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestProcessesListsWhatRuns(t *testing.T) {
	child := exec.Command("sleep", "1000")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	if got := descendants(processes(), os.Getpid()); !slices.Contains(got, child.Process.Pid) {
		t.Errorf("got %v, without %d", got, child.Process.Pid)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("7 (sh) S 3 7 5 0 -1 0")
	f.Fuzz(func(t *testing.T, stat string) {
		if p, ok := parseStat([]byte(stat)); ok && strings.Count(stat, "(") == 0 {
			t.Errorf("%+v from %q", p, stat)
		}
	})
}
