package preflight

import (
	"context"
	"debug/elf"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

var (
	platformUnsupported = Entry{"platform-unsupported", Fail, "Bottles run on Linux, on amd64 and arm64.",
		[]Remedy{{"", "use a Linux machine with an amd64 or arm64 processor as runner"}}}
	kernelOld = Entry{"kernel-old", Fail, "The kernel lacks what keeps descriptors from leaking into a guest (close_range of Linux 5.11).",
		[]Remedy{{"", "update the kernel to 5.11 or newer"}}}
	binaryDynamic = Entry{"binary-dynamic", Fail, "The program needs a dynamic loader, which no guest has.",
		[]Remedy{{"", "take the released binary, or build with CGO_ENABLED=0"}}}
	binaryUnreadable = Entry{"binary-unreadable", Fail, "A guest of root's runs as a user of its own, who can't execute the program.",
		[]Remedy{{"", "make it and the folders above it executable for everybody: chmod a+rx {path}"}}}
)

// Platform asks for the operating system, the processor and the kernel's version.
func Platform(h Host) Check {
	return Check{ID: "platform", Subject: runtime.GOOS + "/" + runtime.GOARCH, Run: func(context.Context) Finding {
		if runtime.GOOS != "linux" || !slices.Contains([]string{"amd64", "arm64"}, runtime.GOARCH) {
			return h.Found(platformUnsupported, "not among linux/amd64 and linux/arm64")
		}
		release := h.read("/proc/sys/kernel/osrelease")
		if older(release, 5, 11) {
			return h.Found(kernelOld, "kernel "+release)
		}
		return Passed("kernel " + release)
	}}
}

// older tells whether a kernel's release, such as "6.1.0-18-amd64", is below
// major.minor. One that can't be read is not.
func older(release string, major, minor int) bool {
	parts := strings.FieldsFunc(release, func(r rune) bool { return r < '0' || r > '9' })
	if len(parts) < 2 {
		return false
	}
	a, errA := strconv.Atoi(parts[0])
	b, errB := strconv.Atoi(parts[1])
	return errA == nil && errB == nil && (a < major || a == major && b < minor)
}

// Binary asks whether our own program, at path, can be taken into a guest that
// runs as the host's user guest.
func Binary(h Host, path string, guest int) Check {
	return Check{ID: "binary", Subject: path, Run: func(context.Context) Finding {
		if guest != h.UID && !everybodysProgram(path) {
			return h.Found(binaryUnreadable, "not executable for user "+strconv.Itoa(guest), "{path}", path)
		}
		f, err := elf.Open(path)
		if err != nil {
			return Passed("not an ELF program")
		}
		defer f.Close()
		if loader := loaderOf(f); loader != "" {
			return h.Found(binaryDynamic, fmt.Sprintf("wants the loader %q", loader))
		}
		return Passed("static")
	}}
}

// everybodysProgram tells whether any user can execute path. Of the folders above
// it none may be closed.
func everybodysProgram(path string) bool {
	for at, want := path, os.FileMode(0o005); ; at, want = parent(at), 0o001 {
		info, err := os.Stat(at)
		if err != nil || info.Mode().Perm()&want != want {
			return false
		}
		if at == "/" || at == "." {
			return true
		}
	}
}

// loaderOf gives the dynamic loader that a program asks for, its PT_INTERP
// (elf(5)); a static one has none.
func loaderOf(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		b := make([]byte, min(p.Filesz, 4096))
		n, _ := p.ReadAt(b, 0)
		return strings.TrimRight(string(b[:n]), "\x00")
	}
	return ""
}
