package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// refuses fails the test unless r ended with code, printed nothing on stdout, and
// told one error that holds all words, hints among them.
func refuses(t testing.TB, r result, code int, words ...string) {
	t.Helper()
	if r.code != code || r.stdout != "" {
		t.Errorf("wanted exit code %d and nothing on stdout, got %s", code, r)
	}
	if strings.Count(r.stderr, "error: ") != 1 {
		t.Errorf("wanted one error: %s", r)
	}
	for _, word := range words {
		if !strings.Contains(r.stderr, word) {
			t.Errorf("%q is not said: %s", word, r)
		}
	}
}

// neverBegan fails the test if the ledger knows of any run.
func (w *world) neverBegan() {
	w.t.Helper()
	if runs := w.runs("--all"); len(runs) != 0 {
		w.t.Errorf("a run was begun: %+v", runs)
	}
	w.nothingLeft()
}

func TestBadArgumentsAreRefused(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		w.write("agents/fixer.md", "---\nprovider: command\ncommand: [\"true\"]\n---\n")
		for args, words := range map[string][]string{
			"run":                                  {"there is nothing to run", "hint: name an agent with --agent", "bot-bottle run -- COMMAND"},
			"run id":                               {`unexpected "id"`, "hint: put a command after --: bot-bottle run -- id"},
			"run --nope":                           {"unknown flag: --nope", "hint: bot-bottle run --help"},
			"rnu":                                  {`unknown command "rnu"`, `hint: did you mean "run"?`},
			"frobnicate":                           {`unknown command "frobnicate"`, "hint: bot-bottle --help lists the commands"},
			"run --agents-dir agents --agent x":    {`there is no agent "x"`, "hint: there are these: fixer"},
			"run --agents-dir agents --agent fixr": {`there is no agent "fixr"`, `hint: did you mean "fixer"?`},
			"run --bottles-dir bottles --bottle x -- id":    {`there is no bottle "x"`, "hint: write bottles/x.md"},
			"run --bottles-dir bottles --bottle ../b -- id": {`"../b" is not a name`},
			"run --backend magic -- id":                     {`none called "magic"`, "hint: known are: auto, smolmachines, gvisor, docker"},
			"run --name No_Name -- id":                      {`naming the run "No_Name"`, "hint: use up to 63 of a-z, 0-9 and -"},
			"run --timeout 0s -- id":                        {"--timeout", "0s is not more than 0", "hint: give a duration such as"},
			"run --timeout -5m -- id":                       {"--timeout", "-5m0s is not more than 0", "hint: give a duration such as"},
			"run --timeout 90 -- id":                        {"--timeout", "missing unit", "hint: "},
			"run --allow x -- id":                           {"--allow", "needs --workspace", "hint: name the checkout with --workspace DIR"},
			"run --backend gvisr --workspace missing -- id": {`none called "gvisr"`, "hint: known are: auto, smolmachines, gvisor, docker"},
			"run --workspace . --allow [ -- id":             {`"["`},
			"apply x":                                       {`"x"`, "no such run", "hint: list the runs", "ls --all"},
			"apply":                                         {"wanted [RUN], got 0", "hint: usage: bot-bottle apply RUN"},
			"inspect x":                                     {`"x"`, "no such run"},
		} {
			t.Run(args, func(t *testing.T) { refuses(t, w.run(strings.Fields(args)...), 2, words...) })
		}
		w.neverBegan()
	})
}

// route is the beginning of a bottle whose route begins in line 4 of its file.
const route = "egress:\n  routes:\n    - host: "

func TestBadBottleIsRefusedWithItsLine(t *testing.T) {
	for front, words := range map[string][]string{
		route + "https://api.example/v1\n": {"b.md:4", "egress.routes[0].host", `has the scheme "https"`, "hint: write the name alone: `host: api.example`"},
		route + "api.example/v1\n":         {"b.md:4", "egress.routes[0].host", "has a path", "put the path into `matches`"},
		route + "api.example:8443\n":       {"b.md:4", "egress.routes[0].host", "has a port", "`port: 8443`"},
		route + "a.example\n      matches: [{path: {type: RegularExpression, value: \"a(\"}}]\n": {"b.md:5", "egress.routes[0].matches[0].path.value", "missing closing )"},
		route + "a.example\n      auth: {scheme: Bearer, token_ref: env:NOT_THERE}\n":            {"b.md:5", "routes[0].auth.token_ref", `no variable "NOT_THERE"`, "hint: set NOT_THERE in"},
		route + "a.example\n      auth: {scheme: Bearer, token_ref: file:/not/there}\n":          {"b.md:5", "token_ref", "/not/there", "no such file", "hint: make /not/there a regular file"},
		route + "a.example\n      auth: {scheme: Bearer, token_ref: credential:x}\n":             {"b.md:5", "token_ref", "hint: add LoadCredential=x"},
		route + "a.example\n      auth: {scheme: Bearer, token_ref: hunter2}\n":                  {"b.md:5", "token_ref", "must not stand in a bottle"},
		route + "a.example\n      addresses: [169.254.169.254/32]\n":                             {"b.md:5", "egress.routes[0].addresses[0]", "no policy can allow it"},
		"env:\n  A: ${NOT_THERE}\n":     {"b.md:3", "env.A", `no variable "NOT_THERE"`, "hint: set NOT_THERE"},
		"egres:\n  routes: []\n":        {"b.md:2", "egres", `"egress"`, "hint: "},
		"env: {}\nenv: {}\n":            {"b.md:3", "env", "a second time, first on line 2"},
		"supervise: true\n":             {"b.md:2", "supervise", "can't enforce", "hint: "},
		"limits: {timeout: 0s}\n":       {"b.md:2", "limits.timeout", "not positive", "hint: write a positive time such as 30m"},
		"limits: {timeout: -5m}\n":      {"b.md:2", "limits.timeout", "not positive", "hint: write a positive time such as 30m"},
		"limits: {memory: 512}\n":       {"b.md:2", "limits.memory", "512 has no unit", "such as 512MiB"},
		"image: {rootfs: images/one}\n": {"b.md:2", "image.rootfs", "not an absolute path", "hint: write the path from the root on"},
		"isolation: strong\n":           {"b.md:2", "isolation", "hint: write vm, gvisor or container"},
	} {
		t.Run(front, func(t *testing.T) {
			w := newWorld(t, true)
			r := w.run(w.bottle(front, "true")...)
			refuses(t, r, 2, words...)
			if strings.Contains(r.stderr, "hunter2") {
				t.Errorf("the token is shown: %s", r)
			}
			w.neverBegan()
		})
	}
}

func TestBadImageIsRefused(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		w.write("empty/etc/passwd", "")
		w.must(os.MkdirAll(filepath.Join(w.dir, "linked/bin"), 0o755))
		w.must(os.Symlink("/usr/bin/dash", filepath.Join(w.dir, "linked/bin/sh"))) // which the host may have, and the image hasn't
		w.own()
		for dir, words := range map[string][]string{
			"missing":          {"opening the image's root file system", "no such file", "hint: mend the bottle's `image`: `image.rootfs` is the absolute path"},
			"empty/etc/passwd": {"not a folder"},
			"empty":            {"looking for /bin/sh", "hint: mend the bottle's `image`: is ", "the top of a root file system"},
			"linked":           {"looking for /bin/sh", `no "/usr"`},
		} {
			args := w.bottle("image: {rootfs: "+filepath.Join(w.dir, dir)+"}\n", "true")
			refuses(t, w.run(args...), 3, append(words, "gvisor: ")...)
		}
		w.neverBegan()
	})
}

// checkout is a git checkout of the world's user, from which jobs are started.
type checkout struct {
	w   *world
	dir string
}

// checkout makes one whose only commit has these files.
func (w *world) checkout(files map[string]string) checkout {
	w.t.Helper()
	c := checkout{w, filepath.Join(w.dir, "repo")}
	for name, content := range files {
		c.write(name, content)
	}
	c.git("init", "-q", "-b", "main")
	c.git("add", "-A")
	c.git("commit", "-qm", "begin")
	return c
}

func (c checkout) write(name, content string) {
	c.w.t.Helper()
	c.w.write(filepath.Join(filepath.Base(c.dir), name), content)
}

// git runs the host's git in the checkout, as its owner does.
func (c checkout) git(args ...string) {
	c.w.t.Helper()
	const who = "-c user.name=a -c user.email=a@b -c protocol.file.allow=always"
	if r := c.w.start("git", append(strings.Fields(who+" -C "+c.dir), args...)...); r.code != 0 {
		c.w.t.Fatalf("git %v: %s", args, r)
	}
}

// start runs another program than bot-bottle to its end, as the world's user.
func (w *world) start(name string, args ...string) result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	like := w.command(ctx)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = like.Env, like.Dir, like.SysProcAttr
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		w.t.Fatalf("running %s: %v", name, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func TestBadRepositoryIsRefused(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		c := w.checkout(map[string]string{"sub/file": "x\n"})
		c.git("clone", "-q", "--bare", c.dir, filepath.Join(w.dir, "bare"))
		c.git("init", "-q", filepath.Join(w.dir, "unborn"))
		c.git("clone", "-q", c.dir, filepath.Join(w.dir, "super"))
		super := checkout{w, filepath.Join(w.dir, "super")}
		super.git("submodule", "--quiet", "add", c.dir, "inner")
		super.git("commit", "-qm", "with a submodule")
		for dir, words := range map[string][]string{
			"missing":       {"opening workspace", "no such file", "hint: name the top folder of a checkout"},
			"repo/sub/file": {"opening workspace", "not a folder"},
			"agents":        {"not a git repository", "hint: name the top folder of a checkout"},
			"repo/sub":      {"not a git repository", "hint: it lies inside the repository", "name that folder"},
			"bare":          {"a bare repository has no files to work on", "hint: name a checkout of it"},
			"unborn":        {"there is no commit yet", "hint: commit something first"},
			"super":         {`"inner" is a submodule`, "hint: name the submodule itself"},
		} {
			refuses(t, w.run("run", "--workspace", filepath.Join(w.dir, dir), "--", "true"), 2, words...)
		}
		w.neverBegan()
	})
}

func TestBadStateFolderIsRefused(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		file, link, open := w.write("file", ""), filepath.Join(w.dir, "link"), filepath.Join(w.dir, "open")
		w.must(os.Mkdir(open, 0o755))
		w.must(os.Symlink("state", link))
		w.own()
		for dir, words := range map[string][]string{
			file:            {"a file, not a folder", "hint: remove it, or set BOT_BOTTLE_STATE"},
			link:            {"a symbolic link, not a folder"},
			open:            {"its mode is 0755, not 0700", "hint: make sure that nobody else", "chmod 0700"},
			file + "/state": {"making state folder", "not a directory", "BOT_BOTTLE_STATE"},
		} {
			w.env = []string{"BOT_BOTTLE_STATE=" + dir}
			refuses(t, w.run("run", "--", "true"), 3, append(words, dir)...)
		}
		w.env = []string{"BOT_BOTTLE_STATE=state"}
		refuses(t, w.run("run", "--", "true"), 2, "BOT_BOTTLE_STATE", `"state": not an absolute path`, "hint: set BOT_BOTTLE_STATE to a path that starts with /")
		w.env = []string{"BOT_BOTTLE_LOG_LEVEL=loud"}
		refuses(t, w.run("run", "--", "true"), 2, "BOT_BOTTLE_LOG_LEVEL", `"loud" is not a level`, "hint: use trace, debug, info, warn or error")
		w.env = nil
		w.neverBegan()
	})
}

func TestBadReportFolderIsRefused(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		file, full := w.write("file", ""), filepath.Dir(w.write("full/of-things", ""))
		open, link := filepath.Join(w.dir, "open"), filepath.Join(w.dir, "linked")
		w.must(os.Mkdir(open, 0o700))
		w.must(os.Symlink("tmp", link))
		w.own()
		w.must(os.Chmod(open, 0o777))
		for dir, word := range map[string]string{open: "only you may write to", link: "only you may write to", file: "not a directory", file + "/new": "not a directory", full: "it is not empty"} {
			r := w.run("run", "--quiet", "--report-dir", dir, "--", "true")
			refuses(t, r, 3, dir, word, "making the report folder", "hint: name a folder that does not exist yet")
		}
		w.nothingLeft()
	})
}

func TestFolderThatMayNotBeWrittenIsRefused(t *testing.T) {
	w := newWorld(t, true) // root may write everywhere
	closed := filepath.Join(w.dir, "closed")
	w.must(os.Mkdir(closed, 0o700))
	w.own()
	w.must(os.Chmod(closed, 0o500))
	r := w.run("run", "--quiet", "--report-dir", filepath.Join(closed, "report"), "--", "true")
	refuses(t, r, 3, "making the report folder", "permission denied", "hint: ", "--report-dir")
	w.nothingLeft()
	w.env = []string{"BOT_BOTTLE_STATE=" + filepath.Join(closed, "state")}
	refuses(t, w.run("run", "--", "true"), 3, closed, "permission denied", "hint: make ", "BOT_BOTTLE_STATE")
}

// onSmallDisk runs bot-bottle where w.dir/small is a disk of that size, which
// nobody else sees. An ordinary user gets it in a user namespace in which he is
// root, and runs bot-bottle in one within that, in which he is himself again.
func (w *world) onSmallDisk(size string, args ...string) result {
	w.t.Helper()
	small := filepath.Join(w.dir, "small")
	w.must(os.MkdirAll(small, 0o700))
	w.own()
	outer, inner := []string{"--mount"}, ""
	if w.asUser {
		uid := os.Getuid()
		if uid == 0 {
			uid = w.uid
		}
		outer = append(outer, "--user", "--map-root-user")
		inner = fmt.Sprintf("unshare --user --map-user=%[1]d --map-group=%[1]d -- ", uid)
	}
	script := fmt.Sprintf(`mount -t tmpfs -o size=%s,mode=700 none %q && exec %s "$0" "$@"`, size, small, inner)
	return w.start("unshare", append(append(outer, "sh", "-c", script, w.bin), args...)...)
}

func TestFullDiskIsSaidAndLeavesNothing(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		small := filepath.Join(w.dir, "small")
		report := filepath.Join(small, "report")
		r := w.onSmallDisk("8k", "run", "--quiet", "--report-dir", report, "--", "true")
		refuses(t, r, 6, "writing the report", "no space left on device", "hint: make room")
		r = w.onSmallDisk("256k", "run", "--quiet", "--report-dir", report, "--", "seq", "100000")
		if r.code != 6 || !strings.Contains(r.stderr, "keeping the agent's log") || !strings.Contains(r.stderr, "no space left on device") {
			t.Errorf("a log that doesn't fit: exit code %d: %s", r.code, r.stderr)
		}
		if !strings.HasSuffix(r.stdout, "\n100000\n") {
			t.Errorf("what was shown ends with the log: %q", r.stdout[max(0, len(r.stdout)-40):])
		}
		w.nothingLeft()
		w.env = []string{"BOT_BOTTLE_STATE=" + small}
		refuses(t, w.onSmallDisk("32k", "run", "--", "true"), 3, small, "hint: free some space")
		r = w.onSmallDisk("4m", "run", "--quiet", "--", "sh", "-c", "head -c 20000000 /dev/zero > /home/agent/x; sync; echo alive")
		if r.code == 0 || !strings.Contains(r.stderr, "error: ") {
			t.Errorf("a guest's disk that doesn't fit: %s", r)
		}
		w.env = nil
		w.nothingLeft()
	})
}

func TestWithoutUserNamespacesTheRemedyIsNamed(t *testing.T) {
	w := newWorld(t, true) // root needs none of its own
	const forbid = `echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --inh-caps=-all --ambient-caps=-all -- "$0" "$@"`
	r := w.start("unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", forbid, w.bin, "run", "--quiet", "--", "true")
	refuses(t, r, 3, "gvisor: user namespaces: The host allows no user namespaces.", "hint: sysctl -w user.max_user_namespaces=15000")
	w.neverBegan()
}

func TestTwoLiveRunsCantHaveOneName(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		first := w.command(t.Context(), "run", "--quiet", "--name", "twin", "--", "sh", "-c", "echo up; sleep 60")
		w.during(first, func() {
			r := w.run("run", "--quiet", "--name", "twin", "--", "true")
			refuses(t, r, 2, `naming the run "twin"`, "a live run has this name", "hint: choose another name", "bot-bottle ls")
			if runs := w.runs(); len(runs) != 1 || runs[0].State != "live" {
				t.Errorf("the first run was touched: %+v", runs)
			}
			first.Process.Signal(syscall.SIGTERM)
		})
		if r := w.run("run", "--quiet", "--name", "twin", "--", "true"); r.code != 0 {
			t.Errorf("the name is not free again: %s", r)
		}
		w.nothingLeft()
	})
}

func TestClosedPipeEndsNoJob(t *testing.T) {
	eachCaller(t, func(t *testing.T, w *world) {
		script := fmt.Sprintf(`(%[1]q run --json -- true; echo "code $?" >&2) | true; (%[1]q run --quiet -- sh -c 'seq 100000; echo the end >&2'; echo "code $?" >&2) | true`, w.bin)
		r := w.start("sh", "-c", script)
		for _, want := range []string{"broken pipe\n", "code 6\n", "the end\ncode 0\n"} {
			if !strings.Contains(r.stderr, want) {
				t.Errorf("%q is missing: %s", want, r)
			}
		}
		w.nothingLeft()
	})
}
