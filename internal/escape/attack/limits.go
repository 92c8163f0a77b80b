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
	MemoryBytes = 1280 << 20
)

// muchMore is how many times its processes the guest tries to have: a backend may
// give some more than was asked for, for what it runs itself.
const muchMore = 2

// exhaust takes all that it can get of each thing, and gives it back.
func exhaust(p *prober) []Try {
	tries := []Try{
		call(fmt.Sprintf("%d processes of %d", muchMore*PIDs, PIDs), WantDenied, takeProcesses),
		call("descriptors without end", WantDenied, takeDescriptors),
	}
	if disk := p.plan.DiskBytes; disk > 0 {
		tries = append(tries, call(fmt.Sprintf("more than %d MiB of disk", disk>>20), WantDenied, func() error { return takeDisk(disk) }))
	}
	return tries
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
	for range muchMore * PIDs {
		pid, err := fork()
		if err != nil {
			return fmt.Errorf("clone(2): %v", err) // not wrapped: EAGAIN is a refusal here, and no time-out
		}
		started = append(started, pid)
	}
	return nil
}

// takeDisk writes more than size bytes.
func takeDisk(size int64) error {
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
	for range size/int64(len(block)) + 1 {
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
