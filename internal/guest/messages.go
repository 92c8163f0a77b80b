// Package guest is the inside of a bottle: process 1 of the guest, which brings
// up the forwarders to the doors, runs what the supervisor tells it over the
// control connection, and ends the guest when that connection ends.
//
// It promises that nothing is run but on the supervisor's word, that output is
// complete before an exit is reported, and that the guest ends with its control
// connection. It holds no secret and enforces no policy: an agent that takes it
// over gains nothing that it could not do itself.
package guest

import "time"

// Paths that process 1 expects in every guest.
const (
	ControlSocket = "/bottle/doors/control.sock"
)

// Forward is one door: a port on the alias and the socket that it leads to.
type Forward struct {
	Port   uint16 `json:"port"`
	Socket string `json:"socket"` // absolute, in the guest
}

// Owned is a folder that belongs to the agent.
type Owned struct {
	Path string `json:"path"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
}

// Setup is the supervisor's first message: what process 1 brings up.
type Setup struct {
	Alias    string    `json:"alias"` // IPv4 loopback address
	Forwards []Forward `json:"forwards"`
	Owned    []Owned   `json:"owned,omitempty"`
	Tasks    int       `json:"tasks,omitempty"` // limit on the tasks of each user (RLIMIT_NPROC); 0: none
}

// Command is what an Exec frame asks for.
type Command struct {
	Argv  []string      `json:"argv"` // a name without a slash is looked for in Env's PATH
	Env   []string      `json:"env"`  // all of it
	Dir   string        `json:"dir"`
	UID   uint32        `json:"uid"`
	GID   uint32        `json:"gid"`
	Grace time.Duration `json:"grace"` // from SIGTERM to SIGKILL, in nanoseconds
}

// Exit is how a command ended. Error says why it could not be started.
type Exit struct {
	Code     int           `json:"code"`             // -1 if a signal ended it
	Signal   int           `json:"signal,omitempty"` // the number
	Error    string        `json:"error,omitempty"`
	Duration time.Duration `json:"duration"` // nanoseconds
}

// Channels of a command are numbered from its base: Exec, Started, Signal and
// Exit frames go over the base itself.
const (
	ChannelsPerCommand = 4
	Stdin              = 1
	Stdout             = 2
	Stderr             = 3
)
