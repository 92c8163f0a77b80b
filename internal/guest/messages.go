package guest

import "time"

// ControlSocket is where process 1 finds control in every guest.
const ControlSocket = "/bottle/doors/control.sock"

// Setup is the supervisor's first message: what process 1 brings up.
type Setup struct {
	Alias    string    `json:"alias"` // IPv4 loopback address
	Forwards []Forward `json:"forwards"`
	Owned    []Owned   `json:"owned,omitempty"`
	// Tasks is the limit on the tasks of each user in the guest
	// (RLIMIT_NPROC); 0 means none. Process 1 has it too, so that its
	// children can't raise it; it needs a dozen tasks itself.
	Tasks int `json:"tasks,omitempty"`
}

// Forward is one door: a port on the alias and the socket that it leads to.
type Forward struct {
	Port   uint16 `json:"port"`
	Socket string `json:"socket"` // absolute, in the guest
}

// Owned is a folder that is given to a user.
type Owned struct {
	Path string `json:"path"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
}

// Command is what an Exec frame asks for: a process in a session of its own, that
// can't gain privileges (no_new_privs) and, unless UID is 0, has no capabilities.
type Command struct {
	Argv  []string      `json:"argv"` // a name without a slash is looked for in Env's PATH
	Env   []string      `json:"env"`  // all of it
	Dir   string        `json:"dir"`
	UID   uint32        `json:"uid"`
	GID   uint32        `json:"gid"`   // its only group
	Grace time.Duration `json:"grace"` // from SIGTERM to SIGKILL, in nanoseconds
	// ManyUsers lets root become other users, each with a limit on tasks of its
	// own.
	ManyUsers bool `json:"many_users,omitempty"`
}

// Exit is how a command ended. The guest says so, and may lie.
type Exit struct {
	Code   int    `json:"code"`             // 0 to 255; -1 if a signal ended it
	Signal int    `json:"signal,omitempty"` // the number, or 0
	Error  string `json:"error,omitempty"`  // why it could not be started; the code is 126 or 127 then
	// Duration is from order to exit, as the supervisor measured it.
	Duration time.Duration `json:"-"`
}

// Channels of a command are numbered from its base, which is a multiple of
// ChannelsPerCommand. Exec, Signal and Exit frames go over the base itself, the
// streams over base plus Stdin, Stdout and Stderr.
const (
	ChannelsPerCommand = 4
	Stdin              = 1
	Stdout             = 2
	Stderr             = 3
)
