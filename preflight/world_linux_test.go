package preflight_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/bot-bottle/action/internal/testenv"
	"github.com/bot-bottle/action/preflight"
	"golang.org/x/sys/unix"
)

// A test that needs another user or namespaces of its own starts this binary
// again with the name of a scene and its argument.
const sceneVariable = "PREFLIGHT_TEST_SCENE"

func TestMain(m *testing.M) {
	if name := os.Getenv(sceneVariable); name != "" {
		f, err := scenes[name](os.Args[1])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		json.NewEncoder(os.Stdout).Encode(f)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// scenes are what a child process finds, by name.
var scenes = map[string]func(arg string) (preflight.Finding, error){
	"kvm": func(path string) (preflight.Finding, error) {
		return one(preflight.KVM(preflight.ThisHost(), path)), nil
	},
	"state": func(dir string) (preflight.Finding, error) {
		return one(preflight.State(preflight.ThisHost(), dir)), nil
	},
	"docker": func(socket string) (preflight.Finding, error) {
		return one(preflight.Docker(quiet(), socket)), nil
	},
	"full state disk":    fullDisk,
	"no user namespaces": noNamespaces,
}

// one runs one check as a job would.
func one(c preflight.Check) preflight.Finding { return preflight.Run(ctx, []preflight.Check{c})[0] }

// quiet is this host without an environment.
func quiet() preflight.Host {
	h := preflight.ThisHost()
	h.Getenv = func(string) string { return "" }
	return h
}

// on is a host that says of itself what files hold.
func on(uid int, files map[string]string) preflight.Host {
	fs := fstest.MapFS{}
	for name, text := range files {
		fs[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return preflight.Host{Files: fs, Getenv: func(string) string { return "" }, UID: uid}
}

// play runs a scene in a child process that change has prepared.
func play(t *testing.T, scene, arg string, change func(*exec.Cmd)) preflight.Finding {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testBinary(t), arg)
	cmd.Env, cmd.Dir = []string{sceneVariable + "=" + scene}, "/"
	change(cmd)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("playing %q: %v", scene, err)
	}
	var f preflight.Finding
	if err := json.Unmarshal(out, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// testBinary is this binary at a place where every user can execute it.
func testBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(testenv.ShortDir(t), "test")
	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, own, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// asRoot skips where the test can't make devices and become other users.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		testenv.Skip(t, "it takes root to make devices and to be other users")
	}
}

// device makes the device of /dev/kvm in a folder that everybody can enter.
func device(t *testing.T, mode os.FileMode, uid, gid int) string {
	t.Helper()
	asRoot(t)
	path := filepath.Join(testenv.ShortDir(t), "kvm")
	if err := unix.Mknod(path, unix.S_IFCHR|uint32(mode), int(unix.Mkdev(10, 232))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
	return path
}

// ownMounts gives the child a mount namespace, which goes with it; an ordinary
// user needs a user namespace for that.
func ownMounts(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		mapRoot(cmd)
	}
}

func mapRoot(cmd *exec.Cmd) {
	a := cmd.SysProcAttr
	a.Cloneflags |= syscall.CLONE_NEWUSER
	a.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
}
