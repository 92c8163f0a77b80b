package docker

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/guestroot"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
)

// planned is a plan for an engine with runc.
func planned(t *testing.T) plan {
	t.Helper()
	b := &Backend{options: Options{HostID: "h"}, engine: &engine{runtime: ociRuntime{name: "runc"}}}
	b.engine.info.NCPU = 4
	p, err := b.newPlan(backends.Spec{
		Run: "abcdefghij", Alias: netip.MustParseAddr("127.0.0.16"), Doors: "/d", Disk: "/disk", Executable: "/bb",
		Limits: policy.Limits{}.WithDefaults(), Files: map[string][]byte{"ca.pem": []byte("ca")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhateverTheEngineChangesShows(t *testing.T) {
	for name, change := range map[string]func(*container.Config, *container.HostConfig){
		"user":                  func(c *container.Config, _ *container.HostConfig) { c.User = "" },
		"entrypoint":            func(c *container.Config, _ *container.HostConfig) { c.Entrypoint = []string{"sh"} },
		"environment":           func(c *container.Config, _ *container.HostConfig) { c.Env = append(c.Env, "X=1") },
		"volumes":               func(c *container.Config, _ *container.HostConfig) { c.Volumes = map[string]struct{}{"/v": {}} },
		"label bot-bottle.host": func(c *container.Config, _ *container.HostConfig) { c.Labels = nil },
		"network":               func(_ *container.Config, h *container.HostConfig) { h.NetworkMode = "bridge" },
		"processes":             func(_ *container.Config, h *container.HostConfig) { h.PidMode = "host" },
		"users":                 func(_ *container.Config, h *container.HostConfig) { h.UsernsMode = "host" },
		"ipc":                   func(_ *container.Config, h *container.HostConfig) { h.IpcMode = "host" },
		"privileged":            func(_ *container.Config, h *container.HostConfig) { h.Privileged = true },
		"capabilities added":    func(_ *container.Config, h *container.HostConfig) { h.CapAdd = append(h.CapAdd, "CAP_SYS_ADMIN") },
		"security": func(_ *container.Config, h *container.HostConfig) {
			h.SecurityOpt = []string{"no-new-privileges", "seccomp={}"}
		},
		"masked":              func(_ *container.Config, h *container.HostConfig) { h.MaskedPaths = nil },
		"read-only root":      func(_ *container.Config, h *container.HostConfig) { h.ReadonlyRootfs = false },
		"binds":               func(_ *container.Config, h *container.HostConfig) { h.Binds = []string{"/:/host"} },
		"devices":             func(_ *container.Config, h *container.HostConfig) { h.Devices = make([]container.DeviceMapping, 1) },
		"memory":              func(_ *container.Config, h *container.HostConfig) { h.Memory = 0 },
		"memory and swap":     func(_ *container.Config, h *container.HostConfig) { h.MemorySwap = -1 },
		"tasks":               func(_ *container.Config, h *container.HostConfig) { h.PidsLimit = nil },
		"cpus":                func(_ *container.Config, h *container.HostConfig) { h.NanoCPUs = 0 },
		"memory file systems": func(_ *container.Config, h *container.HostConfig) { h.Tmpfs = nil },
		"restart":             func(_ *container.Config, h *container.HostConfig) { h.RestartPolicy.Name = "always" },
		"runtime":             func(_ *container.Config, h *container.HostConfig) { h.Runtime = "crun" },
		"mounts":              func(_ *container.Config, h *container.HostConfig) { h.Mounts[0].ReadOnly = false },
	} {
		p, other := planned(t), planned(t)
		change(&other.config, &other.host)
		err := backends.Verify(backends.Given{Settings: settings(&p.config, &p.host)}, backends.Given{Settings: settings(&other.config, &other.host)})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("setting %q", name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryShareIsReadOnlyAndAlone(t *testing.T) {
	mounts := planned(t).host.Mounts
	for _, m := range mounts {
		o := m.BindOptions
		if m.Type != mount.TypeBind || !m.ReadOnly || o == nil || !o.NonRecursive || o.Propagation != mount.PropagationRPrivate {
			t.Errorf("%+v", m)
		}
	}
	if text := mountWords(mounts); !strings.Contains(text, "bind:/d>/bottle/doors:ro=true") || strings.Contains(text, "docker.sock") {
		t.Error(text)
	}
}

func TestDiskLimitIsNeverMoreThanWasAsked(t *testing.T) {
	size := func(options string) (n int64) {
		_, after, _ := strings.Cut(options, "size=")
		fmt.Sscan(strings.ReplaceAll(after, ",", " "), &n)
		return n
	}
	for _, l := range []policy.Limits{{MemoryBytes: 4 << 30, DiskBytes: 1 << 30}, {MemoryBytes: 64 << 30, DiskBytes: 1 << 20}} {
		var sum int64
		for _, options := range tmpfs(l) {
			sum += size(options)
		}
		if sum > l.DiskBytes || sum < l.DiskBytes/10*9 {
			t.Errorf("%+v: the parts are %d together", l, sum)
		}
	}
	for path, options := range tmpfs(policy.Limits{MemoryBytes: 1 << 30, DiskBytes: 8 << 30}) {
		if size(options) != 8<<30 {
			t.Errorf("%s: %s", path, options)
		}
	}
}

func TestBaseImageIsTheSameForTheSameRoot(t *testing.T) {
	entries := []guestroot.Entry{{Kind: guestroot.KindDir, Target: "/tmp", Mode: 0o777}, {Kind: guestroot.KindSymlink, Target: "/bin", Source: "usr/bin"}, {Kind: guestroot.KindBind, Target: "/usr", Source: "/usr"}}
	a, err := newBase(entries)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := newBase(entries)
	c, _ := newBase(entries[:1])
	if a.tag != b.tag || string(a.archive) != string(b.archive) || a.tag == c.tag || !strings.HasPrefix(a.layerID, "sha256:") {
		t.Errorf("%s, %s, %s", a.tag, b.tag, c.tag)
	}
}
