package smolmachines

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

var planned = Machine{
	Name: "bb-1", CPUs: 2, MemoryMiB: 512, StorageGiB: 3, OverlayGiB: 1, Image: "/image",
	Shares:  []Share{{"/share/bin", "/bottle/bin"}, {"/share/etc", "/bottle/etc"}},
	Sockets: []Socket{{"/doors/a", "/b/a"}, {"/doors/c", "/b/c"}},
}

var plannedNetwork = Machine{Name: "bb-1", CPUs: 2, MemoryMiB: 512, StorageGiB: 3, OverlayGiB: 1, AllowCIDRs: []string{"127.0.0.16/32"}}

const (
	goodRow = `{"name":"bb-1","state":"created","pid":null,"cpus":2,"mem":512,"storage_gb":3,"overlay_gb":1,"image":"local-dir:/image","new":1,
		"mounts":[["/share/etc","/bottle/etc",true],["/share/bin", "/bottle/bin", true]],"ports":[],"network":false,"allowed_cidrs":null,
		"published_sockets":[{"direction":"mount","host_path":"/doors/c","guest_path":"/b/c"},{"direction":"mount","guest_path":"/b/a","host_path":"/doors/a"}]}`
	goodNetworkRow = `{"name":"bb-1","state":"created","cpus":2,"mem":512,"storage_gb":3,"overlay_gb":1,"network":true,"allowed_cidrs":["127.0.0.16/32","127.0.0.16/32"]}`
	goodHanded     = `{"version":1,"ports":[],"mounts":[{"source":"/share/bin","target":"/bottle/bin","read_only":true},{"source":"/share/etc","target":"/bottle/etc","read_only":true}],
		"resources":{"cpus":2,"memory_mib":512,"network":false,"storage_gib":3,"overlay_gib":1,"allowed_cidrs":null}}`
	goodNetworkHanded = `{"version":1,"resources":{"cpus":2,"memory_mib":512,"network":true,"storage_gib":3,"overlay_gib":1,"allowed_cidrs":["127.0.0.16/32"]}}`
)

// with gives the JSON object with one field replaced; a path is separated by dots.
func with(t *testing.T, object, path, value string) []byte {
	t.Helper()
	var o map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &o); err != nil {
		t.Fatal(err)
	}
	first, rest, deeper := strings.Cut(path, ".")
	o[first] = json.RawMessage(value)
	if deeper {
		o[first] = with(t, object[strings.Index(object, `{"cpus"`):len(object)-1], rest, value)
	}
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRowAsPlannedPasses(t *testing.T) {
	for row, m := range map[string]Machine{goodRow: planned, goodNetworkRow: plannedNetwork} {
		if err := verifyRow([]byte(row), m); err != nil {
			t.Error(err)
		}
	}
	backend := with(t, goodNetworkRow, "network_backend", `"tsi"`)
	if err := verifyRow(backend, plannedNetwork); err != nil {
		t.Error(err)
	}
	empty := with(t, goodRow, "allowed_cidrs", `[]`)
	if err := verifyRow(empty, planned); err != nil {
		t.Error(err)
	}
}

func TestEveryFieldOfTheRowCounts(t *testing.T) {
	for field, value := range map[string]string{
		"name": `"other"`, "state": `"stopped"`, "pid": `7`, "cpus": `4`, "mem": `513`, "storage_gb": `null`, "overlay_gb": `10`,
		"image": `"local:abc"`, "ports": `[[80,80]]`, "network": `true`, "allowed_cidrs": `["0.0.0.0/0"]`, "network_backend": `"virtio-net"`,
		"dns": `"1.1.1.1"`, "dns_filter_hosts": `[]`, "network_name": `"n"`, "ssh_agent": `true`, "docker_socket": `true`, "cuda": `true`,
		"gpu": `true`, "forkable": `true`, "golden": `"g"`, "source_smolmachine": `"/x"`, "env": `[["A","b"]]`, "init": `["sh"]`,
		"remote_volumes": `[{}]`, "health_cmd": `["true"]`, "secret_refs": `{"A":{}}`,
		"mounts":            `[["/share/bin","/bottle/bin",false],["/share/etc","/bottle/etc",true]]`,
		"published_sockets": `[{"direction":"mount","guest_path":"/b/a","host_path":"/doors/a"}]`,
	} {
		err := verifyRow(with(t, goodRow, field, value), planned)
		if !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), strings.Replace(field, "secret_refs", "env", 1)) {
			t.Errorf("%s = %s: got %v", field, value, err)
		}
	}
	for field, value := range map[string]string{
		"network": `false`, "allowed_cidrs": `null`, "network_backend": `"virtio-net"`, "state": `"running"`,
	} {
		if err := verifyRow(with(t, goodNetworkRow, field, value), plannedNetwork); !errors.Is(err, ErrDiffers) {
			t.Errorf("%s = %s: got %v", field, value, err)
		}
	}
	for _, list := range []string{`[]`, `["127.0.0.16/32","1.1.1.1/32"]`, `["127.0.0.0/8"]`} {
		if err := verifyRow(with(t, goodNetworkRow, "allowed_cidrs", list), plannedNetwork); !errors.Is(err, ErrDiffers) {
			t.Errorf("%s: got %v", list, err)
		}
	}
	if err := verifyRow([]byte(`[]`), planned); !errors.Is(err, ErrRowJSON) {
		t.Errorf("got %v", err)
	}
}

func TestEveryFieldOfWhatTheVMMWasHandedCounts(t *testing.T) {
	for handed, m := range map[string]Machine{goodHanded: planned, goodNetworkHanded: plannedNetwork} {
		if err := verifyRunning([]byte(handed), m); err != nil {
			t.Error(err)
		}
	}
	for field, value := range map[string]string{
		"cpus": `1`, "memory_mib": `1024`, "network": `true`, "network_backend": `"virtio-net"`, "gpu": `true`, "cuda": `true`,
		"storage_gib": `null`, "overlay_gib": `2`, "allowed_cidrs": `["127.0.0.1/32"]`, "dns": `"1.1.1.1"`, "network_name": `"n"`,
	} {
		err := verifyRunning(with(t, goodHanded, "resources."+field, value), planned)
		if !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s = %s: got %v", field, value, err)
		}
	}
	for field, value := range map[string]string{"ports": `[{"host":1,"guest":1}]`, "mounts": `[]`, "forkable": `true`} {
		if err := verifyRunning(with(t, goodHanded, field, value), planned); !errors.Is(err, ErrDiffers) {
			t.Errorf("%s = %s: got %v", field, value, err)
		}
	}
	if err := verifyRunning(with(t, goodNetworkHanded, "resources.allowed_cidrs", "null"), plannedNetwork); !errors.Is(err, ErrDiffers) {
		t.Errorf("a list that allows everything: %v", err)
	}
	for _, odd := range []string{``, `{}`, `{"version":2}`, `{"version":1}`} {
		if err := verifyRunning([]byte(odd), planned); err == nil {
			t.Errorf("%q passed", odd)
		}
	}
}

func TestOnlyTheOneLineOfStartCounts(t *testing.T) {
	if pid, err := parseStarted("Machine 'bb-1' running (PID: 42)\n", "bb-1"); err != nil || pid != 42 {
		t.Errorf("got %d, %v", pid, err)
	}
	for said, want := range map[string]error{
		"Machine 'bb-1' already running (PID: 42)\n": ErrAlreadyRunning,
		"": ErrNotStarted, "Machine 'other' running (PID: 42)\n": ErrNotStarted, "Machine 'bb-1' running (PID: 1)\n": ErrNotStarted,
		"Machine 'bb-1' running (PID: -7)\n": ErrNotStarted, "Machine 'bb-1' running (PID: 42)\nMachine 'bb-1' running (PID: 43)\n": ErrNotStarted,
		"x Machine 'bb-1' running (PID: 42)\n": ErrNotStarted,
	} {
		if pid, err := parseStarted(said, "bb-1"); !errors.Is(err, want) {
			t.Errorf("%q gave %d, %v", said, pid, err)
		}
	}
}

func FuzzWhatSmolvmWrites(f *testing.F) {
	f.Add([]byte(goodRow), []byte(goodHanded), "Machine 'bb-1' running (PID: 42)\n")
	f.Fuzz(func(t *testing.T, row, handed []byte, said string) {
		_ = fmt.Sprint(verifyRow(row, planned), verifyRunning(handed, planned))
		if pid, err := parseStarted(said, "bb-1"); err == nil && pid <= 1 {
			t.Errorf("%q gave %d", said, pid)
		}
	})
}
