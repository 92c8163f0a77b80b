package smolmachines

import (
	"fmt"
	"strings"
	"testing"
)

func TestVersionIsReadFromTheOneExactLine(t *testing.T) {
	if v, err := ParseVersion("smolvm 1.9.3\n"); err != nil || v != (Version{1, 9, 3}) {
		t.Errorf("got %v, %v", v, err)
	}
	for _, printed := range []string{
		"", "1.9.3\n", "smolvm 1.9.3", "smolvm 1.9\n", "smolvm 1.9.3-rc1\n", "smolvm v1.9.3\n", "smolvm 1.9.3\nsmolvm 0.8.0\n",
		"warning\nsmolvm 1.9.3\n", "smolvm 1.9.3 \n", "smolvm +1.9.3\n", "smolvm 99999.0.0\n", "smolvm １.9.3\n", "smolvm 1.9.3\r\n",
	} {
		if v, err := ParseVersion(printed); err == nil {
			t.Errorf("%q was read as %v", printed, v)
		}
	}
}

func FuzzParseVersion(f *testing.F) {
	f.Add("smolvm 1.9.3\n")
	f.Fuzz(func(t *testing.T, printed string) {
		v, err := ParseVersion(printed)
		if err != nil {
			return
		}
		if again, err := ParseVersion("smolvm " + v.String() + "\n"); err != nil || again != v {
			t.Errorf("%q gave %v, which is read as %v (%v)", printed, v, again, err)
		}
	})
}

func TestReleaseDecidesTheMode(t *testing.T) {
	for printed, want := range map[string]string{
		"0.5.20": "", "0.7.2": "", "0.8.0": "allowlist", "0.8.1": "allowlist", "1.0.2": "allowlist", "1.1.2": "allowlist",
		"1.1.3": "", "1.5.0": "", "1.7.4": "", "1.7.5": "socket", "1.8.1": "socket", "1.9.3": "socket", "1.9.4": "socket unread", "2.0.0": "socket unread",
	} {
		v, err := ParseVersion("smolvm " + printed + "\n")
		if err != nil {
			t.Fatal(err)
		}
		f, err := FormOf(v)
		got := string(f.Mode)
		if f.Unread {
			got += " unread"
		}
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%s: got %q, %v; wanted %q", printed, got, err, want)
		}
	}
}

func TestFormsOfTheReadReleases(t *testing.T) {
	features := func(f Form) string {
		var on []string
		for _, x := range []struct {
			name string
			has  bool
		}{
			{"name", f.NameFlag}, {"image", f.LocalImage}, {"socket", f.MountSocket}, {"data", f.DataDir}, {"hardening", f.VMMHardening},
			{"reserves", f.ReservesNames}, {"stops", f.DeleteStops}, {"events", f.EgressEvents},
		} {
			if x.has {
				on = append(on, x.name)
			}
		}
		return strings.Join(on, " ")
	}
	for v, want := range map[Version]string{
		{0, 8, 0}: "",
		{0, 8, 1}: "stops",
		{1, 0, 2}: "name hardening reserves stops",
		{1, 1, 2}: "name image hardening reserves stops",
		{1, 7, 5}: "name image socket data hardening reserves stops",
		{1, 8, 1}: "name image socket data hardening reserves stops events",
		{1, 9, 3}: "name image socket data hardening reserves stops events",
	} {
		f, err := FormOf(v)
		if got := features(f); err != nil || got != want {
			t.Errorf("%v: got %q, %v; wanted %q", v, got, err, want)
		}
	}
	if _, err := FormOf(Version{1, 5, 0}); err == nil || fmt.Sprint(err) == "" {
		t.Errorf("got %v", err)
	}
}
