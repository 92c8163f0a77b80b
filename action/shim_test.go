package action

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/forge/forgetest"
	"github.com/bot-bottle/action/internal/testenv"
)

// shimWorld is a step in which the binary is a script that tells what it was
// given. What the real one does is tested in e2e.
type shimWorld struct {
	t    *testing.T
	dir  string
	vars map[string]string
}

// recorder says that it has this version, keeps its environment and what came over
// the pipe, and ends with the code.
const recorder = `#!/bin/sh
if [ "$1" = version ]; then echo '{"schema": 1, "version": "%s"}'; exit; fi
echo "$@" > "%s/argv"; env > "%[2]s/env"; head -n 1 <&3 > "%[2]s/handover"; exit %d
`

func newShim(t *testing.T) *shimWorld {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		testenv.Skip(t, "node is missing")
	}
	w := &shimWorld{t: t, dir: t.TempDir()}
	write(t, filepath.Join(w.dir, "state"), "")
	w.vars = map[string]string{
		"PATH": filepath.Join(w.dir, "bin") + ":relative::" + os.Getenv("PATH"), "GITHUB_STATE": filepath.Join(w.dir, "state"), "GITHUB_ACTIONS": "true",
		"RUNNER_TOOL_CACHE": filepath.Join(w.dir, "cache"),
	}
	return w
}

// binary puts one at name, with a version and an exit code.
func (w *shimWorld) binary(name, version string, code int) string {
	path := write(w.t, filepath.Join(w.dir, name), fmt.Sprintf(recorder, version, w.dir, code))
	if err := os.Chmod(path, 0o755); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// node runs a script of the shim's folder, or the code after it, and gives stdout
// and the exit code.
func (w *shimWorld) node(args ...string) (string, int) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "node", args...)
	cmd.Dir = w.dir
	for name, value := range w.vars {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func (w *shimWorld) part(name string) (string, int) { return w.node(w.script(name + ".js")) }

func (w *shimWorld) script(name string) string {
	path, err := filepath.Abs(filepath.Join("shim", name))
	if err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *shimWorld) read(name string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

func TestTheShimHandsInputsOverByItsPipeAlone(t *testing.T) {
	w := newShim(t)
	w.binary("bin/bot-bottle", "1.2.3", 7)
	for name, value := range map[string]string{
		"INPUT_TOKEN": "job-token", "INPUT_PULL-REQUEST": "true", "INPUT_PROMPT": "ä\nb", "ACTIONS_RUNTIME_TOKEN": "runtime", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "id",
		"NODE_OPTIONS": "--no-warnings", "LD_PRELOAD": "", "GODEBUG": "x=1", "KEPT": "yes",
	} {
		w.vars[name] = value
	}
	if out, code := w.part("main"); code != 7 || out != "" {
		t.Fatalf("%d: %s", code, out)
	}
	var h Handover
	if err := json.Unmarshal([]byte(w.read("handover")), &h); err != nil {
		t.Fatal(err)
	}
	if h.Inputs["token"] != "job-token" || h.Inputs["pull-request"] != "true" || h.Inputs["prompt"] != "ä\nb" || w.read("argv") != "action main\n" {
		t.Errorf("got %+v, %q", h, w.read("argv"))
	}
	if got, err := parseHandover([]byte(w.read("handover"))); err != nil || got.Handle == "" {
		t.Errorf("%+v, %v", got, err)
	}
	env := w.read("env")
	for _, word := range []string{"INPUT_", "ACTIONS_", "job-token", "runtime", "NODE_OPTIONS", "LD_PRELOAD", "GODEBUG"} {
		if strings.Contains(strings.ReplaceAll(env, "GITHUB_ACTIONS=true", ""), word) {
			t.Errorf("%s is in the environment:\n%s", word, env)
		}
	}
	if !strings.Contains(env, "KEPT=yes") || !strings.Contains(env, "GITHUB_ACTIONS=true") {
		t.Errorf("something is missing in the environment:\n%s", env)
	}
	if !strings.Contains(w.read("state"), "handle="+h.Handle+"\n") {
		t.Errorf("post is not told of %q: %q", h.Handle, w.read("state"))
	}
}

func TestPostTakesMainsBinaryAndHandle(t *testing.T) {
	w := newShim(t)
	main := w.binary("bin/bot-bottle", "1.2.3", 0)
	w.part("main")
	for line := range strings.Lines(w.read("state")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		w.vars["STATE_"+name] = value
	}
	if w.vars["STATE_binary"] != main {
		t.Fatalf("the state is %q", w.read("state"))
	}
	w.vars["PATH"] = filepath.Dir(w.binary("other/bot-bottle", "1.2.3", 99)) + ":" + os.Getenv("PATH")
	if out, code := w.part("post"); code != 0 || w.read("argv") != "action post\n" || !strings.Contains(w.read("handover"), w.vars["STATE_handle"]) {
		t.Errorf("%d: %s", code, out)
	}
}

func TestBinariesThatDontServe(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*shimWorld)
		want string
		code int
	}{
		"absent":          {func(w *shimWorld) { w.vars["INPUT_INSTALL"] = "false" }, "it is not on the PATH, and installing is switched off", 3},
		"no release":      {func(*shimWorld) {}, "there is no release for linux", 3},
		"relative path":   {func(w *shimWorld) { w.vars["INPUT_BOTTLE-PATH"] = "bot-bottle" }, `"bot-bottle" is not absolute`, 2},
		"path to nothing": {func(w *shimWorld) { w.vars["INPUT_BOTTLE-PATH"] = "/nonexistent" }, `there is no "/nonexistent"`, 3},
		"not executable":  {func(w *shimWorld) { w.vars["INPUT_BOTTLE-PATH"] = write(t, w.dir+"/x", "") }, "can't be executed", 3},
		"too old":         {func(w *shimWorld) { w.binary("bin/bot-bottle", "v0.0.9", 0) }, "its version is v0.0.9, this action needs 0.1.0 or newer", 3},
		"too new":         {func(w *shimWorld) { w.binary("bin/bot-bottle", "2.0.0", 0) }, "its version is 2.0.0", 3},
		"something else":  {func(w *shimWorld) { w.vars["INPUT_BOTTLE-PATH"] = "/bin/true" }, "asking /bin/true for its version", 3},
		"wrong digest": {func(w *shimWorld) {
			w.binary("bin/bot-bottle", "1.0.0", 0)
			w.vars["INPUT_BOTTLE-SHA256"] = strings.Repeat("0", 64)
		}, "its SHA-256 is ", 3},
		"digest that isn't": {func(w *shimWorld) { w.binary("bin/bot-bottle", "1.0.0", 0); w.vars["INPUT_BOTTLE-SHA256"] = "x" }, "is not a SHA-256", 2},
		"in the workspace": {func(w *shimWorld) {
			w.binary("relative/bot-bottle", "1.0.0", 0)
			w.binary("bot-bottle", "1.0.0", 0)
			w.vars["INPUT_INSTALL"] = "false"
		}, "it is not on the PATH", 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := newShim(t)
			c.set(w)
			out, code := w.part("main")
			if code != c.code || !strings.HasPrefix(out, "::error::bot-bottle: ") || !strings.Contains(out, c.want) {
				t.Errorf("%d: %s", code, out)
			}
			if _, err := os.Stat(filepath.Join(w.dir, "argv")); err == nil || w.read("state") != "" {
				t.Error("it was started all the same")
			}
		})
	}
}

func TestTheRightDigestAndACheckoutsBuildServe(t *testing.T) {
	w := newShim(t)
	path := w.binary("bin/bot-bottle", "dev", 0)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w.vars["INPUT_BOTTLE-SHA256"] = strings.ToUpper(fmt.Sprintf("%x", sha256.Sum256(b)))
	if out, code := w.part("main"); code != 0 {
		t.Errorf("%d: %s", code, out)
	}
}

// install calls the shim's installer with a release of the test's.
func (w *shimWorld) install(base, digest string) (string, int) {
	return w.node("-e", `
		const { install } = require(process.argv[1] + "/release.js");
		const hash = (file) => require("crypto").createHash("sha256").update(require("fs").readFileSync(file)).digest("hex");
		install(hash, { base: process.argv[2], version: "1.0.0", sha256: process.argv[3] })
			.then((file) => console.log(file), (e) => { console.log(e.message); process.exitCode = 1; });`, w.script(""), base, digest)
}

func TestAReleaseIsInstalledOnceAndOnlyWithItsDigest(t *testing.T) {
	w := newShim(t)
	content := "#!/bin/sh\n"
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
	path := "/v1.0.0/bot-bottle-linux-" + runtime.GOARCH
	s := forgetest.New(t, map[string]forgetest.Answer{"GET " + path: {Status: 302, Header: map[string]string{"Location": "/store"}}, "GET /store": {Body: content}})
	if out, code := w.install(s.URL, strings.Repeat("0", 64)); code == 0 || !strings.Contains(out, "what was downloaded has SHA-256 "+digest) {
		t.Errorf("%d: %s", code, out)
	}
	if left, _ := filepath.Glob(w.dir + "/cache/bot-bottle/*/*/*"); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
	for range 2 {
		out, code := w.install(s.URL, digest)
		if info, err := os.Stat(strings.TrimSpace(out)); code != 0 || err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%d: %s, %v", code, out, err)
		}
	}
	if n := len(s.Asked()); n != 4 {
		t.Errorf("asked %d times: the second time it was there", n)
	}
	write(t, strings.TrimSpace(func() string { out, _ := w.install(s.URL, digest); return out }()), "changed")
	if out, code := w.install(s.URL, digest); code != 0 {
		t.Errorf("one that was changed is not replaced: %s", out)
	}
}

func TestReleasesThatCantBeHad(t *testing.T) {
	path := "GET /v1.0.0/bot-bottle-linux-" + runtime.GOARCH
	for want, a := range map[string]forgetest.Answer{
		"answered 404":      {Status: 404},
		"redirects too far": {Status: 302, Header: map[string]string{"Location": "/v1.0.0/bot-bottle-linux-" + runtime.GOARCH}},
		"aborted": {Do: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("x"))
		}},
		"has SHA-256 e3b0c44": {},
	} {
		w := newShim(t)
		s := forgetest.New(t, map[string]forgetest.Answer{path: a})
		if out, code := w.install(s.URL, strings.Repeat("0", 64)); code == 0 || !strings.Contains(out, want) {
			t.Errorf("%s: %d: %s", want, code, out)
		}
		if left, _ := filepath.Glob(w.dir + "/cache/bot-bottle/*/*/*"); len(left) != 0 {
			t.Errorf("%s: it left %v", want, left)
		}
	}
}
