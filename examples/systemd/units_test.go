package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// binary is where the units expect it.
const binary = "/usr/local/bin/bot-bottle"

// unit is a unit file: its values by "Section.Key", in their order (systemd.syntax(7),
// of which these files use no more than sections, comments and one line for each key).
type unit map[string][]string

var (
	header     = regexp.MustCompile(`^\[([A-Z]\w+)\]$`)
	assignment = regexp.MustCompile(`^([A-Z]\w*)=(\S.*)$`)
)

func read(t *testing.T, name string) unit {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	u, section := unit{}, ""
	for number, line := range strings.Split(string(text), "\n") {
		switch head, value := header.FindStringSubmatch(line), assignment.FindStringSubmatch(line); {
		case line == "" || strings.HasPrefix(line, "#"):
		case head != nil:
			section = head[1]
		case value != nil && section != "":
			key := section + "." + value[1]
			u[key] = append(u[key], value[2])
		default:
			t.Errorf("%s:%d: %q is neither a section nor an assignment", name, number+1, line)
		}
	}
	return u
}

// The state folder is each user's own, so that the service has to be the instance's
// user; and a mount namespace of its own would keep it from undoing mounts.
func TestTheServiceReapsAsTheRunnersUser(t *testing.T) {
	u := read(t, "bot-bottle-reap@.service")
	for key, want := range map[string]string{
		"Service.User": "%i", "Service.Type": "oneshot", "Service.ExecStart": binary + " reap",
	} {
		if got := u[key]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %q, not %q", key, got, want)
		}
	}
	for _, forbidden := range []string{"ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateMounts", "PrivateDevices", "ReadOnlyPaths", "Environment", "EnvironmentFile"} {
		if got, ok := u["Service."+forbidden]; ok {
			t.Errorf("%s=%q", forbidden, got)
		}
	}
}

func TestTheTimerStartsTheServiceAgainAndAgain(t *testing.T) {
	u := read(t, "bot-bottle-reap@.timer")
	for _, key := range []string{"Timer.OnBootSec", "Timer.OnUnitInactiveSec"} {
		if len(u[key]) != 1 {
			t.Errorf("%s is %q", key, u[key])
		}
	}
	if !slices.Equal(u["Install.WantedBy"], []string{"timers.target"}) {
		t.Errorf("nothing starts it: %q", u["Install.WantedBy"])
	}
}

// systemd itself has the last word where it is installed; elsewhere the other tests
// have to do.
func TestSystemdTakesTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("there is no systemd-analyze: the units were only looked at by the other tests")
		return
	}
	dir := t.TempDir()
	names, err := filepath.Glob("*@.*")
	if err != nil || len(names) != 2 {
		t.Fatal(names, err)
	}
	args := []string{"verify", "--man=no", "--recursive-errors=no"}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// The verifier looks for the program, which is not installed here.
		text = []byte(strings.ReplaceAll(string(text), binary, "/bin/sh"))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, filepath.Join(dir, strings.Replace(name, "@.", "@root.", 1)))
	}
	if out, err := exec.Command(analyze, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}
