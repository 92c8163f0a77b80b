package probe

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// look notes the interfaces and what is in the doors folder.
func (r *Results) look(p Plan) {
	var err error
	if r.Interfaces, err = interfaces(); err != nil {
		r.InterfacesError = err.Error()
	}
	r.Listing = list(p.List.Path)
}

func interfaces() ([]Interface, error) {
	found, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	all := make([]Interface, len(found))
	for i, f := range found {
		all[i] = Interface{
			Name:     f.Name,
			Up:       f.Flags&net.FlagUp != 0,
			Loopback: f.Flags&net.FlagLoopback != 0,
			Ethernet: f.Flags&net.FlagLoopback == 0 && len(f.HardwareAddr) == 6,
		}
		addresses, err := f.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addresses {
			all[i].Addresses = append(all[i].Addresses, a.String())
		}
	}
	return all, nil
}

func list(path string) Listing {
	entries, err := os.ReadDir(path) // sorted
	var l Listing
	for _, e := range entries {
		l.Names = append(l.Names, e.Name())
	}
	var errno unix.Errno
	switch {
	case errors.As(err, &errno):
		l.Errno = errnoName(errno)
	case err != nil:
		l.Errno = err.Error()
	}
	return l
}
