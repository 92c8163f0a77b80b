package attack

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Limits of the suite's own bottle, of which the guest tries to have more.
const (
	PIDs        = 64
	DiskBytes   = 256 << 20
	MemoryBytes = 768 << 20
)

// exhaust takes all that it can get of each thing, and gives it back.
func exhaust(*prober) []Try {
	return []Try{
		call(fmt.Sprintf("more than %d processes", PIDs), WantDenied, takeProcesses),
		call(fmt.Sprintf("more than %d MiB of disk", DiskBytes>>20), WantDenied, takeDisk),
		call("descriptors without end", WantDenied, takeDescriptors),
	}
}

// takeProcesses starts processes that do nothing, and fails where the limit holds.
func takeProcesses() error {
	var started []int
	defer func() {
		for _, pid := range started {
			syscall.Kill(pid, syscall.SIGKILL)
			syscall.Wait4(pid, nil, 0, nil)
		}
	}()
	for range PIDs + 1 {
		pid, err := fork()
		if err != nil {
			return fmt.Errorf("clone(2): %v", err) // not wrapped: EAGAIN is a refusal here, and no time-out
		}
		started = append(started, pid)
	}
	return nil
}

// takeDisk writes until nothing more is taken.
func takeDisk() error {
	dir, err := os.MkdirTemp(os.Getenv("HOME"), "full")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f, err := os.Create(filepath.Join(dir, "full"))
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i * 7)
	}
	for range DiskBytes/len(block) + 1 {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return nil
}

// manyDescriptors is far above what any work needs.
const manyDescriptors = 1 << 20

func takeDescriptors() error {
	var taken []int
	defer func() {
		for _, fd := range taken {
			syscall.Close(fd)
		}
	}()
	for range manyDescriptors {
		fd, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		taken = append(taken, fd)
	}
	return nil
}

// withinLimits is the twin: a little of each can be had.
func withinLimits(*prober) Try {
	return call("one process, one file, one descriptor", "", func() error {
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		p, err := os.StartProcess(exe, []string{exe, "version"}, &os.ProcAttr{})
		if err != nil {
			return err
		}
		if _, err := p.Wait(); err != nil {
			return err
		}
		f, err := os.CreateTemp(os.Getenv("HOME"), "little")
		if err != nil {
			return err
		}
		_, err = io.WriteString(f, "little")
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	})
}
