package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/action/internal/testenv"
)

// runnerHost is a world as a runner of a forge sets it up for the steps of one
// job: its variables and files, a workspace, an event. What belongs to the host,
// /etc and the state folder, is the world's own, in a mount namespace of each step.
type runnerHost struct {
	*world
	repository string            // of this action
	vars       map[string]string // of the job
}

// step is one `uses:` of a job, with the files that the runner gives it.
type step struct {
	*runnerHost
	name   string
	inputs map[string]string
}

func newRunnerHost(t *testing.T, asUser bool, tags ...string) *runnerHost {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		testenv.Skip(t, "node is missing")
	}
	h := &runnerHost{world: newWorld(t, asUser, tags...)}
	var err error
	h.repository, err = filepath.Abs("..")
	h.must(err)
	for _, dir := range []string{"etc", "lib/bot-bottle", "lib/bot-bottle-mirrors", "state-mirrors", "home/.local/state/bot-bottle", "work", "cache", "bin"} {
		h.must(os.MkdirAll(filepath.Join(h.dir, dir), 0o700))
	}
	h.must(os.Chmod(filepath.Join(h.dir, "lib"), 0o755)) // as /var/lib is
	h.must(os.Symlink(h.bin, filepath.Join(h.dir, "bin/bot-bottle")))
	passwd, err := os.ReadFile("/etc/passwd")
	h.must(err)
	h.write("etc/passwd", string(passwd)+fmt.Sprintf("bottle-runner:x:%d:%d::%s/home:/bin/sh\n", h.callerID(), h.callerID(), h.dir))
	h.vars = map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/widgets", "GITHUB_REF": "refs/heads/main",
		"GITHUB_SHA": strings.Repeat("1", 40), "GITHUB_RUN_ATTEMPT": "1", "GITHUB_SERVER_URL": "http://127.0.0.1:9",
		"GITHUB_API_URL": "http://127.0.0.1:9", "GITHUB_WORKSPACE": filepath.Join(h.dir, "work"),
		"RUNNER_TEMP": filepath.Join(h.dir, "tmp"), "RUNNER_TOOL_CACHE": filepath.Join(h.dir, "cache"),
		"HOME": "/nonexistent", "PATH": filepath.Join(h.dir, "bin") + ":" + os.Getenv("PATH"),
		"TMPDIR": filepath.Join(h.dir, "tmp"), "XDG_RUNTIME_DIR": filepath.Join(h.dir, "run"),
		"ACTIONS_RUNTIME_TOKEN": "runtime-token",
	}
	h.event("schedule", `{"schedule": "0 3 * * *"}`)
	return h
}

func (h *runnerHost) callerID() int {
	switch {
	case os.Getuid() != 0:
		return os.Getuid()
	case h.asUser:
		return h.uid
	}
	return 0
}

// event is what the forge says has happened.
func (h *runnerHost) event(name, payload string) {
	h.t.Helper()
	h.vars["GITHUB_EVENT_NAME"] = name
	h.vars["GITHUB_EVENT_PATH"] = h.write("event.json", payload)
}

// step makes the files of a step.
func (h *runnerHost) step(name string, inputs map[string]string) *step {
	h.t.Helper()
	for _, file := range []string{"output", "state", "summary"} {
		h.write(name+"/"+file, "")
	}
	return &step{h, name, inputs}
}

// namespace puts the world's /etc above the host's, and its state folder where
// the caller's belongs. An ordinary user is root while it is made, and himself
// after that.
func (h *runnerHost) namespace() (script string, flags []string) {
	state, inner := "/var/lib/bot-bottle", ""
	mirrors := fmt.Sprintf("mount --bind %s/state-mirrors /var/lib/bot-bottle-mirrors && ", h.dir)
	script = fmt.Sprintf("mount -t overlay -o lowerdir=%[1]s/etc:/etc none /etc && mount -t overlay -o lowerdir=%[1]s/lib:/var/lib none /var/lib && ", h.dir)
	flags = []string{"--mount"}
	if h.asUser {
		state = filepath.Join(h.dir, "home/.local/state/bot-bottle")
		flags = append(flags, "--user", "--map-root-user")
		mirrors = "" // an ordinary user's are in the state folder
		inner = fmt.Sprintf("unshare --user --map-user=%[1]d --map-group=%[1]d -- ", h.callerID())
	}
	return script + mirrors + fmt.Sprintf("mount --bind %s/state %s && exec %s\"$0\" \"$@\"", h.dir, state, inner), flags
}

// command is the part ("main" or "post") of the step, started as a runner does.
// The process is node's own.
func (s *step) command(ctx context.Context, part string) *exec.Cmd {
	s.t.Helper()
	vars := maps.Clone(s.vars)
	for name, file := range map[string]string{"GITHUB_OUTPUT": "output", "GITHUB_STATE": "state", "GITHUB_STEP_SUMMARY": "summary"} {
		vars[name] = filepath.Join(s.dir, s.name, file)
	}
	for name, value := range s.inputs {
		vars["INPUT_"+strings.ToUpper(strings.ReplaceAll(name, " ", "_"))] = value
	}
	if part == "post" {
		for name, value := range s.state() {
			vars["STATE_"+name] = value
		}
	}
	script, flags := s.namespace()
	args := append(flags, "sh", "-c", script, "env", "-i") // a shell drops variables whose names it can't use
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		args = append(args, name+"="+vars[name])
	}
	cmd := exec.CommandContext(ctx, "unshare", append(args, "node", filepath.Join(s.repository, "action/shim", part+".js"))...)
	cmd.SysProcAttr, cmd.Dir = s.world.command(ctx).SysProcAttr, s.vars["GITHUB_WORKSPACE"]
	return cmd
}

func (s *step) do(part string) result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	cmd := s.command(ctx, part)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		s.t.Fatalf("starting %s: %v", part, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (s *step) file(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, s.name, name))
	s.must(err)
	return string(b)
}

// state is what main kept for post.
func (s *step) state() map[string]string {
	kept := map[string]string{}
	for line := range strings.Lines(s.file("state")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		kept[name] = value
	}
	return kept
}

// outputs reads the file as runners do: NAME<<DELIMITER, the value, DELIMITER.
func (s *step) outputs() map[string]string {
	s.t.Helper()
	given := map[string]string{}
	lines := strings.Split(s.file("output"), "\n")
	for i := 0; i < len(lines) && lines[i] != ""; {
		name, delimiter, ok := strings.Cut(lines[i], "<<")
		end := slices.Index(lines[i+1:], delimiter)
		if !ok || end < 0 {
			s.t.Fatalf("the outputs can't be read: %q", lines)
		}
		given[name] = strings.Join(lines[i+1:i+1+end], "\n")
		i += end + 2
	}
	return given
}

// report is the run's report.json.
func (s *step) report() map[string]any {
	s.t.Helper()
	dir := strings.Replace(s.outputs()["report"], filepath.Join(s.dir, "home/.local/state/bot-bottle"), filepath.Join(s.dir, "state"), 1)
	b, err := os.ReadFile(filepath.Join(strings.Replace(dir, "/var/lib/bot-bottle", filepath.Join(s.dir, "state"), 1), "report.json"))
	s.must(err)
	var r map[string]any
	s.must(json.Unmarshal(b, &r))
	return r
}

// await starts cmd, waits until it has printed text, does do, and waits for the
// end of cmd and of whatever has its stdout. It gives the rest of that.
func (s *step) await(cmd *exec.Cmd, text string, do func()) string {
	s.t.Helper()
	out, err := cmd.StdoutPipe()
	s.must(err)
	cmd.Stderr = cmd.Stdout
	s.must(cmd.Start())
	var said []byte
	for piece := make([]byte, 4096); !strings.Contains(string(said), text); {
		n, err := out.Read(piece)
		if said = append(said, piece[:n]...); err != nil {
			s.t.Fatalf("it did not say %q but %q", text, said)
		}
	}
	do()
	rest, err := io.ReadAll(out)
	s.must(err)
	cmd.Wait()
	return string(rest)
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("killing %d: %v", pid, err)
	}
}
