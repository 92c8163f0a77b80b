package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/testenv"
	"golang.org/x/sys/unix"
)

// TestAFullDiskIsToldAndNothingIsKept works on a file system of 256 KiB, which
// takes mount namespace of a process of our own.
func TestAFullDiskIsToldAndNothingIsKept(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "image.tar")
	random := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	img := build(t, []entry{file("first", "1"), file("large", string(random))})
	for what, content := range map[string][]byte{"docker save": saved(t, img), "OCI": layoutTar(t, addendum(img))} {
		if err := os.WriteFile(archive, content, 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
		cmd.Env = []string{"IMAGE_TEST_FULL=" + archive, "IMAGE_TEST_HOME=" + t.TempDir()}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
		if os.Getuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		out, err := cmd.CombinedOutput()
		if cmd.Process == nil || cmd.ProcessState.ExitCode() == exitNoMount {
			testenv.Skip(t, fmt.Sprintf("a mount namespace can't be had: %v %s", err, out))
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
}

const exitNoMount = 9

// fillSmallDisk is the process with the small disk; it gives its exit code.
func fillSmallDisk() int {
	dir := os.Getenv("IMAGE_TEST_HOME")
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if err == nil {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k")
	}
	if err != nil {
		fmt.Print(err)
		return exitNoMount
	}
	_, err = NewCache(filepath.Join(dir, "images"), Options{}).FromArchive(context.Background(), os.Getenv("IMAGE_TEST_FULL"))
	told := fmt.Sprint(err)
	if err == nil || !strings.Contains(told, "no space left on device") || !strings.Contains(strings.Join(term.Hints(err), "\n"), "free some space") || term.StageOf(err, "") != term.StagePreflight {
		fmt.Printf("it says %v, %q\n", err, term.Hints(err))
		return 1
	}
	left := 0
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if info, infoErr := d.Info(); infoErr == nil && info.Mode().IsRegular() && info.Size() > 0 {
			io.WriteString(os.Stdout, path+" is left\n")
			left++
		}
		if strings.HasPrefix(d.Name(), scratchPrefix) || strings.HasPrefix(d.Name(), homePrefix) {
			io.WriteString(os.Stdout, path+" is left\n")
			left++
		}
		return err
	})
	return min(left, 1)
}
