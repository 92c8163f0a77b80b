package docker

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write seccomp.json anew")

// refused are the system calls of Docker's default that a guest doesn't get.
var refused = []string{
	"socketcall",                                            // sockets of 32-bit programs, past the rules for families
	"io_uring_setup", "io_uring_enter", "io_uring_register", // system calls that no filter sees
	"userfaultfd",                      // stops the kernel where an exploit needs it
	"keyctl", "add_key", "request_key", // keyrings are the host's, by user id
	"bpf", "perf_event_open", // the kernel's own virtual machine
	"kcmp", "name_to_handle_at", "open_by_handle_at", // look past namespaces
	"modify_ldt", // 16-bit code
}

// families of sockets that a guest gets. Of netlink it is the one protocol that libc
// needs to list addresses.
func socketRules() []*seccomp.Syscall {
	rule := func(args ...specs.LinuxSeccompArg) *seccomp.Syscall {
		return &seccomp.Syscall{LinuxSyscall: specs.LinuxSyscall{
			Names: []string{"socket"}, Action: specs.ActAllow, Args: args,
		}}
	}
	is := func(index uint, value uint64) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{Index: index, Value: value, Op: specs.OpEqualTo}
	}
	return []*seccomp.Syscall{
		rule(is(0, unix.AF_UNIX)), rule(is(0, unix.AF_INET)), rule(is(0, unix.AF_INET6)),
		rule(is(0, unix.AF_NETLINK), is(2, unix.NETLINK_ROUTE)),
	}
}

// profile makes ours from Docker's default.
func profile(t *testing.T) []byte {
	t.Helper()
	p := seccomp.DefaultProfile()
	var rules []*seccomp.Syscall
	for _, r := range p.Syscalls {
		if r.Includes != nil && len(r.Includes.Caps) > 0 {
			continue // for capabilities that no guest has
		}
		if r.Excludes != nil {
			r.Excludes.Caps = nil
			if len(r.Excludes.Arches) == 0 {
				r.Excludes = nil
			}
		}
		r.Names = slices.DeleteFunc(r.Names, func(name string) bool { return name == "socket" || slices.Contains(refused, name) })
		if len(r.Names) > 0 {
			rules = append(rules, r)
		}
	}
	p.Syscalls = append(rules, socketRules()...)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "\t")
	if err := enc.Encode(p); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFilterIsDockersDefaultWithoutWhatLeadsOut(t *testing.T) {
	made := profile(t)
	if *update {
		if err := os.WriteFile("seccomp.json", made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if string(made) != seccompProfile && !*update {
		t.Error("seccomp.json is not what Docker's default gives; look at the difference after: go test ./backends/docker -run Filter -update")
	}
	var p seccomp.Seccomp
	if err := json.Unmarshal(made, &p); err != nil || p.DefaultAction != specs.ActErrno {
		t.Fatalf("default action %q, %v", p.DefaultAction, err)
	}
	for _, r := range p.Syscalls {
		for _, name := range append(slices.Clone(refused), "unshare", "setns", "mount", "chroot", "reboot", "init_module") {
			if slices.Contains(r.Names, name) {
				t.Errorf("%q is allowed", name)
			}
		}
	}
}
