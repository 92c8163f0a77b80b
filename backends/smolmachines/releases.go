package smolmachines

import "fmt"

// Mode is how a guest is kept to its doors.
type Mode string

// The modes.
const (
	// ModeSocket gives the guest no network at all; the doors are Unix sockets
	// that smolvm mounts into it.
	ModeSocket Mode = "socket"
	// ModeAllowlist is libkrun's TSI: the guest's connections are made by the VMM
	// on the host, to the addresses of a list. It is used in a network of its own
	// only, in which nothing but the doors is.
	ModeAllowlist Mode = "allowlist"
)

// Newest is the newest release whose source was read.
var Newest = Version{1, 9, 3}

// release says what is known of the releases from one on.
type release struct {
	from Version
	mode Mode // "" is none: see why
	why  string
}

// releases is in the order of versions; each holds until the next. The facts are
// from the public source of smolvm, tag by tag; none was tried on hardware.
var releases = []release{
	{Version{0, 0, 0}, "", "its state is kept where another process can't read it, or its lists always let one resolver through"},
	{Version{0, 8, 0}, ModeAllowlist, ""},
	{Version{1, 1, 3}, "", "a list gives the guest a network card, on which its own loopback leads nowhere and every name is resolved"},
	{Version{1, 7, 5}, ModeSocket, ""},
}

// Form says how one release is spoken to.
type Form struct {
	Version Version
	Mode    Mode
	Unread  bool // it is newer than Newest

	NameFlag      bool // create and delete take the name with --name, not by position
	LocalImage    bool // create takes a folder as --image
	MountSocket   bool // create takes --mount-socket for a machine without network
	DataDir       bool // SMOLVM_DATA_DIR moves all state
	VMMHardening  bool // SMOLVM_SECCOMP and SMOLVM_LANDLOCK
	ReservesNames bool // two creates of one name can't overwrite each other
	DeleteStops   bool // delete ends the VMM
	EgressEvents  bool // denials are logged
}

// FormOf gives the form of a release, or an error that says which would do.
func FormOf(v Version) (Form, error) {
	var r release
	for _, candidate := range releases {
		if v.Compare(candidate.from) >= 0 {
			r = candidate
		}
	}
	if r.mode == "" {
		return Form{}, fmt.Errorf("using smolvm %s: %s", v, r.why)
	}
	return Form{
		Version:       v,
		Mode:          r.mode,
		Unread:        v.Compare(Newest) > 0,
		NameFlag:      v.atLeast(1, 0, 2),
		LocalImage:    v.atLeast(1, 1, 0),
		MountSocket:   v.atLeast(1, 7, 5), // from 1.6.4 on, but concurrent bridges hang before 1.7.5
		DataDir:       v.atLeast(1, 2, 5),
		VMMHardening:  v.atLeast(1, 0, 0),
		ReservesNames: v.atLeast(1, 0, 0),
		DeleteStops:   v.atLeast(0, 8, 1),
		EgressEvents:  v.atLeast(1, 8, 1),
	}, nil
}

// Working says for people which releases are used, and how.
const Working = "1.7.5 to 1.9.3 work, newer ones with a warning; 0.8.0 to 1.1.2 work with the mode \"allowlist\""
