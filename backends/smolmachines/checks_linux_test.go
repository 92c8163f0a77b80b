package smolmachines

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/smolvmtest"
	"github.com/bot-bottle/action/internal/testenv"
	"github.com/bot-bottle/action/preflight"
)

func wantFinding(t *testing.T, f preflight.Finding, status preflight.Status, found, remedy string) {
	t.Helper()
	if f.Status != status || !strings.Contains(f.Found, found) || !strings.Contains(f.Remedy, remedy) {
		t.Errorf("got %+v; wanted %s, %q, %q", f, status, found, remedy)
	}
}

var host = preflight.ThisHost()

func TestRootNeedsADeviceThatIsOpenToItsGuestsUsers(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Skip(t, "making a device needs root")
	}
	device := filepath.Join(t.TempDir(), "kvm")
	if err := syscall.Mknod(device, syscall.S_IFCHR|0o600, 1<<8|3); err != nil { // what /dev/null is
		t.Fatal(err)
	}
	wantFinding(t, checkKVM(t.Context(), host, device), preflight.Fail, "its mode is 0600", "udev rule")
}

// installed lays out the double with smolvm where upstream's archive has it.
func installed(t *testing.T) (dir string, o Options) {
	t.Helper()
	dir = t.TempDir()
	bin := smolvmtest.Install(t, dir, smolvmtest.Config{Version: "1.9.3"})
	return dir, Options{Binary: filepath.Join(bin, "smolvm")}
}

func TestInstallationIsFoundBesideTheBinary(t *testing.T) {
	dir, o := installed(t)
	i, err := o.find()
	if err != nil || i.libraries != filepath.Join(dir, "lib") || i.agentRoot != filepath.Join(dir, "share/smolvm/agent-rootfs") {
		t.Errorf("got %+v, %v", i, err)
	}
}

func TestProgramBesideUpstreamsWrapperIsTaken(t *testing.T) {
	dir, o := installed(t)
	program := filepath.Join(dir, "bin", "smolvm-bin")
	err := errors.Join(os.Rename(o.Binary, program), os.WriteFile(o.Binary, []byte("#!/bin/sh\nexec smolvm-bin\n"), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	if i, err := o.find(); err != nil || i.binary != program {
		t.Errorf("got %+v, %v", i, err)
	}
}

func TestWhatIsMissingOfAnInstallationIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"smolvm":     {func(dir string) error { return os.Remove(filepath.Join(dir, "bin/smolvm")) }, "finding smolvm"},
		"a script":   {func(dir string) error { return script(filepath.Join(dir, "bin/smolvm")) }, "it is no program of this system"},
		"libkrun":    {func(dir string) error { return os.Remove(filepath.Join(dir, "lib/libkrun.so.1")) }, "finding libkrun and libkrunfw"},
		"libkrunfw":  {func(dir string) error { return os.Remove(filepath.Join(dir, "lib/libkrunfw.so.5")) }, "finding libkrun and libkrunfw"},
		"agent root": {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "share")) }, "finding the root file system of smolvm's agent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HOME", t.TempDir())
			dir, o := installed(t)
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, err := o.find()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v", err)
			}
			wantFinding(t, New("/x", o).checkSmolvm(t.Context(), host, backends.Spec{}), preflight.Fail, c.want, "install a release")
		})
	}
}

func script(path string) error {
	return errors.Join(os.Remove(path), os.WriteFile(path, []byte("#!/bin/sh\necho smolvm 1.9.3\n"), 0o755))
}

func TestPinsAreOfSmolvmAndItsLibraries(t *testing.T) {
	dir, o := installed(t)
	body, err := os.ReadFile(filepath.Join(dir, "lib/libkrun.so.1"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	o.Pins = map[string]string{"libkrun.so.1": strings.ToUpper(hex.EncodeToString(sum[:]))}
	if _, err := o.find(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"smolvm", "libkrun.so.1", "libkrunfw.so.5", "none"} {
		o.Pins = map[string]string{name: strings.Repeat("0", 64)}
		if _, err := o.find(); err == nil || !strings.Contains(err.Error(), "comparing the SHA-256 with its pin") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestReleaseIsUsedAsTheHostChose(t *testing.T) {
	for _, c := range []struct {
		v      Version
		mode   Mode
		strict bool
		want   string
	}{
		{Version{1, 9, 3}, ModeSocket, true, ""},
		{Version{1, 9, 4}, ModeSocket, false, ""},
		{Version{1, 9, 4}, ModeSocket, true, "strict_version is set"},
		{Version{1, 9, 3}, ModeAllowlist, false, `the mode "allowlist" is for 0.8.0 to 1.1.2`},
		{Version{0, 8, 0}, ModeSocket, false, "which has to be chosen"},
		{Version{0, 8, 0}, ModeAllowlist, true, ""},
		{Version{1, 5, 0}, ModeSocket, false, "using smolvm 1.5.0"},
		{Version{0, 7, 2}, ModeAllowlist, false, "using smolvm 0.7.2"},
	} {
		_, err := usableForm(c.v, c.mode, c.strict)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

func TestLimitsThatAMachineCannotHoldAreFindings(t *testing.T) {
	spec := func(l policy.Limits) backends.Spec { return backends.Spec{Limits: l.WithDefaults()} }
	wantFinding(t, checkDisk(host, spec(policy.Limits{})), preflight.OK, "", "")
	wantFinding(t, checkDisk(host, spec(policy.Limits{DiskBytes: gib})), preflight.Fail, "at least 2 GiB", "limits.disk")
	wantFinding(t, checkDisk(host, spec(policy.Limits{DiskBytes: gib, BestEffort: true})), preflight.OK, "at least 2 GiB", "")
	wantFinding(t, checkCPUs(host, spec(policy.Limits{CPUs: 17})), preflight.Warn, "at most 16", "limits.cpus")
	wantFinding(t, checkCPUs(host, spec(policy.Limits{CPUs: 16})), preflight.OK, "", "")
}

func TestLimitOnTasksIsNotHeldAgainstRoot(t *testing.T) {
	wantFinding(t, checkPIDs(host, backends.Spec{}), preflight.OK, "RLIMIT_NPROC", "")
	wantFinding(t, checkPIDs(host, backends.Spec{Root: true}), preflight.Fail, "is root", "best_effort")
	wantFinding(t, checkPIDs(host, backends.Spec{Root: true, Limits: policy.Limits{BestEffort: true}}), preflight.OK, "best effort", "")
}

func TestNestedVirtualisationIsNoted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cpuinfo")
	for content, want := range map[string]string{"flags\t\t: fpu vmx hypervisor\n": "nested: ", "flags\t\t: fpu vmx\n": "not nested"} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		wantFinding(t, checkNested(path), preflight.OK, want, "")
	}
}
