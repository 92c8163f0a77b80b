package smolvmtest

import (
	"fmt"
	"slices"
)

// Release says in what one release differs from others, as far as bot-bottle meets
// it. The zero value is 0.8.0.
type Release struct {
	NameFlag         bool // create, delete: --name instead of a position
	Reserves         bool // create is refused while another of the name is under way
	DeleteStops      bool // delete ends the VMM
	StopMissingFails bool // stop of a missing machine ends with 1
	LocalImage       bool // create --image takes a folder
	MountSocket      bool // create --mount-socket
	PolicyNeedsCard  bool // a list of addresses makes a virtio-net card
	DataDir          bool // SMOLVM_DATA_DIR
	Hardening        bool // SMOLVM_SECCOMP, SMOLVM_LANDLOCK
	EgressEvents     bool // machine egress-events
	FromKeepsList    bool // create --from keeps --allow-cidr
}

// releases are the ones that the double can be.
var releases = map[string]Release{
	"0.8.0":  {},
	"0.8.1":  {DeleteStops: true, StopMissingFails: true},
	"1.0.2":  {DeleteStops: true, StopMissingFails: true, Reserves: true, Hardening: true, NameFlag: true},
	"1.1.2":  {DeleteStops: true, StopMissingFails: true, Reserves: true, Hardening: true, NameFlag: true, LocalImage: true},
	"1.1.3":  {DeleteStops: true, StopMissingFails: true, Reserves: true, Hardening: true, NameFlag: true, LocalImage: true, PolicyNeedsCard: true},
	"1.7.5":  newer(false, false),
	"1.8.1":  newer(true, true),
	"1.9.3":  newer(true, true),
	"1.22.0": newer(true, true), // nobody has read it: it stands for what comes
}

func newer(keeps, events bool) Release {
	return Release{
		DeleteStops: true, StopMissingFails: true, Reserves: true, Hardening: true, NameFlag: true, LocalImage: true,
		PolicyNeedsCard: true, MountSocket: true, DataDir: true, FromKeepsList: keeps, EgressEvents: events,
	}
}

// ReleaseOf gives the release of that version.
func ReleaseOf(version string) (Release, error) {
	r, known := releases[version]
	if !known {
		return Release{}, fmt.Errorf("the double can't be smolvm %q", version)
	}
	return r, nil
}

// Does tells whether the double is to misbehave so.
func (c Config) Does(m Misbehaviour) bool { return slices.Contains(c.Misbehaviours, m) }
