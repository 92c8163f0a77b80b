package forge

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// surroundings are the environments in which a host is told to run `bot-bottle reap`
// (docs/living-on-the-runner.md). None of them is what the job had, and none says where
// the state folder is.
func (h *host) surroundings() map[string][]string {
	path := "PATH=" + filepath.Join(h.dir, "bin") + ":/usr/sbin:/usr/bin:/sbin:/bin"
	return map[string][]string{
		// Of a systemd unit with User= (systemd.exec(5), "Environment Variables in
		// Spawned Processes").
		"timer": {path, "HOME=" + filepath.Join(h.dir, "home"), "USER=bottle-runner", "LOGNAME=bottle-runner", "SHELL=/bin/sh", "INVOCATION_ID=1", "SYSTEMD_EXEC_PID=1"},
		// Of ACTIONS_RUNNER_HOOK_JOB_COMPLETED: a step's, with what earlier steps have put
		// there, and of a service without a home.
		"github-hook": {path, "CI=true", "GITHUB_ACTIONS=true", "GITHUB_REPOSITORY=acme/widgets", "GITHUB_WORKSPACE=/nowhere", "RUNNER_TEMP=/nowhere",
			"HOME=/tmp", "XDG_STATE_HOME=/tmp/elsewhere", "XDG_RUNTIME_DIR=/tmp/elsewhere", "TMPDIR=/nowhere"},
		"gitea-hook": {path, "CI=true", "GITEA_ACTIONS=true", "GITHUB_ACTIONS=true", "GITEA_REPOSITORY=acme/widgets", "XDG_STATE_HOME=/tmp/elsewhere"},
		"empty":      {path},
	}
}

// reap runs it on the host, as the service's user, and with no way to more rights, as
// the unit in examples/systemd does.
func (h *host) reap(environment []string) (string, error) {
	h.t.Helper()
	argv := append(h.inside(), "setpriv", "--no-new-privs", filepath.Join(h.dir, "bin/bot-bottle"), "reap")
	cmd := exec.CommandContext(h.t.Context(), argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = environment, "/"
	return output(h.t.Context(), cmd)
}

// What a job of a killed service has left is found from wherever reap is run: all of
// them look into one state folder.
func TestReapFindsWhatAJobLeftFromEveryHookAndTimer(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"timer", "github-hook", "gitea-hook", "empty"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			eachService(t, "reap-"+where, func(t *testing.T, h *host) {
				h.underWay()
				h.killService()
				left := h.bottleRuns()
				if len(left) != 1 {
					t.Fatalf("the runs are %+v", left)
				}
				said, err := h.reap(h.surroundings()[where])
				if err != nil || strings.TrimSpace(said) != left[0].ID+" settled" {
					t.Errorf("reap: %v, said %q", err, said)
				}
				h.awaitNothingLeft()
			})
		})
	}
}

// A step can write variables for the hook that comes after it: one that names another
// state folder stops reap, instead of leading it away.
func TestAHookThatAJobHasLedAwayReapsNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t, "led-away", true)
	said, err := h.reap(append(h.surroundings()["github-hook"], "BOT_BOTTLE_STATE="+t.TempDir()))
	if err == nil || !strings.Contains(err.Error(), "exit status 2") || !strings.Contains(err.Error(), "a step must not choose") {
		t.Errorf("reap: %v, said %q", err, said)
	}
}
