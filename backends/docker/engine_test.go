package docker

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/testenv"
	"github.com/bot-bottle/action/preflight"
	"github.com/docker/docker/api/types/system"
)

// fake is an engine that says what a test wants.
type fake struct {
	version map[string]any
	info    map[string]any
}

// serve gives the options for an engine that answers by handler.
func serve(t *testing.T, handler http.Handler) Options {
	t.Helper()
	socket := filepath.Join(testenv.ShortDir(t), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return Options{Host: "unix://" + socket, HostID: "thishost"}
}

// usable is what an engine of this host says that has all that is needed.
func usable() fake {
	return fake{
		version: map[string]any{"Version": "20.10.24", "ApiVersion": "1.41"},
		info: map[string]any{
			"ID": "ABCD", "OSType": "linux", "KernelVersion": kernel(), "NCPU": 64, "ServerVersion": "20.10.24",
			"MemoryLimit": true, "SwapLimit": true, "PidsLimit": true, "CpuCfsQuota": true,
			"SecurityOptions": []string{"name=apparmor", "name=seccomp,profile=default"},
			"Runtimes":        map[string]any{"runc": map[string]any{"path": "runc"}},
		},
	}
}

func (f fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/version"):
		json.NewEncoder(w).Encode(f.version)
	case strings.HasSuffix(r.URL.Path, "/info"):
		json.NewEncoder(w).Encode(f.info)
	case strings.HasSuffix(r.URL.Path, "/_ping"):
	default:
		w.WriteHeader(http.StatusNotFound)
		json.NewEncoder(w).Encode(map[string]string{"message": "no such thing"})
	}
}

// failing gives the failed findings for spec, as one text, with their remedies.
func failing(t *testing.T, o Options, s backends.Spec) string {
	t.Helper()
	var b strings.Builder
	for _, f := range preflight.Failed(preflight.Run(t.Context(), New(o).Look(t.Context()).Checks(s))) {
		if f.Remedy == "" {
			t.Errorf("%s has no remedy", f.ID)
		}
		b.WriteString(f.Found + "\n" + f.Remedy + "\n")
	}
	return b.String()
}

func spec(change func(*backends.Spec)) backends.Spec {
	s := backends.Spec{Run: "abcdefghij", Isolation: policy.IsolationContainer, Limits: policy.Limits{}.WithDefaults()}
	if change != nil {
		change(&s)
	}
	return s
}

func TestEngineThatHasAllPasses(t *testing.T) {
	if found := failing(t, serve(t, usable()), spec(nil)); found != "" {
		t.Error(found)
	}
}

func TestEngineIsRefusedWithTheReason(t *testing.T) {
	for want, change := range map[string]func(f fake){
		"is Podman's":                    func(f fake) { f.version["Components"] = []map[string]string{{"Name": "Podman Engine"}} },
		"speaks version 1.40":            func(f fake) { f.version["ApiVersion"] = "1.40" },
		"has no id":                      func(f fake) { delete(f.info, "ID") },
		"runs in another machine":        func(f fake) { f.info["KernelVersion"] = "6.6.6-linuxkit" },
		"the engine is rootless":         func(f fake) { f.info["SecurityOptions"] = []string{"name=seccomp", "name=rootless"} },
		"SELinux":                        func(f fake) { f.info["SecurityOptions"] = []string{"name=seccomp", "name=selinux"} },
		"no system call filter":          func(f fake) { f.info["SecurityOptions"] = []string{"name=apparmor"} },
		"does not say to which ids":      func(f fake) { f.info["SecurityOptions"] = []string{"name=seccomp", "name=userns"} },
		"can't be held here: pids":       func(f fake) { f.info["PidsLimit"] = false },
		"no runtime of this name":        func(f fake) { f.info["Runtimes"] = nil },
		"without --directfs=false --hos": func(f fake) { f.info["Runtimes"] = map[string]any{"runsc": map[string]any{"path": "/usr/bin/runsc"}} },
	} {
		f := usable()
		change(f)
		if found := failing(t, serve(t, f), spec(nil)); !strings.Contains(found, want) {
			t.Errorf("wanted %q, got %q", want, found)
		}
	}
}

func TestSpecIsRefusedWithTheReason(t *testing.T) {
	for want, change := range map[string]func(*backends.Spec){
		"wants a virtual machine":          func(s *backends.Spec) { s.Isolation = policy.IsolationVM },
		"register a runtime of its own":    func(s *backends.Spec) { s.Isolation = policy.IsolationGVisor },
		"root on the host's own kernel":    func(s *backends.Spec) { s.Root = true },
		"opening the image's root file sy": func(s *backends.Spec) { s.Image.Rootfs = "/nowhere" },
	} {
		if found := failing(t, serve(t, usable()), spec(change)); !strings.Contains(found, want) {
			t.Errorf("wanted %q, got %q", want, found)
		}
	}
}

func TestLimitsThatCantBeHeldAreWarningsAtBestEffort(t *testing.T) {
	f := usable()
	f.info["MemoryLimit"] = false
	if found := failing(t, serve(t, f), spec(func(s *backends.Spec) { s.Limits.BestEffort = true })); found != "" {
		t.Error(found)
	}
}

func TestMappedRootIsWhoCallsAtTheDoors(t *testing.T) {
	f := usable()
	f.info["SecurityOptions"] = []string{"name=seccomp", "name=userns"}
	f.info["DockerRootDir"] = "/var/lib/docker/165536.165536"
	o := serve(t, f)
	b := New(o).Look(t.Context())
	h, err := b.Handle(spec(nil))
	if want := (backends.Handle{Backend: "docker", Run: "abcdefghij", UserID: 165536, Engine: "ABCD"}); err != nil || h != want {
		t.Errorf("got %+v, %v", h, err)
	}
	if found := failing(t, o, spec(func(s *backends.Spec) { s.Root = true })); found != "" {
		t.Errorf("root in a mapped container: %s", found)
	}
}

func TestEngineThatHangsIsCutOff(t *testing.T) {
	release := make(chan struct{})
	o := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer close(release)
	start := time.Now()
	found := failing(t, o, spec(nil))
	if took := time.Since(start); !strings.Contains(found, "no answer within 2s") || took < lookTime || took > 30*time.Second {
		t.Errorf("after %v: %q", took, found)
	}
}

func TestEngineElsewhereIsRefused(t *testing.T) {
	for _, host := range []string{"tcp://192.0.2.1:2375", "ssh://me@example.com", "npipe:////./pipe/docker", "unix://relative", "unix://host/run/docker.sock", "http://x", "%"} {
		if found := failing(t, Options{Host: host, HostID: "x"}, spec(nil)); !strings.Contains(found, "which is no socket of this host") || !strings.Contains(found, "unset DOCKER_HOST") {
			t.Errorf("%s: %q", host, found)
		}
	}
}

func TestUnderARunnerOnlyTheUsualSocketIsTaken(t *testing.T) {
	for host, taken := range map[string]bool{
		"": true, "unix:///var/run/docker.sock": true, "unix:///run/docker.sock": true, "unix:///run/../run/docker.sock": true,
		"unix:///tmp/docker.sock": false, "unix:///var/run/docker.sock/../../tmp/x": false,
	} {
		if _, fault := socketOf(Options{Host: host, Runner: true}); (fault == nil) != taken {
			t.Errorf("%q: %+v", host, fault)
		}
	}
}

func TestThereIsNoEngine(t *testing.T) {
	found := failing(t, Options{Host: "unix://" + filepath.Join(t.TempDir(), "none"), HostID: "x"}, spec(nil))
	if !strings.Contains(found, "there is no engine") || !strings.Contains(found, "apt-get install docker.io") {
		t.Error(found)
	}
}

func TestStrongestRuntimeIsTakenByItself(t *testing.T) {
	runtime := func(path, shim string, args ...string) system.RuntimeWithStatus {
		r := system.RuntimeWithStatus{}
		r.Path, r.Args, r.Type = path, args, shim
		return r
	}
	all := map[string]system.RuntimeWithStatus{
		"runc": runtime("runc", ""), "runsc": runtime("/usr/bin/runsc", ""), "runsc-bottle": runtime("/usr/local/bin/runsc-bottle", "", "--host-uds=open", "-directfs=false"),
		"false": runtime("/usr/bin/crun", ""), "shim": runtime("", "io.containerd.runsc.v1"),
	}
	for wanted, want := range map[string]ociRuntime{
		"":      {name: "runsc-bottle", gvisor: true},
		"runc":  {name: "runc"},
		"false": {name: "false"},
		"shim":  {name: "shim", gvisor: true},
		"kata":  {name: "kata", unknown: true},
	} {
		got := chooseRuntime(system.Info{Runtimes: all}, wanted)
		if got.name != want.name || got.gvisor != want.gvisor || got.unknown != want.unknown || len(got.lacking()) != 0 {
			t.Errorf("%q: got %+v, lacking %q", wanted, got, got.lacking())
		}
	}
	if got := chooseRuntime(system.Info{Runtimes: all}, "runsc").lacking(); strings.Join(got, " ") != "--directfs=false --host-uds=open" {
		t.Errorf("lacking %q", got)
	}
}

func FuzzSocketOf(f *testing.F) {
	f.Add("unix:///run/docker.sock", true)
	f.Add("tcp://[::1", false)
	f.Fuzz(func(t *testing.T, host string, runner bool) {
		path, fault := socketOf(Options{Host: host, Runner: runner})
		if (fault == nil) != filepath.IsAbs(path) {
			t.Errorf("%q: path %q, %+v", host, path, fault)
		}
	})
}
